import java.io.ByteArrayInputStream;
import java.io.FilterInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.nio.charset.StandardCharsets;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Collectors;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.sync.RequestBody;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.services.cloudwatch.CloudWatchClient;
import software.amazon.awssdk.services.cloudwatch.model.Metric;
import software.amazon.awssdk.services.cloudwatchlogs.CloudWatchLogsClient;
import software.amazon.awssdk.services.dynamodb.DynamoDbClient;
import software.amazon.awssdk.services.dynamodb.model.AttributeValue;
import software.amazon.awssdk.services.dynamodb.model.BillingMode;
import software.amazon.awssdk.services.dynamodb.model.ConditionalCheckFailedException;
import software.amazon.awssdk.services.dynamodb.model.KeyType;
import software.amazon.awssdk.services.dynamodb.model.ScalarAttributeType;
import software.amazon.awssdk.services.kms.KmsClient;
import software.amazon.awssdk.services.lambda.LambdaClient;
import software.amazon.awssdk.services.s3.S3Client;
import software.amazon.awssdk.services.s3.model.CompletedPart;
import software.amazon.awssdk.services.s3.model.DeletedObject;
import software.amazon.awssdk.services.s3.model.ObjectIdentifier;
import software.amazon.awssdk.services.s3.model.S3Object;
import software.amazon.awssdk.services.s3.presigner.S3Presigner;
import software.amazon.awssdk.services.secretsmanager.SecretsManagerClient;
import software.amazon.awssdk.services.sns.SnsClient;
import software.amazon.awssdk.services.sqs.SqsClient;
import software.amazon.awssdk.services.sqs.model.Message;
import software.amazon.awssdk.services.ssm.SsmClient;
import software.amazon.awssdk.services.ssm.model.ParameterType;
import software.amazon.awssdk.services.sts.StsClient;

/** The grid's steps with the AWS SDK for Java: see ../grid_test.go. */
public class Steps {
    static final String NAME = System.getenv("GRID_NAME");
    static final String ODD = "a b+c=d&é//x.txt";
    static final byte[] SMALL = "0123456789abcdef".repeat(64).getBytes(StandardCharsets.UTF_8);
    static final byte[] LARGE = new byte[11 << 20];
    static final List<String> GONE = List.of("small", ODD, "large", "put");

    static {
        for (int i = 0; i < LARGE.length; i++) {
            LARGE[i] = (byte) i;
        }
    }

    interface Step {
        /** Returns what the step got, or null. */
        String run() throws Exception;
    }

    static S3Client s3 = S3Client.create();

    static Map<String, Step> steps() {
        Map<String, Step> m = new LinkedHashMap<>();
        m.put("sdk version", () -> "aws-sdk-java " + VersionInfo.SDK_VERSION);
        m.put("sts identity", Steps::identity);
        m.put("s3 bucket", Steps::bucket);
        m.put("s3 small object", Steps::small);
        m.put("s3 odd key", Steps::odd);
        m.put("s3 multipart", Steps::multipart);
        m.put("s3 streamed upload", Steps::streamed);
        m.put("s3 presigned GET", Steps::presignedGet);
        m.put("s3 presigned PUT", Steps::presignedPut);
        m.put("s3 batch delete", Steps::batchDelete);
        m.put("dynamodb items", Steps::items);
        m.put("dynamodb typed error", Steps::typedError);
        m.put("sqs messages", Steps::messages);
        m.put("sns publish", Steps::publish);
        m.put("secretsmanager secret", Steps::secret);
        m.put("ssm parameter", Steps::parameter);
        m.put("kms encrypt, decrypt", Steps::encrypt);
        m.put("lambda invoke", Steps::invoke);
        m.put("logs events", Steps::events);
        m.put("cloudwatch metrics", Steps::metrics);
        return m;
    }

    static Map<String, Step> refused() {
        String queue = System.getenv("AWS_ENDPOINT_URL") + "/123456789012/" + NAME;
        String topic = "arn:aws:sns:us-east-1:123456789012:" + NAME;
        Map<String, Step> m = new LinkedHashMap<>();
        m.put("s3", () -> s3.deleteBucket(r -> r.bucket(NAME)).toString());
        m.put("s3 head", () -> s3.headObject(r -> r.bucket(NAME).key("hidden")).toString());
        m.put("dynamodb", () -> DynamoDbClient.create().deleteTable(r -> r.tableName(NAME)).toString());
        m.put("sqs", () -> SqsClient.create().deleteQueue(r -> r.queueUrl(queue)).toString());
        m.put("sns", () -> SnsClient.create().deleteTopic(r -> r.topicArn(topic)).toString());
        m.put("secretsmanager", () -> SecretsManagerClient.create().deleteSecret(r -> r.secretId(NAME)).toString());
        m.put("lambda", () -> LambdaClient.create().deleteFunction(r -> r.functionName("echo")).toString());
        m.put("cloudwatch", () -> CloudWatchClient.create().deleteAlarms(r -> r.alarmNames("a")).toString());
        return m;
    }

    static String identity() {
        return StsClient.create().getCallerIdentity().account();
    }

    static String bucket() {
        s3.createBucket(r -> r.bucket(NAME));
        same(s3.listBuckets().buckets().stream().anyMatch(b -> b.name().equals(NAME)), true);
        return null;
    }

    static String small() throws Exception {
        s3.putObject(r -> r.bucket(NAME).key("small").contentType("text/x-grid").metadata(Map.of("who", "grid")), RequestBody.fromBytes(SMALL));
        same(digest(read("small")), digest(SMALL));
        var head = s3.headObject(r -> r.bucket(NAME).key("small"));
        same(List.of(head.contentLength(), head.contentType(), head.metadata()), List.of(1024L, "text/x-grid", Map.of("who", "grid")));
        same(keys(""), "small");
        return head.eTag();
    }

    static byte[] read(String key) {
        return s3.getObjectAsBytes(r -> r.bucket(NAME).key(key)).asByteArray();
    }

    static String keys(String prefix) {
        return s3.listObjectsV2(r -> r.bucket(NAME).prefix(prefix)).contents().stream().map(S3Object::key).collect(Collectors.joining(","));
    }

    static String odd() throws Exception {
        s3.putObject(r -> r.bucket(NAME).key(ODD), RequestBody.fromBytes(SMALL));
        same(digest(read(ODD)), digest(SMALL));
        return keys("a b+");
    }

    static String multipart() throws Exception {
        String id = s3.createMultipartUpload(r -> r.bucket(NAME).key("large")).uploadId();
        List<CompletedPart> parts = new ArrayList<>();
        for (int i = 0; i * (5 << 20) < LARGE.length; i++) {
            int number = i + 1;
            byte[] data = Arrays.copyOfRange(LARGE, i * (5 << 20), Math.min(number * (5 << 20), LARGE.length));
            var part = s3.uploadPart(r -> r.bucket(NAME).key("large").uploadId(id).partNumber(number), RequestBody.fromBytes(data));
            parts.add(CompletedPart.builder().partNumber(number).eTag(part.eTag()).build());
        }
        var done = s3.completeMultipartUpload(r -> r.bucket(NAME).key("large").uploadId(id).multipartUpload(u -> u.parts(parts)));
        return done.eTag() + " " + digest(read("large"));
    }

    /** A stream that can't be rewound. */
    static String streamed() throws Exception {
        byte[] data = Arrays.copyOf(LARGE, 6 << 20);
        InputStream once = new FilterInputStream(new ByteArrayInputStream(data)) {
            @Override
            public boolean markSupported() {
                return false;
            }
        };
        s3.putObject(r -> r.bucket(NAME).key("stream"), RequestBody.fromInputStream(once, data.length));
        return digest(read("stream"));
    }

    static String presignedGet() throws Exception {
        try (S3Presigner p = S3Presigner.create()) {
            URL url = p.presignGetObject(r -> r.signatureDuration(Duration.ofMinutes(5)).getObjectRequest(g -> g.bucket(NAME).key("small"))).url();
            same(digest(use(url, "GET", null)), digest(SMALL));
            return null;
        }
    }

    static String presignedPut() throws Exception {
        try (S3Presigner p = S3Presigner.create()) {
            URL url = p.presignPutObject(r -> r.signatureDuration(Duration.ofMinutes(5)).putObjectRequest(g -> g.bucket(NAME).key("put"))).url();
            use(url, "PUT", SMALL);
            same(digest(read("put")), digest(SMALL));
            return null;
        }
    }

    /** Calls a link without any SDK. */
    static byte[] use(URL url, String method, byte[] body) throws IOException {
        HttpURLConnection c = (HttpURLConnection) url.openConnection();
        c.setRequestMethod(method);
        if (body != null) {
            c.setDoOutput(true);
            c.setRequestProperty("Content-Type", "text/plain");
            c.getOutputStream().write(body);
        }
        if (c.getResponseCode() != 200) {
            throw new IOException(c.getResponseCode() + ": " + new String(c.getErrorStream().readAllBytes(), StandardCharsets.UTF_8));
        }
        return c.getInputStream().readAllBytes();
    }

    static String batchDelete() {
        var objects = GONE.stream().map(k -> ObjectIdentifier.builder().key(k).build()).toList();
        var gone = s3.deleteObjects(r -> r.bucket(NAME).delete(d -> d.objects(objects)));
        same(gone.deleted().stream().map(DeletedObject::key).sorted().toList(), GONE.stream().sorted().toList());
        return keys("");
    }

    static String items() {
        DynamoDbClient db = DynamoDbClient.create();
        db.createTable(r -> r.tableName(NAME).billingMode(BillingMode.PAY_PER_REQUEST)
            .keySchema(k -> k.attributeName("id").keyType(KeyType.HASH))
            .attributeDefinitions(a -> a.attributeName("id").attributeType(ScalarAttributeType.S)));
        AttributeValue one = AttributeValue.fromS("1");
        var item = Map.of("id", one, "n", AttributeValue.fromN("42"), "b", AttributeValue.fromB(SdkBytes.fromByteArray(new byte[] {0, -1})),
            "text", AttributeValue.fromS("é"));
        db.putItem(r -> r.tableName(NAME).item(item));
        same(db.getItem(r -> r.tableName(NAME).key(Map.of("id", one))).item(), item);
        var found = db.query(r -> r.tableName(NAME).keyConditionExpression("id = :i").expressionAttributeValues(Map.of(":i", one)));
        return String.valueOf(found.count());
    }

    static String typedError() {
        try {
            DynamoDbClient.create().putItem(r -> r.tableName(NAME).item(Map.of("id", AttributeValue.fromS("1")))
                .conditionExpression("attribute_not_exists(id)"));
        } catch (ConditionalCheckFailedException e) {
            return e.awsErrorDetails().errorMessage();
        }
        throw new IllegalStateException("no error");
    }

    static String messages() {
        SqsClient q = SqsClient.create();
        String url = q.createQueue(r -> r.queueName(NAME)).queueUrl();
        same(q.getQueueUrl(r -> r.queueName(NAME)).queueUrl(), url);
        q.sendMessage(r -> r.queueUrl(url).messageBody("hello é"));
        Message got = q.receiveMessage(r -> r.queueUrl(url)).messages().get(0);
        q.deleteMessage(r -> r.queueUrl(url).receiptHandle(got.receiptHandle()));
        return got.body();
    }

    static String publish() {
        SnsClient s = SnsClient.create();
        String arn = s.createTopic(r -> r.name(NAME)).topicArn();
        same(s.publish(r -> r.topicArn(arn).message("hello é")).messageId().isEmpty(), false);
        return arn;
    }

    static String secret() {
        SecretsManagerClient s = SecretsManagerClient.create();
        s.createSecret(r -> r.name(NAME).secretString("hush"));
        return s.getSecretValue(r -> r.secretId(NAME)).secretString();
    }

    static String parameter() {
        SsmClient s = SsmClient.create();
        s.putParameter(r -> r.name("/" + NAME).value("v1").type(ParameterType.SECURE_STRING));
        return s.getParameter(r -> r.name("/" + NAME).withDecryption(true)).parameter().value();
    }

    static String encrypt() {
        KmsClient k = KmsClient.create();
        String key = k.createKey().keyMetadata().keyId();
        SdkBytes sealed = k.encrypt(r -> r.keyId(key).plaintext(SdkBytes.fromByteArray(SMALL))).ciphertextBlob();
        same(k.decrypt(r -> r.keyId(key).ciphertextBlob(sealed)).plaintext(), SdkBytes.fromByteArray(SMALL));
        return null;
    }

    static String invoke() {
        var got = LambdaClient.create().invoke(r -> r.functionName("echo").payload(SdkBytes.fromUtf8String("{\"a\":1}")));
        return got.statusCode() + " " + got.payload().asUtf8String();
    }

    static String events() {
        CloudWatchLogsClient c = CloudWatchLogsClient.create();
        c.createLogGroup(r -> r.logGroupName(NAME));
        c.createLogStream(r -> r.logGroupName(NAME).logStreamName("s"));
        c.putLogEvents(r -> r.logGroupName(NAME).logStreamName("s").logEvents(e -> e.timestamp(System.currentTimeMillis()).message("hello é")));
        return c.getLogEvents(r -> r.logGroupName(NAME).logStreamName("s")).events().get(0).message();
    }

    static String metrics() {
        CloudWatchClient c = CloudWatchClient.create();
        c.putMetricData(r -> r.namespace(NAME).metricData(m -> m.metricName("m").value(1.5)));
        return c.listMetrics(r -> r.namespace(NAME)).metrics().stream().map(Metric::metricName).collect(Collectors.joining(","));
    }

    static void same(Object got, Object want) {
        if (!Objects.equals(got, want)) {
            throw new IllegalStateException("got " + got + ", want " + want);
        }
    }

    static String digest(byte[] data) throws Exception {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(data), 0, 8);
    }

    static String[] work(Step step) {
        try {
            return new String[] {"ok", Objects.requireNonNullElse(step.run(), ""), ""};
        } catch (Exception e) {
            return new String[] {"failed", e.toString(), ""};
        }
    }

    static String[] refusal(Step step) {
        try {
            step.run();
        } catch (AwsServiceException e) {
            return new String[] {"ok", Objects.requireNonNullElse(e.awsErrorDetails().errorCode(), String.valueOf(e.statusCode())), e.getMessage()};
        } catch (Exception e) {
            return new String[] {"failed", e.toString(), ""};
        }
        return new String[] {"failed", "not refused", ""};
    }

    public static void main(String[] args) {
        Map<String, Step> suite = switch (args[0]) {
            case "refused" -> refused();
            case "login" -> Map.of("sts identity", Steps::identity);
            default -> steps();
        };
        System.setOut(new java.io.PrintStream(System.out, true, StandardCharsets.UTF_8));
        suite.forEach((name, step) -> {
            String[] r = args[0].equals("refused") ? refusal(step) : work(step);
            List<String> fields = List.of(name, r[0], r[1], r[2]);
            System.out.println(fields.stream().map(f -> f.replaceAll("[\n\t]", " ")).collect(Collectors.joining("\t")));
        });
    }
}
