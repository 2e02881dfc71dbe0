"""The grid's steps with boto3: see ../grid_test.go for what a step prints."""

import hashlib
import io
import os
import ssl
import sys
import time
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

NAME = os.environ["GRID_NAME"]
ODD = "a b+c=d&é//x.txt"
SMALL = b"0123456789abcdef" * 64
GONE = ["small", ODD, "large", "put"]
LARGE = bytes(range(256)) * (11 << 12)  # 11 MiB


def client(service, **options):
    return boto3.client(service, **options)


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def version():
    return "boto3 " + boto3.__version__


def sts_identity():
    return client("sts").get_caller_identity()["Account"]


def s3_bucket():
    s3 = client("s3")
    s3.create_bucket(Bucket=NAME)
    same(NAME in [b["Name"] for b in s3.list_buckets()["Buckets"]], True)


def s3_small():
    s3 = client("s3")
    s3.put_object(Bucket=NAME, Key="small", Body=SMALL, ContentType="text/x-grid", Metadata={"who": "grid"})
    got = s3.get_object(Bucket=NAME, Key="small")
    same(got["Body"].read(), SMALL)
    head = s3.head_object(Bucket=NAME, Key="small")
    same((head["ContentLength"], head["ContentType"], head["Metadata"]), (1024, "text/x-grid", {"who": "grid"}))
    listed = [(o["Key"], o["Size"]) for o in s3.list_objects_v2(Bucket=NAME)["Contents"]]
    same(listed, [("small", 1024)])
    return head["ETag"]


def s3_odd_key():
    s3 = client("s3")
    s3.put_object(Bucket=NAME, Key=ODD, Body=SMALL)
    same(s3.get_object(Bucket=NAME, Key=ODD)["Body"].read(), SMALL)
    return s3.list_objects_v2(Bucket=NAME, Prefix="a b+")["Contents"][0]["Key"]


def s3_multipart():
    s3 = client("s3")
    s3.upload_fileobj(io.BytesIO(LARGE), NAME, "large", Config=TransferConfig(multipart_chunksize=5 << 20))
    got = s3.get_object(Bucket=NAME, Key="large")
    return got["ETag"] + " " + digest(got["Body"].read())


class Pipe(io.RawIOBase):
    """A stream of unknown length that can't be rewound."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, b):
        return self.data.readinto(b)


def s3_stream():
    s3 = client("s3")
    s3.upload_fileobj(io.BufferedReader(Pipe(LARGE[: 6 << 20])), NAME, "stream")
    return digest(s3.get_object(Bucket=NAME, Key="stream")["Body"].read())


def use(link):
    """Call a link without any SDK, trusting what an SDK would."""
    trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    with urllib.request.urlopen(link, context=trust) as got:
        return got.read()


def s3_presigned():
    s3 = client("s3", config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url("get_object", {"Bucket": NAME, "Key": "small"}, ExpiresIn=300)
    same(use(url), SMALL)


def s3_presigned_put():
    s3 = client("s3", config=Config(signature_version="s3v4"))
    url = s3.generate_presigned_url("put_object", {"Bucket": NAME, "Key": "put"}, ExpiresIn=300)
    use(urllib.request.Request(url, data=SMALL, method="PUT", headers={"Content-Type": "text/plain"}))
    same(s3.get_object(Bucket=NAME, Key="put")["Body"].read(), SMALL)


def s3_batch_delete():
    s3 = client("s3")
    gone = s3.delete_objects(Bucket=NAME, Delete={"Objects": [{"Key": k} for k in GONE]})
    same(sorted(d["Key"] for d in gone["Deleted"]), sorted(GONE))
    return [o["Key"] for o in s3.list_objects_v2(Bucket=NAME)["Contents"]]


def dynamodb():
    db = client("dynamodb")
    db.create_table(
        TableName=NAME, BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}], AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}])
    item = {"id": {"S": "1"}, "n": {"N": "42"}, "b": {"B": b"\x00\xff"}, "text": {"S": "é"}}
    db.put_item(TableName=NAME, Item=item)
    same(db.get_item(TableName=NAME, Key={"id": {"S": "1"}})["Item"], item)
    found = db.query(TableName=NAME, KeyConditionExpression="id = :i", ExpressionAttributeValues={":i": {"S": "1"}})
    return found["Count"]


def dynamodb_error():
    db = client("dynamodb")
    try:
        db.put_item(TableName=NAME, Item={"id": {"S": "1"}}, ConditionExpression="attribute_not_exists(id)")
    except db.exceptions.ConditionalCheckFailedException as e:
        return e.response["Error"]["Message"]
    raise AssertionError("no error")


def sqs():
    q = client("sqs")
    url = q.create_queue(QueueName=NAME)["QueueUrl"]
    same(q.get_queue_url(QueueName=NAME)["QueueUrl"], url)
    q.send_message(QueueUrl=url, MessageBody="hello é")
    got = q.receive_message(QueueUrl=url)["Messages"][0]
    q.delete_message(QueueUrl=url, ReceiptHandle=got["ReceiptHandle"])
    return got["Body"]


def sns():
    s = client("sns")
    arn = s.create_topic(Name=NAME)["TopicArn"]
    same(bool(s.publish(TopicArn=arn, Message="hello é")["MessageId"]), True)
    return arn


def secretsmanager():
    s = client("secretsmanager")
    s.create_secret(Name=NAME, SecretString="hush")
    return s.get_secret_value(SecretId=NAME)["SecretString"]


def ssm():
    s = client("ssm")
    s.put_parameter(Name="/" + NAME, Value="v1", Type="SecureString")
    return s.get_parameter(Name="/" + NAME, WithDecryption=True)["Parameter"]["Value"]


def kms():
    k = client("kms")
    key = k.create_key()["KeyMetadata"]["KeyId"]
    sealed = k.encrypt(KeyId=key, Plaintext=SMALL)["CiphertextBlob"]
    same(k.decrypt(CiphertextBlob=sealed, KeyId=key)["Plaintext"], SMALL)


def lambda_():
    got = client("lambda").invoke(FunctionName="echo", Payload=b'{"a":1}')
    return f"{got['StatusCode']} {got['Payload'].read().decode()}"


def logs():
    c = client("logs")
    c.create_log_group(logGroupName=NAME)
    c.create_log_stream(logGroupName=NAME, logStreamName="s")
    c.put_log_events(logGroupName=NAME, logStreamName="s", logEvents=[{"timestamp": int(time.time() * 1000), "message": "hello é"}])
    return c.get_log_events(logGroupName=NAME, logStreamName="s")["events"][0]["message"]


def cloudwatch():
    c = client("cloudwatch")
    c.put_metric_data(Namespace=NAME, MetricData=[{"MetricName": "m", "Value": 1.5}])
    return [m["MetricName"] for m in c.list_metrics(Namespace=NAME)["Metrics"]]


def refused(service, operation, **parameters):
    def step():
        try:
            getattr(client(service), operation)(**parameters)
        except ClientError as e:
            return e.response["Error"]["Code"], e.response["Error"]["Message"]
        raise AssertionError("not refused")

    return step


ARN = "arn:aws:sns:us-east-1:123456789012:" + NAME
STEPS = {
    "sdk version": version,
    "sts identity": sts_identity,
    "s3 bucket": s3_bucket,
    "s3 small object": s3_small,
    "s3 odd key": s3_odd_key,
    "s3 multipart": s3_multipart,
    "s3 streamed upload": s3_stream,
    "s3 presigned GET": s3_presigned,
    "s3 presigned PUT": s3_presigned_put,
    "s3 batch delete": s3_batch_delete,
    "dynamodb items": dynamodb,
    "dynamodb typed error": dynamodb_error,
    "sqs messages": sqs,
    "sns publish": sns,
    "secretsmanager secret": secretsmanager,
    "ssm parameter": ssm,
    "kms encrypt, decrypt": kms,
    "lambda invoke": lambda_,
    "logs events": logs,
    "cloudwatch metrics": cloudwatch,
}
REFUSED = {
    "s3": refused("s3", "delete_bucket", Bucket=NAME),
    "s3 head": refused("s3", "head_object", Bucket=NAME, Key="hidden"),
    "dynamodb": refused("dynamodb", "delete_table", TableName=NAME),
    "sqs": refused("sqs", "delete_queue", QueueUrl=os.environ["AWS_ENDPOINT_URL"] + "/123456789012/" + NAME),
    "sns": refused("sns", "delete_topic", TopicArn=ARN),
    "secretsmanager": refused("secretsmanager", "delete_secret", SecretId=NAME),
    "lambda": refused("lambda", "delete_function", FunctionName="echo"),
    "cloudwatch": refused("cloudwatch", "delete_alarms", AlarmNames=["a"]),
}


def run(step):
    try:
        got = step()
    except Exception as e:
        return "failed", f"{type(e).__name__}: {e}", ""
    return ("ok", *got) if isinstance(got, tuple) else ("ok", got or "", "")


def main(suite):
    login = {"sts identity": sts_identity}
    for name, step in {"steps": STEPS, "refused": REFUSED, "login": login}[suite].items():
        print(name, *(str(f).replace("\n", " ").replace("\t", " ") for f in run(step)), sep="\t", flush=True)


main(sys.argv[1])
