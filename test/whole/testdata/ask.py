"""Makes one call as an agent would, prints how botocore took it."""
import io
import json
import logging
import sys

import boto3
import botocore
import botocore.exceptions

log = io.StringIO()
logging.getLogger("botocore.awsrequest").addHandler(logging.StreamHandler(log))
logging.getLogger("botocore.awsrequest").setLevel(logging.DEBUG)

config = boto3.session.Config(s3={"addressing_style": "path"})
if sys.argv[1] == "unsigned":
    config = config.merge(boto3.session.Config(signature_version=botocore.UNSIGNED))
s3 = boto3.client("s3", config=config)
attempts = []
s3.meta.events.register("before-send.s3", lambda request, **_: attempts.append(request))


def expect(request, **_):
    request.headers["Expect"] = "100-continue"


body = io.BytesIO(b"x" * 200_000)
calls = {
    "forbidden": lambda: s3.get_object(Bucket="payroll", Key="a"),
    "unsigned": lambda: s3.get_object(Bucket="reports", Key="a"),
    "unpermitted": lambda: s3.delete_object(Bucket="reports", Key="a"),
    "put_object": lambda: s3.put_object(Bucket="reports", Key="a", Body=body),
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
print(json.dumps({"Code": code, "Status": status, "Attempts": len(attempts), "Log": log.getvalue()}))
