// Writes down what the AWS SDK for JavaScript v3 sends: one line of JSON for
// each operation, with the members that its input has filled, in the client's
// own protocol; for CloudWatch in each that it speaks.
//
//   npm ci && node record.js ../values.json | gzip -9n > requests.jsonl.gz
//
// Every connection goes to a sink on a loopback port, whatever the host; the
// keys are examples.
import { readFileSync, writeSync } from "node:fs";
import { Agent, createServer } from "node:http";
import { connect } from "node:net";
import { AwsJson1_0Protocol, AwsQueryProtocol, AwsSmithyRpcV2CborProtocol } from "@aws-sdk/core/protocols";
import { NormalizedSchema } from "@smithy/core/schema";
import { NodeHttpHandler } from "@smithy/node-http-handler";

const account = "111122223333";
const gateway = "http://gw.example.internal:8080";
const values = JSON.parse(readFileSync(process.argv[2]));

// package: botocore's name of the service
const services = {
  "api-gateway": "apigateway", "bedrock-runtime": "bedrock-runtime", cloudfront: "cloudfront", "cloudwatch-logs": "logs",
  "cognito-identity-provider": "cognito-idp", datazone: "datazone", dynamodb: "dynamodb", ec2: "ec2", ecs: "ecs", eventbridge: "events", iam: "iam",
  kinesis: "kinesis", kms: "kms", lambda: "lambda", rds: "rds", "route-53": "route53", s3: "s3", "s3-control": "s3control",
  "secrets-manager": "secretsmanager", sfn: "stepfunctions", sns: "sns", sqs: "sqs", ssm: "ssm", sts: "sts", "timestream-write": "timestream-write",
};

let call = ""; // the operation that is being recorded
let last; // its last request
const mark = "x-recorded"; // the header that says for which operation the SDK sent a request

const sink = createServer((request, answer) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (request.headers[mark] !== call) return;
    if (/\.DescribeEndpoints$/.test(request.headers["x-amz-target"]) && !call.endsWith(" DescribeEndpoints")) {
      answer.end(JSON.stringify({ Endpoints: [{ Address: "cell1." + request.headers.host, CachePeriodInMinutes: 1440 }] }));
      return;
    }
    last = line(request, Buffer.concat(parts));
    answer.writeHead(400).end();
  });
});

// Headers of the connection, the signature and the SDK's own log.
const dropped = ["accept-encoding", "amz-sdk-invocation-id", "amz-sdk-request", "authorization", "connection", "content-length", "host", "user-agent", "x-amz-date", "x-amz-user-agent", mark];

function line(request, body) {
  const headers = [];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i].toLowerCase();
    if (!dropped.includes(name)) headers.push([name, request.rawHeaders[i + 1]]);
  }
  headers.sort((a, b) => (a[0] < b[0] ? -1 : 1));
  const scope = /Credential=[^/]+\/\d+\/[^/]+\/([^/]+)\//.exec(request.headers.authorization ?? "");
  return { scope: scope ? scope[1] : "", host: request.headers.host, rest: { method: request.method, target: request.url, headers, body: body.toString("base64") } };
}

// toSink sends every request to the sink in the clear, under its own host.
class ToSink extends NodeHttpHandler {
  handle(request, options) {
    request.protocol = "http:";
    request.headers[mark] = call;
    return super.handle(request, options);
  }
}

function client(module, endpoint, protocol) {
  const name = Object.keys(module).find((k) => k.endsWith("Client") && k !== "__Client");
  const agent = new Agent();
  agent.createConnection = () => connect(sink.address().port, "127.0.0.1");
  const config = {
    region: "us-east-1", maxAttempts: 1, credentials: { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret", accountId: account },
    requestHandler: new ToSink({ httpAgent: agent }), logger: {},
  };
  if (endpoint) config.endpoint = endpoint;
  if (protocol) config.protocol = protocol;
  return new module[name](config);
}

// fill makes up a value for a schema. Structures stand depth levels deep at most.
function fill(schema, name, at, depth) {
  const listed = [`${at.service} ${at.operation} ${name}`, `${at.service} ${name}`, name].find((key) => key in values);
  if (listed && values[listed] === null) return undefined;
  if (schema.isStreaming() && !schema.isBlobSchema()) return undefined; // events
  if (schema.isDocumentSchema()) return { a: 1 };
  if (schema.isStructSchema()) return depth > 0 ? structure(schema, at, depth - 1) : undefined;
  if (schema.isListSchema()) {
    const element = fill(schema.getValueSchema(), name, at, depth);
    return element === undefined ? undefined : [element];
  }
  if (schema.isMapSchema()) {
    const value = fill(schema.getValueSchema(), name, at, depth);
    return value === undefined ? undefined : { key: value };
  }
  if (schema.isBlobSchema()) return Buffer.from("blob");
  if (schema.isTimestampSchema()) return new Date(1600000000000);
  if (schema.isBooleanSchema()) return true;
  if (schema.isNumericSchema()) return 1;
  if (schema.isBigIntegerSchema()) return 1n;
  return listed ? values[listed] : text(name, at);
}

function structure(schema, at, depth) {
  const out = {};
  for (const [name, member] of schema.structIterator()) {
    const value = fill(member, name, at, depth);
    if (value === undefined) continue;
    out[name] = value;
    if (schema.isUnionSchema()) break;
  }
  return out;
}

function text(name, at) {
  if (/rolearn$/i.test(name)) return `arn:aws:iam::${account}:role/role`;
  if (/arn$/i.test(name)) return `arn:aws:${at.service}:us-east-1:${account}:thing/name`;
  return "name";
}

let lines = 0, missed = 0;

// record writes a line for each operation of a service, by turns at AWS's host
// and at the gateway's.
async function record(module, service, protocol) {
  const clients = [client(module, "", protocol), client(module, gateway, protocol)];
  const operations = Object.values(module).filter((v) => Array.isArray(v) && v[0] === 9);
  for (const [i, [, , operation, , input]] of operations.entries()) {
    call = service + " " + operation;
    last = undefined;
    const params = structure(NormalizedSchema.of(input()), { service, operation }, 2);
    let reason;
    await clients[i % 2].send(new module[operation + "Command"](params)).catch((e) => (reason = e));
    if (!last) {
      missed++;
      console.error(`${call} was not sent: ${reason}`);
      continue;
    }
    lines++;
    writeSync(1, JSON.stringify({ service, operation, ...last }) + "\n");
  }
}

await new Promise((ready) => sink.listen(0, "127.0.0.1", ready));
for (const [name, service] of Object.entries(services)) await record(await import("@aws-sdk/client-" + name), service);
for (const protocol of [AwsSmithyRpcV2CborProtocol, AwsJson1_0Protocol, AwsQueryProtocol]) await record(await import("@aws-sdk/client-cloudwatch"), "cloudwatch", protocol);
console.error(`${lines} requests, ${missed} operations that the SDK did not send`);
process.exit(0);
