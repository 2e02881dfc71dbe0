"""The grid's steps with the AWS CLI: see ../grid_test.go.

Each call is the CLI's own main in a process of its own, forked from one that
has loaded the CLI's modules and models, which is most of what a call costs.
"""

import base64
import hashlib
import json
import os
import re
import ssl
import sys
import tempfile
import time
import urllib.request

import awscli.clidriver
import awscli.customizations.s3.s3  # noqa: F401 (loaded before the fork)

NAME = os.environ["GRID_NAME"]
BUCKET = "s3://" + NAME
ODD = "a b+c=d&é//x.txt"
SMALL = b"0123456789abcdef" * 64
LARGE = bytes(range(256)) * (11 << 12)  # 11 MiB
DIR = tempfile.mkdtemp()
WRITE = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
# The CLI ignores AWS_ENDPOINT_URL for sqs.
SQS = ["sqs", "--endpoint-url", os.environ["AWS_ENDPOINT_URL"]]
QUEUE = os.environ["AWS_ENDPOINT_URL"] + "/123456789012/" + NAME


GONE = ["small", ODD, "large", "put"]


def load():
    """The CLI, with what the grid's calls read from its data folder."""
    driver = awscli.clidriver.create_clidriver()
    data = driver.session.get_component("data_loader")
    services = ["sts", "s3", "dynamodb", "sqs", "sns", "secretsmanager", "ssm", "kms", "lambda", "logs", "cloudwatch"]
    for kind in ["service-2", "endpoint-rule-set-1", "paginators-1", "waiters-2"]:
        for service in set(services) & set(data.list_available_services(kind)):
            data.load_service_model(service, kind)
    data.load_data("endpoints")
    data.load_data("partitions")
    return driver


CLI = load()


class Failed(Exception):
    def __init__(self, stderr):
        super().__init__(stderr.strip())
        found = re.search(r"An error occurred \((\w+)\) when calling the \w+ operation[^:]*: (.*)", stderr)
        self.code, self.message = found.groups() if found else ("", "")


def aws(*args, data=b"", config=None):
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        call(args, file("in", data), config)
    _, status = os.waitpid(child, 0)
    if status:
        raise Failed(read("err").decode())
    return read("out")


def call(args, stdin, config):
    """Be the CLI; one that reads another config file must start from nothing."""
    for target, where, flags in (0, stdin, os.O_RDONLY), (1, path("out"), WRITE), (2, path("err"), WRITE):
        os.dup2(os.open(where, flags, 0o600), target)
    status = 255
    try:
        cli = CLI
        if config:
            os.environ["AWS_CONFIG_FILE"] = config
            cli = awscli.clidriver.create_clidriver()
        status = cli.main(list(args))
        sys.stdout.flush()
    except SystemExit as e:
        status = e.code
    finally:
        os._exit(status)


def text(*args):
    return aws(*args, "--output", "text").decode().strip()


def answer(*args):
    return json.loads(aws(*args, "--output", "json"))


def path(name):
    return os.path.join(DIR, name)


def file(name, data):
    with open(path(name), "wb") as f:
        f.write(data)
    return path(name)


def read(name):
    with open(path(name), "rb") as f:
        return f.read()


def digest(data):
    return hashlib.sha256(data).hexdigest()[:16]


def same(got, want):
    if got != want:
        raise AssertionError(f"got {got!r}, want {want!r}")


def version():
    return "aws-cli " + awscli.__version__


def sts_identity():
    return text("sts", "get-caller-identity", "--query", "Account")


def s3_bucket():
    aws("s3", "mb", BUCKET)
    same(NAME in aws("s3", "ls").decode(), True)


def s3_small():
    aws("s3api", "put-object", "--bucket", NAME, "--key", "small", "--body", file("small", SMALL),
        "--content-type", "text/x-grid", "--metadata", "who=grid")
    aws("s3api", "get-object", "--bucket", NAME, "--key", "small", path("got"))
    same(read("got"), SMALL)
    head = answer("s3api", "head-object", "--bucket", NAME, "--key", "small")
    same((head["ContentLength"], head["ContentType"], head["Metadata"]), (1024, "text/x-grid", {"who": "grid"}))
    same(text("s3api", "list-objects-v2", "--bucket", NAME, "--query", "Contents[].[Key,Size]"), "small\t1024")
    return head["ETag"]


def s3_odd_key():
    aws("s3", "cp", path("small"), f"{BUCKET}/{ODD}")
    same(aws("s3", "cp", f"{BUCKET}/{ODD}", "-"), SMALL)
    return text("s3api", "list-objects-v2", "--bucket", NAME, "--prefix", "a b+", "--query", "Contents[].Key")


def s3_multipart():
    aws("s3", "cp", file("large", LARGE), BUCKET + "/large")
    aws("s3", "cp", BUCKET + "/large", path("got"))
    return digest(read("got"))


def s3_stream():
    aws("s3", "cp", "-", BUCKET + "/stream", data=LARGE[: 6 << 20])
    return digest(aws("s3", "cp", BUCKET + "/stream", "-"))


def s3_presigned():
    v4 = file("v4", b"[default]\ns3 =\n  signature_version = s3v4\n")
    url = aws("s3", "presign", BUCKET + "/small", config=v4).decode().strip()
    trust = ssl.create_default_context(cafile=os.environ.get("AWS_CA_BUNDLE"))
    with urllib.request.urlopen(url, context=trust) as got:
        same(got.read(), SMALL)


def s3_presigned_put():
    """`aws s3 presign` makes links to read alone: so this one is put without."""
    aws("s3", "cp", path("small"), BUCKET + "/put")


def s3_batch_delete():
    keys = {"Objects": [{"Key": k} for k in GONE]}
    gone = answer("s3api", "delete-objects", "--bucket", NAME, "--delete", json.dumps(keys))
    same(sorted(d["Key"] for d in gone["Deleted"]), sorted(GONE))
    return text("s3api", "list-objects-v2", "--bucket", NAME, "--query", "Contents[].Key")


def dynamodb():
    aws("dynamodb", "create-table", "--table-name", NAME, "--billing-mode", "PAY_PER_REQUEST",
        "--key-schema", "AttributeName=id,KeyType=HASH", "--attribute-definitions", "AttributeName=id,AttributeType=S")
    item = {"id": {"S": "1"}, "n": {"N": "42"}, "text": {"S": "é"}}
    aws("dynamodb", "put-item", "--table-name", NAME, "--item", json.dumps(item))
    same(answer("dynamodb", "get-item", "--table-name", NAME, "--key", '{"id":{"S":"1"}}')["Item"], item)
    return text("dynamodb", "query", "--table-name", NAME, "--key-condition-expression", "id = :i",
                "--expression-attribute-values", '{":i":{"S":"1"}}', "--query", "Count")


def dynamodb_error():
    try:
        aws("dynamodb", "put-item", "--table-name", NAME, "--item", '{"id":{"S":"1"}}', "--condition-expression", "attribute_not_exists(id)")
    except Failed as e:
        same(e.code, "ConditionalCheckFailedException")
        return e.message
    raise AssertionError("no error")


def sqs():
    url = text(*SQS, "create-queue", "--queue-name", NAME, "--query", "QueueUrl")
    aws(*SQS, "send-message", "--queue-url", url, "--message-body", "hello é")
    return text(*SQS, "receive-message", "--queue-url", url, "--query", "Messages[].Body")


def sns():
    arn = text("sns", "create-topic", "--name", NAME, "--query", "TopicArn")
    same(bool(text("sns", "publish", "--topic-arn", arn, "--message", "hello é", "--query", "MessageId")), True)
    return arn


def secretsmanager():
    aws("secretsmanager", "create-secret", "--name", NAME, "--secret-string", "hush")
    return text("secretsmanager", "get-secret-value", "--secret-id", NAME, "--query", "SecretString")


def ssm():
    aws("ssm", "put-parameter", "--name", "/" + NAME, "--value", "v1", "--type", "SecureString")
    return text("ssm", "get-parameter", "--name", "/" + NAME, "--with-decryption", "--query", "Parameter.Value")


def kms():
    key = text("kms", "create-key", "--query", "KeyMetadata.KeyId")
    sealed = text("kms", "encrypt", "--key-id", key, "--plaintext", "aGVsbG8=", "--query", "CiphertextBlob")
    blob = "fileb://" + file("sealed", base64.b64decode(sealed))
    return text("kms", "decrypt", "--key-id", key, "--ciphertext-blob", blob, "--query", "Plaintext")


def lambda_():
    status = text("lambda", "invoke", "--function-name", "echo", "--payload", '{"a":1}', path("got"), "--query", "StatusCode")
    return f"{status} {read('got').decode()}"


def logs():
    aws("logs", "create-log-group", "--log-group-name", NAME)
    where = ["--log-group-name", NAME, "--log-stream-name", "s"]
    aws("logs", "create-log-stream", *where)
    aws("logs", "put-log-events", *where, "--log-events", json.dumps([{"timestamp": int(time.time() * 1000), "message": "hello é"}]))
    return text("logs", "get-log-events", *where, "--query", "events[].message")


def cloudwatch():
    aws("cloudwatch", "put-metric-data", "--namespace", NAME, "--metric-name", "m", "--value", "1.5")
    return text("cloudwatch", "list-metrics", "--namespace", NAME, "--query", "Metrics[].MetricName")


def refused(*args):
    def step():
        try:
            aws(*args)
        except Failed as e:
            return e.code, e.message
        raise AssertionError("not refused")

    return step


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
    "s3": refused("s3api", "delete-bucket", "--bucket", NAME),
    "s3 head": refused("s3api", "head-object", "--bucket", NAME, "--key", "hidden"),
    "dynamodb": refused("dynamodb", "delete-table", "--table-name", NAME),
    "sqs": refused(*SQS, "delete-queue", "--queue-url", QUEUE),
    "sns": refused("sns", "delete-topic", "--topic-arn", "arn:aws:sns:us-east-1:123456789012:" + NAME),
    "secretsmanager": refused("secretsmanager", "delete-secret", "--secret-id", NAME),
    "lambda": refused("lambda", "delete-function", "--function-name", "echo"),
    "cloudwatch": refused("cloudwatch", "delete-alarms", "--alarm-names", "a"),
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
