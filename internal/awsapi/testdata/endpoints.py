"""Asks botocore's resolver for hosts and scopes, the oracle of TestEndpoints.

    python3 endpoints.py OUT.json.gz
"""

import gzip, json, sys
from urllib.parse import urlsplit

import botocore.session

REGIONS = [("aws", "us-east-1"), ("aws", "eu-west-1"), ("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")]


def main():
    session = botocore.session.Session()
    out = []
    for service in session.get_available_services():
        for partition, region in REGIONS:
            try:
                client = session.create_client(service, region, aws_access_key_id="a", aws_secret_access_key="b")
                found = resolve(client, region)
            except Exception as e:
                print(service, region, type(e).__name__, e, file=sys.stderr)
                continue
            if found:
                out.append({"service": service, "partition": partition, "region": region, **found})
    with open(sys.argv[1], "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write(json.dumps(out, separators=(",", ":"), sort_keys=True).encode())


def resolve(client, region):
    resolver = client._ruleset_resolver
    model = client.meta.service_model
    params = {}
    for name, spec in resolver._param_definitions.items():
        if spec.builtin == "AWS::Region":
            params[name] = region
        elif spec.default is not None:
            params[name] = spec.default
    endpoint = resolver._provider.resolve_endpoint(**params)
    url = urlsplit(endpoint.url)
    if url.scheme != "https" or url.path not in ("", "/"):
        return None
    schemes = [s for s in endpoint.properties.get("authSchemes", []) if s["name"] == "sigv4"]
    name, signing = model.signing_name, region
    if schemes:
        name, signing = schemes[0].get("signingName", name), schemes[0].get("signingRegion", region)
    return {"host": url.netloc, "signingName": name, "signingRegion": signing}


main()
