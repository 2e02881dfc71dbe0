// The grid's steps with the AWS SDK for JavaScript: see ../grid_test.go.
import { createHash } from "node:crypto";
import { createRequire } from "node:module";
import { Readable } from "node:stream";

import { CloudWatch } from "@aws-sdk/client-cloudwatch";
import { CloudWatchLogs } from "@aws-sdk/client-cloudwatch-logs";
import { ConditionalCheckFailedException, DynamoDB } from "@aws-sdk/client-dynamodb";
import { KMS } from "@aws-sdk/client-kms";
import { Lambda } from "@aws-sdk/client-lambda";
import { GetObjectCommand, PutObjectCommand, S3 } from "@aws-sdk/client-s3";
import { SecretsManager } from "@aws-sdk/client-secrets-manager";
import { SNS } from "@aws-sdk/client-sns";
import { SQS } from "@aws-sdk/client-sqs";
import { SSM } from "@aws-sdk/client-ssm";
import { STS } from "@aws-sdk/client-sts";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const NAME = process.env.GRID_NAME;
const ODD = "a b+c=d&é//x.txt";
const SMALL = Buffer.from("0123456789abcdef".repeat(64));
const LARGE = Buffer.alloc(11 << 20, Buffer.from(Array.from({ length: 256 }, (_, i) => i)));
const GONE = ["small", ODD, "large", "put"];
const ARN = "arn:aws:sns:us-east-1:123456789012:" + NAME;

const s3 = new S3();

const digest = (data) => createHash("sha256").update(data).digest("hex").slice(0, 16);

function same(got, want) {
  const [a, b] = [JSON.stringify(got), JSON.stringify(want)];
  if (a !== b) throw new Error(`got ${a}, want ${b}`);
}

async function read(Key) {
  const got = await s3.getObject({ Bucket: NAME, Key });
  return Buffer.from(await got.Body.transformToByteArray());
}

async function keys(Prefix) {
  const list = await s3.listObjectsV2({ Bucket: NAME, Prefix });
  return list.Contents.map((o) => o.Key).join(",");
}

const steps = {
  async "sdk version"() {
    return "@aws-sdk/client-s3 " + createRequire(import.meta.url)("@aws-sdk/client-s3/package.json").version;
  },
  async "sts identity"() {
    return (await new STS().getCallerIdentity({})).Account;
  },
  async "s3 bucket"() {
    await s3.createBucket({ Bucket: NAME });
    same((await s3.listBuckets({})).Buckets.some((b) => b.Name === NAME), true);
  },
  async "s3 small object"() {
    await s3.putObject({ Bucket: NAME, Key: "small", Body: SMALL, ContentType: "text/x-grid", Metadata: { who: "grid" } });
    same(digest(await read("small")), digest(SMALL));
    const head = await s3.headObject({ Bucket: NAME, Key: "small" });
    same([head.ContentLength, head.ContentType, head.Metadata], [1024, "text/x-grid", { who: "grid" }]);
    same(await keys(), "small");
    return head.ETag;
  },
  async "s3 odd key"() {
    await s3.putObject({ Bucket: NAME, Key: ODD, Body: SMALL });
    same(digest(await read(ODD)), digest(SMALL));
    return keys("a b+");
  },
  async "s3 multipart"() {
    const upload = new Upload({ client: s3, params: { Bucket: NAME, Key: "large", Body: LARGE }, partSize: 5 << 20 });
    const { ETag } = await upload.done();
    return ETag + " " + digest(await read("large"));
  },
  async "s3 streamed upload"() {
    const data = LARGE.subarray(0, 6 << 20);
    const pieces = Array.from({ length: 96 }, (_, i) => data.subarray(i << 16, (i + 1) << 16));
    await s3.putObject({ Bucket: NAME, Key: "stream", Body: Readable.from(pieces), ContentLength: data.length });
    return digest(await read("stream"));
  },
  async "s3 presigned GET"() {
    const got = await fetch(await getSignedUrl(s3, new GetObjectCommand({ Bucket: NAME, Key: "small" })));
    same([got.status, await got.text()], [200, SMALL.toString()]);
  },
  async "s3 presigned PUT"() {
    // Else the link carries the checksum of no body at all.
    const signer = new S3({ requestChecksumCalculation: "WHEN_REQUIRED" });
    const put = await fetch(await getSignedUrl(signer, new PutObjectCommand({ Bucket: NAME, Key: "put" })), { method: "PUT", body: SMALL });
    same([put.status, await put.text()], [200, ""]);
    same(digest(await read("put")), digest(SMALL));
  },
  async "s3 batch delete"() {
    const gone = await s3.deleteObjects({ Bucket: NAME, Delete: { Objects: GONE.map((Key) => ({ Key })) } });
    same(gone.Deleted.map((d) => d.Key).sort(), [...GONE].sort());
    return keys();
  },
  async "dynamodb items"() {
    const db = new DynamoDB();
    await db.createTable({
      TableName: NAME, BillingMode: "PAY_PER_REQUEST",
      KeySchema: [{ AttributeName: "id", KeyType: "HASH" }], AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    });
    await db.putItem({ TableName: NAME, Item: { id: { S: "1" }, n: { N: "42" }, b: { B: Buffer.from([0, 255]) }, text: { S: "é" } } });
    const { Item } = await db.getItem({ TableName: NAME, Key: { id: { S: "1" } } });
    same([Item.n.N, [...Item.b.B], Item.text.S], ["42", [0, 255], "é"]);
    const found = await db.query({ TableName: NAME, KeyConditionExpression: "id = :i", ExpressionAttributeValues: { ":i": { S: "1" } } });
    return String(found.Count);
  },
  async "dynamodb typed error"() {
    try {
      await new DynamoDB().putItem({ TableName: NAME, Item: { id: { S: "1" } }, ConditionExpression: "attribute_not_exists(id)" });
    } catch (e) {
      if (e instanceof ConditionalCheckFailedException) return e.message;
      throw e;
    }
    throw new Error("no error");
  },
  async "sqs messages"() {
    const q = new SQS();
    const { QueueUrl } = await q.createQueue({ QueueName: NAME });
    same((await q.getQueueUrl({ QueueName: NAME })).QueueUrl, QueueUrl);
    await q.sendMessage({ QueueUrl, MessageBody: "hello é" });
    const { Messages } = await q.receiveMessage({ QueueUrl });
    await q.deleteMessage({ QueueUrl, ReceiptHandle: Messages[0].ReceiptHandle });
    return Messages[0].Body;
  },
  async "sns publish"() {
    const s = new SNS();
    const { TopicArn } = await s.createTopic({ Name: NAME });
    same(Boolean((await s.publish({ TopicArn, Message: "hello é" })).MessageId), true);
    return TopicArn;
  },
  async "secretsmanager secret"() {
    const s = new SecretsManager();
    await s.createSecret({ Name: NAME, SecretString: "hush" });
    return (await s.getSecretValue({ SecretId: NAME })).SecretString;
  },
  async "ssm parameter"() {
    const s = new SSM();
    await s.putParameter({ Name: "/" + NAME, Value: "v1", Type: "SecureString" });
    return (await s.getParameter({ Name: "/" + NAME, WithDecryption: true })).Parameter.Value;
  },
  async "kms encrypt, decrypt"() {
    const k = new KMS();
    const { KeyId } = (await k.createKey({})).KeyMetadata;
    const { CiphertextBlob } = await k.encrypt({ KeyId, Plaintext: SMALL });
    same(digest((await k.decrypt({ KeyId, CiphertextBlob })).Plaintext), digest(SMALL));
  },
  async "lambda invoke"() {
    const got = await new Lambda().invoke({ FunctionName: "echo", Payload: '{"a":1}' });
    return got.StatusCode + " " + got.Payload.transformToString();
  },
  async "logs events"() {
    const c = new CloudWatchLogs();
    const where = { logGroupName: NAME, logStreamName: "s" };
    await c.createLogGroup({ logGroupName: NAME });
    await c.createLogStream(where);
    await c.putLogEvents({ ...where, logEvents: [{ timestamp: Date.now(), message: "hello é" }] });
    return (await c.getLogEvents(where)).events[0].message;
  },
  async "cloudwatch metrics"() {
    const c = new CloudWatch();
    await c.putMetricData({ Namespace: NAME, MetricData: [{ MetricName: "m", Value: 1.5 }] });
    return (await c.listMetrics({ Namespace: NAME })).Metrics.map((m) => m.MetricName).join(",");
  },
};

const refused = {
  s3: () => s3.deleteBucket({ Bucket: NAME }),
  "s3 head": () => s3.headObject({ Bucket: NAME, Key: "hidden" }),
  dynamodb: () => new DynamoDB().deleteTable({ TableName: NAME }),
  sqs: () => new SQS().deleteQueue({ QueueUrl: `${process.env.AWS_ENDPOINT_URL}/123456789012/${NAME}` }),
  sns: () => new SNS().deleteTopic({ TopicArn: ARN }),
  secretsmanager: () => new SecretsManager().deleteSecret({ SecretId: NAME }),
  lambda: () => new Lambda().deleteFunction({ FunctionName: "echo" }),
  cloudwatch: () => new CloudWatch().deleteAlarms({ AlarmNames: ["a"] }),
};

const work = async (step) => ["ok", (await step()) ?? "", ""];

async function refusal(step) {
  try {
    await step();
  } catch (e) {
    return ["ok", e.name, e.message];
  }
  throw new Error("not refused");
}

const suites = {
  steps: [steps, work],
  refused: [refused, refusal],
  login: [{ "sts identity": steps["sts identity"] }, work],
};

const [suite, run] = suites[process.argv[2]];
for (const [name, step] of Object.entries(suite)) {
  const result = await run(step).catch((e) => ["failed", `${e.name}: ${e.message}`, ""]);
  console.log([name, ...result].map((f) => f.replaceAll(/[\n\t]/g, " ")).join("\t"));
}
