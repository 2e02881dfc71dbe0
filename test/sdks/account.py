"""The AWS account of the SDK grid, by moto.

    account.py serve PORT     run moto until stopped
    account.py prepare PORT   wait for it, fill it, switch IAM on: from then on
                              botocore checks signatures and role policies;
                              print the key of the gateway as environment
    account.py fill PORT      the same without IAM: the control's account
"""

import io
import json
import sys
import threading
import time
import urllib.error
import urllib.request
import zipfile

ACCOUNT = "123456789012"


def serve(port):
    from moto import server

    application = server.DomainDispatcherApplication
    server.DomainDispatcherApplication = lambda create: Strict(Metrics(application(create)))
    server.main(["-H", "127.0.0.1", "-p", port])


class Strict:
    """moto checks the signature of a form that it has parsed and encoded again,
    in one of two spellings of a space: this has it check the bytes as sent. And
    it takes an escaped slash of a path as it is where S3 reads a slash, as which
    the SDK for Java signs it."""

    def __init__(self, moto):
        from moto.iam.access_control import IAMRequestBase, S3IAMRequest

        self.moto, self.sent, check = moto, threading.local(), IAMRequestBase.check_signature

        def check_signature(request):
            request._body = self.sent.body or request._body
            if isinstance(request, S3IAMRequest):
                request._path = request._path.replace("%2F", "/")
            check(request)

        IAMRequestBase.check_signature = check_signature

    def __call__(self, environ, start_response):
        self.sent.body = b""
        if environ.get("CONTENT_TYPE", "").startswith("application/x-www-form-urlencoded"):
            self.sent.body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            environ["wsgi.input"] = io.BytesIO(self.sent.body)
        return self.moto(environ, start_response)


class Metrics:
    """CloudWatch's metrics in Smithy RPC v2 CBOR, which moto does not speak, in
    front of moto. Signatures are checked by moto's means where IAM is on."""

    PATH = "/service/GraniteServiceVersion20100801/operation/"

    def __init__(self, moto):
        from botocore.parsers import create_parser

        self.moto, self.parser, self.metrics = moto, create_parser("smithy-rpc-v2-cbor"), []

    def __call__(self, environ, start_response):
        from werkzeug import Request, Response

        if not environ["PATH_INFO"].startswith(self.PATH):
            return self.moto(environ, start_response)
        request = Request(environ)
        operation, body = request.path[len(self.PATH):], request.get_data()
        verify(request, operation, body)
        members = self.parser.parse_data_item(self.parser.get_peekable_stream_from_bytes(body))
        answer = cbor(getattr(self, operation)(members))
        return Response(answer, headers={"smithy-protocol": "rpc-v2-cbor"}, content_type="application/cbor")(environ, start_response)

    def PutMetricData(self, members):
        for data in members["MetricData"]:
            self.metrics.append({"Namespace": members["Namespace"], "MetricName": data["MetricName"]})
        return {}

    def ListMetrics(self, members):
        return {"Metrics": [m for m in self.metrics if m["Namespace"] == members["Namespace"]]}


def verify(request, operation, body):
    from moto import settings
    from moto.iam.access_control import IAMRequest

    if settings.INITIAL_NO_AUTH_ACTION_COUNT == 0:
        IAMRequest(ACCOUNT, request.method, request.path, {}, body, request.headers, operation).check_signature()


def cbor(value):
    """RFC 8949, of what Metrics answers with."""
    major = {str: 0x60, list: 0x80, dict: 0xA0}[type(value)]
    raw = value.encode() if major == 0x60 else value
    head = bytes([major + len(raw)]) if len(raw) < 24 else bytes([major + 24, len(raw)])
    if major == 0x60:
        return head + raw
    items = [part for pair in value.items() for part in pair] if major == 0xA0 else value
    return head + b"".join(cbor(item) for item in items)


def post(url, body):
    urllib.request.urlopen(urllib.request.Request(url, data=body.encode(), headers={"Content-Type": "text/plain"}), timeout=10).close()


def wait(url):
    for _ in range(600):
        try:
            urllib.request.urlopen(url + "/moto-api/", timeout=1).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    sys.exit("moto did not start")


def statement(effect, actions):
    return {"Effect": effect, "Action": actions, "Resource": "*"}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(**principal):
    return document({"Effect": "Allow", "Principal": principal, "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]})


def echo():
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as z:
        z.writestr("echo.py", "def handler(event, context):\n    return event\n")
    return code.getvalue()


def user(iam, name, *statements):
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="work", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


def fill(port):
    import boto3

    url = f"http://127.0.0.1:{port}"
    wait(url)
    post(url + "/moto-api/config", json.dumps({"lambda": {"use_docker": False}}))

    def client(service):
        return boto3.client(service, endpoint_url=url, region_name="us-east-1", aws_access_key_id="fill", aws_secret_access_key="fill")

    iam = client("iam")
    key = user(iam, "gateway", statement("Allow", "sts:*"))
    iam.create_role(RoleName="credence-agent", AssumeRolePolicyDocument=trust(AWS=f"arn:aws:iam::{ACCOUNT}:user/gateway"))
    iam.put_role_policy(RoleName="credence-agent", PolicyName="work", PolicyDocument=document(statement("Allow", "*")))
    role = iam.create_role(RoleName="function", AssumeRolePolicyDocument=trust(Service="lambda.amazonaws.com"))["Role"]["Arn"]
    client("lambda").create_function(FunctionName="echo", Runtime="python3.12", Role=role, Handler="echo.handler", Code={"ZipFile": echo()})
    for name, value in key.items():
        print(f"{name}={value}")


def prepare(port):
    fill(port)
    post(f"http://127.0.0.1:{port}/moto-api/reset-auth", "0")


if __name__ == "__main__":
    {"serve": serve, "fill": fill, "prepare": prepare}[sys.argv[1]](sys.argv[2])
