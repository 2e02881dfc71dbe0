"""Records requests as botocore sends them, without a network: python3 record.py > botocore.json"""
import json

import boto3
import botocore
from botocore.awsrequest import AWSResponse
from botocore.config import Config

KEY = dict(aws_access_key_id="CRDNABCDEFGHIJKLMNOP", aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
           aws_session_token="sealed+token/==", region_name="eu-central-1")
out = []

def client(service, endpoint, **config):
    c = boto3.client(service, endpoint_url=endpoint, config=Config(retries={"max_attempts": 1}, **config), **KEY)
    def keep(request, **_):
        body = request.body
        if hasattr(body, "read"):
            body = body.read()
        if isinstance(body, str):
            body = body.encode()
        out.append({"method": request.method, "url": request.url, "body": (body or b"").decode("latin-1"),
                    "headers": [[k.lower(), v.decode() if isinstance(v, bytes) else str(v)] for k, v in request.headers.items()]})
        return AWSResponse(request.url, 200, {}, type("Raw", (), {"stream": lambda self: iter([b""])})())
    c.meta.events.register("before-send", keep)
    return c

def call(f, **kw):
    try:
        f(**kw)
    except Exception:
        pass  # the empty answer is not one that every operation can read

http, https = "http://127.0.0.1:8080", "https://gw.example.internal"
for endpoint in (http, https):
    s3 = client("s3", endpoint)
    key = "a b+c=d&\u00e9//x~(1)'!*,;:@$[].txt"
    call(s3.get_object, Bucket="bucket", Key=key)
    call(s3.get_object, Bucket="bucket", Key="../up/./here", Range="bytes=0-9", VersionId="a+b/c=")
    call(s3.put_object, Bucket="bucket", Key=key, Body=b"hello", Metadata={"a": "two  spaces"}, ContentType="text/plain")
    call(s3.list_objects_v2, Bucket="bucket", Prefix="a b/+&=\u00e9~", Delimiter="/")
    call(s3.copy_object, Bucket="bucket", Key="to", CopySource={"Bucket": "from", "Key": "k \u00e9"})
    call(s3.delete_objects, Bucket="bucket", Delete={"Objects": [{"Key": "k"}]})
    call(s3.create_multipart_upload, Bucket="bucket", Key="k")
    call(client("dynamodb", endpoint).get_item, TableName="t", Key={"id": {"S": "1"}})
    call(client("sqs", endpoint).send_message, QueueUrl=endpoint + "/1/q", MessageBody="m")
    call(client("sts", endpoint).get_caller_identity)
    call(client("secretsmanager", endpoint).get_secret_value, SecretId="s")
    call(client("lambda", endpoint).invoke, FunctionName="arn:aws:lambda:eu-central-1:1:function:f:prod", Payload=b"{}")
    call(client("iot-data", endpoint).publish, topic="a/b c+\u00e9", payload=b"x")
    call(client("apigateway", endpoint).get_resource, restApiId="r", resourceId="a b", embed=["methods"])
    call(client("ec2", endpoint).describe_instances, InstanceIds=["i-1"])
    call(client("cloudwatch", endpoint).list_metrics)
for service, op, kw in (("s3", "get_object", {"Bucket": "bucket", "Key": "a b+c/\u00e9"}), ("s3", "put_object", {"Bucket": "bucket", "Key": "k"}), ("sts", "get_caller_identity", {})):
    c = client(service, https, signature_version="s3v4" if service == "s3" else "v4")
    url = c.generate_presigned_url(op, Params=kw, ExpiresIn=600, HttpMethod="GET" if op != "put_object" else "PUT")
    out.append({"method": "PUT" if op == "put_object" else "GET", "url": url, "body": "", "headers": []})
c = boto3.client("s3", endpoint_url=https, config=Config(signature_version="s3"), **KEY)  # Signature Version 2
out.append({"method": "GET", "url": c.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "k"}), "body": "", "headers": [], "rule": "sigv2"})
print(json.dumps({"botocore": botocore.__version__, "requests": out}, indent=1))
