"""Makes every call as an agent would and prints how boto3 took each answer."""
import gzip
import json
import os
import tempfile

import boto3
import botocore.exceptions
import botocore.model

# CloudWatch speaks CBOR among others, and boto3 would choose another.
botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS = ("smithy-rpc-v2-cbor", *botocore.model.PRIORITY_ORDERED_SUPPORTED_PROTOCOLS)

session = boto3.Session()
attempts = 0


def client(service):
    made = session.client(service, config=boto3.session.Config(s3={"addressing_style": "path"}))
    made.meta.events.register("before-send", count)
    return made


def count(**_):
    global attempts
    attempts += 1


def body(answer, member="Body"):
    return answer[member].read().decode()


s3 = client("s3")


def get(key, **more):
    return s3.get_object(Bucket="reports", Key=key, **more)


def download():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "people.csv")
        s3.download_file("reports", "people.csv", path)
        return open(path, newline="").read()


def head():
    h = s3.head_object(Bucket="reports", Key="people.csv")
    return {"ETag": "ETag" in h, "Checksum": any(k.startswith("Checksum") for k in h), "Metadata": h["Metadata"], "Length": h.get("ContentLength")}


def stream():
    answer = client("bedrock-runtime").invoke_model_with_response_stream(modelId="anthropic.claude-3-haiku-20240307-v1:0", body=b"{}")
    text = ""
    for event in answer["body"]:
        text += json.loads(event["chunk"]["bytes"]).get("delta", {}).get("text", "")
    return text


def pick(answer, *members):
    return {m: answer[m] for m in members}


calls = {
    "secret": lambda: pick(client("secretsmanager").get_secret_value(SecretId="db"), "SecretString", "Name"),
    "secret in bytes": lambda: pick(client("secretsmanager").get_secret_value(SecretId="raw"), "SecretBinary"),
    "query": lambda: pick(client("dynamodb").query(TableName="people", KeyConditionExpression="id = :i", ExpressionAttributeValues={":i": {"S": "1"}}), "Items", "Count"),
    "scan": lambda: client("dynamodb").scan(TableName="people")["Items"],
    "untouched": lambda: client("dynamodb").scan(TableName="open")["Items"],
    "json": lambda: body(get("people.json")),
    "csv": lambda: body(get("people.csv")),
    "text": lambda: body(get("notes.txt")),
    "gzip": lambda: gzip.decompress(get("people.json.gz")["Body"].read()).decode(),
    "whole": lambda: body(get("vault.bin")),
    "metadata": lambda: get("people.csv")["Metadata"],
    "download": download,
    "head": head,
    "parameters": lambda: [pick(p, "Name", "Type", "Value") for p in client("ssm").get_parameters_by_path(Path="/app", WithDecryption=True)["Parameters"]],
    "stream": stream,
    "model": lambda: body(client("bedrock-runtime").invoke_model(modelId="anthropic.claude-3-haiku-20240307-v1:0", body=b"{}"), "body"),
    "function": lambda: body(client("lambda").invoke(FunctionName="lookup"), "Payload"),
    "user": lambda: pick(client("cognito-idp").admin_get_user(UserPoolId="us-east-1_a", Username="jane"), "Username", "UserAttributes", "UserCreateDate", "Enabled"),
    "app": lambda: pick(client("cognito-idp").describe_user_pool_client(UserPoolId="us-east-1_a", ClientId="c")["UserPoolClient"], "ClientName", "ClientSecret", "RefreshTokenValidity"),
    "databases": lambda: [pick(d, "DBInstanceIdentifier", "MasterUsername", "AllocatedStorage", "PendingModifiedValues") for d in client("rds").describe_db_instances()["DBInstances"]],
    "message": lambda: client("sts").decode_authorization_message(EncodedMessage="x")["DecodedMessage"],
    "alarms": lambda: [pick(a, "AlarmName", "AlarmDescription", "Threshold", "StateUpdatedTimestamp") for a in client("cloudwatch").describe_alarms()["MetricAlarms"]],
    "plaintext": lambda: client("kms").decrypt(CiphertextBlob=b"x")["Plaintext"],
    "configuration": lambda: body(client("appconfigdata").get_latest_configuration(ConfigurationToken="t"), "Configuration"),
    "records": lambda: [len(r["Data"]) for r in client("kinesis").get_records(ShardIterator="x")["Records"]],
    "error": lambda: client("secretsmanager").get_secret_value(SecretId="broken"),
    "withheld": lambda: client("secretsmanager").get_secret_value(SecretId="cut"),
    "a part": lambda: get("people.csv", Range="bytes=0-10"),
    "trailers": lambda: body(get("trailers.txt")),
    "events cut": lambda: client("bedrock-runtime").invoke_model_with_response_stream(modelId="anthropic.cut-v1:0", body=b"{}")["body"].__iter__().__next__(),
}

for name, call in calls.items():
    attempts = 0
    try:
        said = {"Answer": call()}
    except botocore.exceptions.ClientError as e:
        said = {"Code": e.response["Error"]["Code"], "Message": e.response["Error"]["Message"]}
    except Exception as e:  # a parser's, which no masked answer may cause
        said = {"Fault": repr(e)}
    said.update(Name=name, Attempts=attempts)
    print(json.dumps(said, default=lambda v: v.decode("latin-1") if isinstance(v, bytes) else str(v)), flush=True)
