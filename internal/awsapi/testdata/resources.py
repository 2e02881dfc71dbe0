"""Records the requests of resources.txt as botocore makes them, for TestResources.

    python3 resources.py

writes resources.jsonl.gz beside it: for each request of the table its line, the
SigV4 scope, method, host, target, headers and base64 body.
"""

import base64, gzip, io, json, os, re

import botocore.session
from botocore import xform_name
from botocore.config import Config

REGION, ACCOUNT = "us-east-1", "111122223333"
HERE = os.path.dirname(os.path.abspath(__file__))
DROP = {"authorization", "x-amz-date", "user-agent", "amz-sdk-invocation-id", "amz-sdk-request", "expect"}


class Caught(Exception):
    pass


def client(session, service):
    config = Config(s3={"addressing_style": "path"}, inject_host_prefix=False, parameter_validation=False, retries={"total_max_attempts": 1})
    return session.create_client(service, REGION, endpoint_url="http://127.0.0.1:8080", aws_access_key_id="AKIDEXAMPLE", aws_secret_access_key="secret", config=config)


def serialize(c, operation, params):
    caught = []

    def catch(request, **_):
        caught.append(request)
        raise Caught

    c.meta.events.register("before-send", catch, unique_id="catch")
    try:
        getattr(c, xform_name(operation))(**params)
    except Caught:
        return caught[0]
    finally:
        c.meta.events.unregister("before-send", unique_id="catch")


def record(line, request):
    headers = {k.lower(): (v.decode() if isinstance(v, bytes) else str(v)) for k, v in request.headers.items()}
    scope = re.search(r"Credential=[^/]+/\d+/([^/]+)/([^/]+)/", headers["authorization"])
    host, target = re.match(r"https?://([^/]+)(.*)", request.url).groups()
    body = request.body
    if hasattr(body, "read"):
        body = body.read()
    if isinstance(body, str):
        body = body.encode()
    return {
        "line": line, "region": scope.group(1), "scope": scope.group(2), "method": request.method, "host": host, "target": target or "/",
        "headers": sorted([k, v] for k, v in headers.items() if k not in DROP), "body": base64.b64encode(body or b"").decode(),
    }


def main():
    session = botocore.session.Session()
    clients, out = {}, io.StringIO()
    with open(os.path.join(HERE, "resources.txt"), encoding="utf-8") as f:
        lines = [l.rstrip("\n") for l in f if re.match(r"[a-z]", l)]
    for line in lines:
        service, operation, params = line.split(" ", 2)
        c = clients.setdefault(service, None) or client(session, service)
        clients[service] = c
        request = serialize(c, operation, json.loads(params.replace("@", f"{REGION}:{ACCOUNT}")))
        out.write(json.dumps(record(line, request), sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n")
    with open(os.path.join(HERE, "resources.jsonl.gz"), "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write(out.getvalue().encode())


main()
