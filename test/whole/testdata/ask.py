"""Makes one call as an agent would, prints how botocore took it."""
import datetime
import io
import json
import logging
import os
import socket
import sys

import boto3
import botocore
import botocore.auth
import botocore.credentials
import botocore.exceptions
import botocore.utils

log = io.StringIO()
logging.getLogger("botocore.awsrequest").addHandler(logging.StreamHandler(log))
logging.getLogger("botocore.awsrequest").setLevel(logging.DEBUG)

config = boto3.session.Config(s3={"addressing_style": "path"})
if sys.argv[1] == "unsigned":
    config = config.merge(boto3.session.Config(signature_version=botocore.UNSIGNED))
if sys.argv[1].startswith("virtual"):
    # Whatever stands before the gateway's name is this machine.
    config = config.merge(boto3.session.Config(s3={"addressing_style": "virtual"}))
    os.environ["AWS_ENDPOINT_URL"] = os.environ["ASK_URL"]
    resolve = socket.getaddrinfo
    socket.getaddrinfo = lambda host, *a, **k: resolve("127.0.0.1" if host.endswith(".example.internal") else host, *a, **k)
session = boto3.session.Session()


def renew():
    """What the container endpoint gives, by botocore's own client for it."""
    fetch = botocore.utils.ContainerMetadataFetcher().retrieve_full_uri
    got = fetch(os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"], headers={"Authorization": os.environ["AWS_CONTAINER_AUTHORIZATION_TOKEN"]})
    return {"access_key": got["AccessKeyId"], "secret_key": got["SecretAccessKey"], "token": got["Token"], "expiry_time": got["Expiration"]}


if sys.argv[1] == "renewed":
    old = session.get_credentials().get_frozen_credentials()
    session._session._credentials = botocore.credentials.RefreshableCredentials(
        old.access_key, old.secret_key, old.token, datetime.datetime.now(datetime.timezone.utc), renew, "container-role")
if sys.argv[1] == "late":
    now = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *a, **k: now(*a, **k) - datetime.timedelta(hours=2)
s3 = session.client("s3", config=config)
attempts = []
s3.meta.events.register("before-send.s3", lambda request, **_: attempts.append(request))


def expect(request, **_):
    if sys.argv[1].endswith("at_once"):
        del request.headers["Expect"]
    else:
        request.headers["Expect"] = "100-continue"


body = io.BytesIO(b"x" * 200_000)
calls = {
    "forbidden": lambda: s3.get_object(Bucket="payroll", Key="a"),
    "virtual_put": lambda: s3.put_object(Bucket="reports", Key="a b/c", Body=b"hello"),
    "virtual_get": lambda: s3.get_object(Bucket="reports", Key="a b/c"),
    "virtual_forbidden": lambda: s3.get_object(Bucket="payroll", Key="a b/c"),
    "late": lambda: s3.get_object(Bucket="reports", Key="a"),
    "renewed": lambda: s3.get_object(Bucket="reports", Key="a"),
    "unsigned": lambda: s3.get_object(Bucket="reports", Key="a"),
    "unpermitted": lambda: s3.delete_object(Bucket="reports", Key="a"),
    "put_object": lambda: s3.put_object(Bucket="reports", Key="a", Body=body),
    "put_forbidden": lambda: s3.put_object(Bucket="payroll", Key="a", Body=io.BytesIO(bytes(100 << 20))),
    "put_forbidden_at_once": lambda: s3.put_object(Bucket="payroll", Key="a", Body=io.BytesIO(bytes(100 << 20))),
    "put_object_recorded": lambda: s3.put_object(Bucket="recorded", Key="a", Body=body),
    "put_bucket_policy": lambda: s3.put_bucket_policy(Bucket="reports", Policy='{"Version": "2012-10-17", "Statement": []}'),
}
if sys.argv[1].startswith("put"):
    s3.meta.events.register("before-sign.s3", expect)
try:
    answer, code = calls[sys.argv[1]](), ""
except botocore.exceptions.ClientError as e:
    answer, code = e.response, e.response["Error"]["Code"]
status = answer["ResponseMetadata"]["HTTPStatusCode"]
print(json.dumps({"Code": code, "Status": status, "Attempts": len(attempts), "Date": answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""), "Log": log.getvalue()}))
