"""Serialises operations with botocore, the oracle of TestBotocore.

    python3 serialize.py OUT.jsonl.gz [SERVICE ...]

Each line is one request as botocore would send it to a gateway on one host:
service, operation, variant ("required" members or "all"), SigV4 scope service,
method, target, headers and base64 body. Without services: every one of the
catalog, the variant "all" for those with a file in ../gen/overrides only.
"""

import base64, gzip, io, json, os, re, sys

import botocore.awsrequest
import botocore.session
from botocore import xform_name
from botocore.config import Config

REGION, ACCOUNT = "us-east-1", "111122223333"
KEY = "1234abcd-12ab-34cd-56ef-1234567890ab"

# Values by member name; ARNs by the service's own naming.
NAMED = {
    "Bucket": "bucket", "Key": "dir/key.txt", "CopySource": "source/dir/key.txt", "QueueUrl": f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/queue",
    "QueueOwnerAWSAccountId": ACCOUNT, "AliasName": "alias/name", "Path": "/path/", "logGroupIdentifier": "group", "logGroupIdentifiers": "group",
    "TopicArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic", "TargetArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic",
    "SubscriptionArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic:{KEY}", "Statement": "SELECT * FROM t", "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/role",
    "roleArn": f"arn:aws:iam::{ACCOUNT}:role/role", "Role": f"arn:aws:iam::{ACCOUNT}:role/role", "FunctionName": "function", "Qualifier": "live",
    "Layers": f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer:1", "VersionNumber": 1,
}
BY_SERVICE = {
    "kms": {"KeyId": KEY, "SourceKeyId": KEY, "DestinationKeyId": KEY, "TargetKeyId": KEY},
    "sqs": {"SourceArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:dlq", "DestinationArn": f"arn:aws:sqs:{REGION}:{ACCOUNT}:queue"},
    "sns": {"ResourceArn": f"arn:aws:sns:{REGION}:{ACCOUNT}:topic"},
    "dynamodb": {
        "ResourceArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table", "TableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table",
        "SourceTableArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table", "BackupArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table/backup/b",
        "ExportArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table/export/e", "ImportArn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/table/import/i",
    },
    "lambda": {
        "Resource": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function", "ResourceArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function",
        "CodeSigningConfigArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:code-signing-config:csc-0123456789abcdef0",
        "DurableExecutionArn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:function:1/durable-execution/e/{KEY}",
        "Arn": f"arn:aws:lambda:{REGION}:{ACCOUNT}:layer:layer:1",
    },
    "logs": {
        "resourceArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group", "anomalyDetectorArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:anomaly-detector:a",
        "lookupTableArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:lookup-table:l", "logGroupArnList": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group",
        "deliveryDestinationArn": f"arn:aws:logs:{REGION}:{ACCOUNT}:delivery-destination:d", "resourceIdentifier": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:group",
    },
    "iam": {
        "PolicyArn": f"arn:aws:iam::{ACCOUNT}:policy/policy", "SAMLProviderArn": f"arn:aws:iam::{ACCOUNT}:saml-provider/saml",
        "OpenIDConnectProviderArn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.example.com", "PolicySourceArn": f"arn:aws:iam::{ACCOUNT}:user/user",
        "PrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/user", "Arn": f"arn:aws:iam::{ACCOUNT}:user/user", "Path": "/",
        "SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/mfa",
    },
    "s3control": {
        "Bucket": f"arn:aws:s3-outposts:{REGION}:{ACCOUNT}:outpost/op-01234567890123456/bucket/bucket", "OutpostId": "op-01234567890123456",
        "Name": "name", "AccountId": ACCOUNT,
    },
    "ec2": {"CertificateArn": f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/{KEY}"},
    "ssm": {"ResourceArn": f"arn:aws:ssm:{REGION}:{ACCOUNT}:opsitemgroup/default", "OpsItemArn": f"arn:aws:ssm:{REGION}:{ACCOUNT}:opsitem/oi-1", "AutomationAssumeRole": f"arn:aws:iam::{ACCOUNT}:role/role", "OpsMetadataArn": f"arn:aws:ssm:{REGION}:{ACCOUNT}:opsmetadata/m"},
}


def sample(service, shape, name, every, seen):
    named = {**NAMED, **BY_SERVICE.get(service, {})}
    kind = shape.type_name
    if kind in ("string", "integer", "long") and name in named:
        return named[name]
    if kind == "structure":
        if shape.name in seen:
            return {}
        if shape.is_document_type if hasattr(shape, "is_document_type") else False:
            return {"a": 1}
        members = shape.members if every else {m: shape.members[m] for m in shape.required_members}
        if getattr(shape, "is_tagged_union", False):
            first = next(iter(shape.members))
            members = {first: shape.members[first]}
        return {m: sample(service, s, m, every, seen | {shape.name}) for m, s in members.items() if not (s.type_name == "structure" and s.name in seen | {shape.name})}
    if kind == "list":
        if shape.member.name in seen:
            return []
        n = shape.metadata.get("min", 1) or 1
        return [sample(service, shape.member, name, every, seen) for _ in range(min(n, 3))]
    if kind == "map":
        if shape.value.name in seen:
            return {}
        return {sample(service, shape.key, "key", every, seen): sample(service, shape.value, name, every, seen)}
    if kind == "string":
        return text(service, shape, name)
    if kind in ("integer", "long", "short"):
        return max(1, shape.metadata.get("min", 1) or 1)
    return {"blob": b"blob", "boolean": True, "timestamp": 1600000000, "float": 1.5, "double": 1.5}[kind]


# Members that an operation has in a form of its own.
BY_OPERATION = {
    ("s3control", "CreateBucket"): {"Bucket": "bucket", "OutpostId": "op-01234567890123456"},
    ("s3control", "ListRegionalBuckets"): {"OutpostId": "op-01234567890123456"},
    ("s3control", "CreateAccessPoint"): {"Bucket": "bucket"},
    ("bedrock-agentcore", "InvokeAgentRuntimeCommand"): {"contentType": "application/json"},
}


def text(service, shape, name):
    if getattr(shape, "enum", None):
        return shape.enum[0]
    if re.search(r"rolearn$", name, re.I):
        return f"arn:aws:iam::{ACCOUNT}:role/role"
    if re.search(r"arn$", name, re.I):
        return f"arn:aws:{service}:{REGION}:{ACCOUNT}:thing/name"
    return ("name" * 30)[: max(4, min(shape.metadata.get("min", 4) or 4, 120))]


class Caught(Exception):
    pass


class Discovered:
    """The answer to the DescribeEndpoints that comes before a service's first call."""

    def __init__(self, url):
        host = re.match(r"https?://([^/]+)", url).group(1)
        self.body = json.dumps({"Endpoints": [{"Address": "cell1." + host, "CachePeriodInMinutes": 1440}]}).encode()

    def stream(self, *_, **__):
        yield self.body


def client(session, service, endpoint, config):
    return session.create_client(
        service, REGION, endpoint_url=endpoint, aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", aws_account_id=ACCOUNT, config=config
    )


def requests(client, service, variants, named={}, wanted=lambda operation: True):
    """Yields one request for each operation and variant, and those that botocore
    refuses to make. Members in named have that value, where the input has them."""
    caught = []

    def catch(request, event_name, **_):
        if event_name.endswith(".DescribeEndpoints") and operation != "DescribeEndpoints":
            return botocore.awsrequest.AWSResponse(request.url, 200, {}, Discovered(request.url))
        caught.append(request)
        raise Caught

    client.meta.events.register("before-send", catch)
    model = client.meta.service_model
    for operation in filter(wanted, model.operation_names):
        shape = model.operation_model(operation).input_shape
        previous = None
        for variant in variants:
            params = sample(service, shape, "", variant == "all", frozenset()) if shape else {}
            params.update(BY_OPERATION.get((service, operation), {}))
            params.update({k: v for k, v in named.items() if k in params})
            caught.clear()
            try:
                getattr(client, xform_name(operation))(**params)
            except Caught:
                line = record(service, operation, variant, caught[0])
                if line["rest"] != previous:
                    yield line
                previous = line["rest"]
            except Exception as e:
                yield {"service": service, "operation": operation, "variant": variant, "error": f"{type(e).__name__}: {e}"[:200]}


DROP = {"authorization", "x-amz-date", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "expect"}


def record(service, operation, variant, request):
    headers = {k.lower(): (v.decode() if isinstance(v, bytes) else str(v)) for k, v in request.headers.items()}
    scope = re.search(r"Credential=[^/]+/\d+/[^/]+/([^/]+)/", headers.get("authorization", ""))
    body = request.body
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    rest = {
        "method": request.method, "target": re.sub(r"^https?://[^/]+", "", request.url) or "/",
        "headers": sorted([k, v] for k, v in headers.items() if k not in DROP), "body": base64.b64encode(body or b"").decode(),
    }
    host = re.match(r"https?://([^/]+)", request.url).group(1)
    return {"service": service, "operation": operation, "variant": variant, "scope": scope.group(1) if scope else "", "host": host, "rest": rest}


def main():
    out, services = sys.argv[1], sys.argv[2:]
    session = botocore.session.Session()
    config = Config(s3={"addressing_style": "path"}, inject_host_prefix=False, parameter_validation=False, retries={"total_max_attempts": 1})
    overrides = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../gen/overrides")
    lines = io.StringIO()
    n = bad = 0
    for service in services or session.get_available_services():
        reviewed = os.path.exists(os.path.join(overrides, service + ".yaml"))
        for line in requests(client(session, service, "http://127.0.0.1:8080", config), service, ("required", "all") if reviewed else ("required",)):
            n += 1
            if "error" in line:
                bad += 1
                print(line, file=sys.stderr)
                continue
            lines.write(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n")
    with open(out, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write(lines.getvalue().encode())
    print(f"{n} requests, {bad} that botocore refused", file=sys.stderr)


if __name__ == "__main__":
    main()
