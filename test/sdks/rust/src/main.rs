//! The grid's steps with the AWS SDK for Rust: see ../../grid_test.go.

mod s3;

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_cloudwatch::types::MetricDatum;
use aws_sdk_cloudwatchlogs::types::InputLogEvent;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use aws_sdk_ssm::types::ParameterType;
use std::error::Error;
use std::future::Future;
use std::time::{SystemTime, UNIX_EPOCH};

type Got = Result<String, Box<dyn Error>>;

/// What every step works with.
struct Agent {
    config: SdkConfig,
    name: String, // of its resources
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let agent = Agent { config: aws_config::load_defaults(BehaviorVersion::latest()).await, name: std::env::var("GRID_NAME").unwrap() };
    match std::env::args().nth(1).as_deref() {
        Some("refused") => refused(&agent).await,
        Some("login") => work("sts identity", identity(&agent)).await,
        _ => steps(&agent).await,
    }
}

async fn steps(a: &Agent) {
    let c = aws_sdk_s3::Client::new(&a.config);
    work("sdk version", async { Ok(format!("aws-sdk-s3 {}", env!("SDK_VERSION"))) }).await;
    work("sts identity", identity(a)).await;
    work("s3 bucket", s3::bucket(a, &c)).await;
    work("s3 small object", s3::small(a, &c)).await;
    work("s3 odd key", s3::odd(a, &c)).await;
    work("s3 multipart", s3::multipart(a, &c)).await;
    work("s3 streamed upload", s3::streamed(a, &c)).await;
    work("s3 presigned GET", s3::presigned_get(a, &c)).await;
    work("s3 presigned PUT", s3::presigned_put(a, &c)).await;
    work("s3 batch delete", s3::batch_delete(a, &c)).await;
    work("dynamodb items", items(a)).await;
    work("dynamodb typed error", typed_error(a)).await;
    work("sqs messages", messages(a)).await;
    work("sns publish", publish(a)).await;
    work("secretsmanager secret", secret(a)).await;
    work("ssm parameter", parameter(a)).await;
    work("kms encrypt, decrypt", encrypt(a)).await;
    work("lambda invoke", invoke(a)).await;
    work("logs events", events(a)).await;
    work("cloudwatch metrics", metrics(a)).await;
}

async fn refused(a: &Agent) {
    let (config, name) = (&a.config, &a.name);
    let queue = format!("{}/123456789012/{name}", std::env::var("AWS_ENDPOINT_URL").unwrap());
    let c = aws_sdk_s3::Client::new(config);
    refusal("s3", c.delete_bucket().bucket(name).send().await);
    refusal("s3 head", c.head_object().bucket(name).key("hidden").send().await);
    refusal("dynamodb", aws_sdk_dynamodb::Client::new(config).delete_table().table_name(name).send().await);
    refusal("sqs", aws_sdk_sqs::Client::new(config).delete_queue().queue_url(queue).send().await);
    let topic = format!("arn:aws:sns:us-east-1:123456789012:{name}");
    refusal("sns", aws_sdk_sns::Client::new(config).delete_topic().topic_arn(topic).send().await);
    refusal("secretsmanager", aws_sdk_secretsmanager::Client::new(config).delete_secret().secret_id(name).send().await);
    refusal("lambda", aws_sdk_lambda::Client::new(config).delete_function().function_name("echo").send().await);
    refusal("cloudwatch", aws_sdk_cloudwatch::Client::new(config).delete_alarms().alarm_names("a").send().await);
}

async fn work(name: &str, step: impl Future<Output = Got>) {
    match step.await {
        Ok(got) => show([name, "ok", &got, ""]),
        Err(e) => show([name, "failed", &whole(&*e), ""]),
    }
}

/// An error with its causes: the SDK's own text is only "service error".
fn whole(e: &dyn Error) -> String {
    match e.source() {
        Some(cause) => format!("{e}: {}", whole(cause)),
        None => e.to_string(),
    }
}

fn refusal<T, E: ProvideErrorMetadata>(name: &str, result: Result<T, E>) {
    match result {
        Ok(_) => show([name, "failed", "not refused", ""]),
        Err(e) => show([name, "ok", e.code().unwrap_or("Unknown"), e.message().unwrap_or("")]),
    }
}

fn show(fields: [&str; 4]) {
    println!("{}", fields.map(|f| f.replace(['\n', '\t'], " ")).join("\t"));
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, want: T) -> Result<(), Box<dyn Error>> {
    if got == want { Ok(()) } else { Err(format!("got {got:?}, want {want:?}").into()) }
}

fn text(value: Option<&str>) -> Got {
    value.map(str::to_string).ok_or_else(|| "nothing".into())
}

async fn identity(a: &Agent) -> Got {
    text(aws_sdk_sts::Client::new(&a.config).get_caller_identity().send().await?.account())
}

async fn items(a: &Agent) -> Got {
    let db = aws_sdk_dynamodb::Client::new(&a.config);
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash).build()?;
    let id = AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S).build()?;
    db.create_table().table_name(&a.name).billing_mode(BillingMode::PayPerRequest).key_schema(key).attribute_definitions(id).send().await?;
    let one = AttributeValue::S("1".into());
    let blob = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new([0, 255]));
    let put = db.put_item().table_name(&a.name).item("id", one.clone()).item("n", AttributeValue::N("42".into()));
    put.item("b", blob.clone()).item("text", AttributeValue::S("é".into())).send().await?;
    let got = db.get_item().table_name(&a.name).key("id", one.clone()).send().await?;
    let item = got.item().ok_or("no item")?;
    same((item.len(), item.get("b"), item.get("text")), (4, Some(&blob), Some(&AttributeValue::S("é".into()))))?;
    let query = db.query().table_name(&a.name).key_condition_expression("id = :i");
    Ok(query.expression_attribute_values(":i", one).send().await?.count().to_string())
}

async fn typed_error(a: &Agent) -> Got {
    let put = aws_sdk_dynamodb::Client::new(&a.config).put_item().table_name(&a.name).item("id", AttributeValue::S("1".into()));
    match put.condition_expression("attribute_not_exists(id)").send().await.map_err(|e| e.into_service_error()) {
        Err(e) if e.is_conditional_check_failed_exception() => text(e.message()),
        other => Err(format!("not typed: {other:?}").into()),
    }
}

async fn messages(a: &Agent) -> Got {
    let q = aws_sdk_sqs::Client::new(&a.config);
    let url = text(q.create_queue().queue_name(&a.name).send().await?.queue_url())?;
    same(q.get_queue_url().queue_name(&a.name).send().await?.queue_url(), Some(&url))?;
    q.send_message().queue_url(&url).message_body("hello é").send().await?;
    let got = q.receive_message().queue_url(&url).send().await?;
    let message = got.messages().first().ok_or("no message")?;
    q.delete_message().queue_url(&url).receipt_handle(text(message.receipt_handle())?).send().await?;
    text(message.body())
}

async fn publish(a: &Agent) -> Got {
    let s = aws_sdk_sns::Client::new(&a.config);
    let arn = text(s.create_topic().name(&a.name).send().await?.topic_arn())?;
    text(s.publish().topic_arn(&arn).message("hello é").send().await?.message_id())?;
    Ok(arn)
}

async fn secret(a: &Agent) -> Got {
    let s = aws_sdk_secretsmanager::Client::new(&a.config);
    s.create_secret().name(&a.name).secret_string("hush").send().await?;
    text(s.get_secret_value().secret_id(&a.name).send().await?.secret_string())
}

async fn parameter(a: &Agent) -> Got {
    let (s, name) = (aws_sdk_ssm::Client::new(&a.config), format!("/{}", a.name));
    s.put_parameter().name(&name).value("v1").r#type(ParameterType::SecureString).send().await?;
    let got = s.get_parameter().name(&name).with_decryption(true).send().await?;
    text(got.parameter().and_then(|p| p.value()))
}

async fn encrypt(a: &Agent) -> Got {
    let k = aws_sdk_kms::Client::new(&a.config);
    let made = k.create_key().send().await?;
    let key = made.key_metadata().ok_or("no key")?.key_id();
    let plain = aws_sdk_kms::primitives::Blob::new(s3::SMALL.repeat(64));
    let sealed = k.encrypt().key_id(key).plaintext(plain.clone()).send().await?.ciphertext_blob.ok_or("no blob")?;
    let opened = k.decrypt().key_id(key).ciphertext_blob(sealed).send().await?.plaintext.ok_or("no blob")?;
    same(opened, plain)?;
    Ok(String::new())
}

async fn invoke(a: &Agent) -> Got {
    let payload = aws_sdk_lambda::primitives::Blob::new(r#"{"a":1}"#);
    let got = aws_sdk_lambda::Client::new(&a.config).invoke().function_name("echo").payload(payload).send().await?;
    let body = String::from_utf8(got.payload().ok_or("no payload")?.as_ref().to_vec())?;
    Ok(format!("{} {body}", got.status_code()))
}

async fn events(a: &Agent) -> Got {
    let (c, name) = (aws_sdk_cloudwatchlogs::Client::new(&a.config), &a.name);
    c.create_log_group().log_group_name(name).send().await?;
    c.create_log_stream().log_group_name(name).log_stream_name("s").send().await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() as i64;
    let event = InputLogEvent::builder().timestamp(now).message("hello é").build()?;
    c.put_log_events().log_group_name(name).log_stream_name("s").log_events(event).send().await?;
    let got = c.get_log_events().log_group_name(name).log_stream_name("s").send().await?;
    text(got.events().first().and_then(|e| e.message()))
}

async fn metrics(a: &Agent) -> Got {
    let c = aws_sdk_cloudwatch::Client::new(&a.config);
    let datum = MetricDatum::builder().metric_name("m").value(1.5).build();
    c.put_metric_data().namespace(&a.name).metric_data(datum).send().await?;
    let got = c.list_metrics().namespace(&a.name).send().await?;
    text(got.metrics().first().and_then(|m| m.metric_name()))
}
