"""Serialises operations with botocore in every protocol and addressing, the
oracle of TestCorpus.

    python3 corpus.py few|every PART/PARTS

Writes one JSON line for each request to standard output: service, operation,
protocol, addressing, variant ("required" members or "all"), SigV4 scope, host,
method, target, headers and base64 body. A service that lists several protocols
is serialised in each of them, by a model that lists that one alone. A part is
the operations whose names hash to it; "few" gives each service but S3 one
addressing only, "every" gives all.
"""

import json, os, sys, zlib

import botocore.loaders
import botocore.session
from botocore.config import Config

import serialize

NAME = "http://gw.example.internal:8080"
os.environ["AWS_S3_DISABLE_EXPRESS_SESSION_AUTH"] = "true"  # a directory bucket's requests with the keys themselves

# Each addressing with its endpoint, None for AWS's own hosts, and settings.
PLAIN = [
    ("address", "http://127.0.0.1:8080", {"inject_host_prefix": False}),
    ("name", NAME, {}),
    ("native", None, {}),
]
BUCKETS = [
    ("address", "http://127.0.0.1:8080", {"s3": {"addressing_style": "path"}, "inject_host_prefix": False}),
    ("name, path style", NAME, {"s3": {"addressing_style": "path"}}),
    ("name, virtual host", NAME, {"s3": {"addressing_style": "virtual"}}),
    ("native, path style", None, {"s3": {"addressing_style": "path"}}),
    ("native, virtual host", None, {"s3": {"addressing_style": "virtual"}}),
    ("native, dual stack", None, {"s3": {"addressing_style": "virtual"}, "use_dualstack_endpoint": True}),
    ("native, FIPS", None, {"s3": {"addressing_style": "virtual"}, "use_fips_endpoint": True}),
]

# What else stands in the place of a bucket's name.
IN_PLACE = [("access point", "arn:aws:s3:us-east-1:111122223333:accesspoint/ap1"), ("directory bucket", "b--use1-az4--x-s3")]


class OneProtocol(botocore.loaders.Loader):
    """A loader whose models list one protocol."""

    protocol = None

    def load_service_model(self, service_name, type_name, api_version=None):
        model = super().load_service_model(service_name, type_name, api_version)
        if type_name == "service-2" and self.protocol:
            model = {**model, "metadata": {**model["metadata"], "protocols": [self.protocol], "protocol": self.protocol}}
        return model


def protocols(session, service):
    metadata = session.get_service_model(service).metadata
    for protocol in metadata.get("protocols", [metadata["protocol"]]):
        yield protocol, "json-" + metadata["jsonVersion"] if protocol == "json" else protocol


def ways(service):
    if service != "s3":
        yield from ((*way, {}) for way in PLAIN)
        return
    yield from ((*way, {}) for way in BUCKETS)
    for name, value in IN_PLACE:
        yield "native, " + name, None, {}, {"Bucket": value}


def main():
    every = sys.argv[1] == "every"
    part, parts = map(int, sys.argv[2].split("/"))
    session = botocore.session.Session()
    loader = OneProtocol(include_default_search_paths=True)
    session.register_component("data_loader", loader)
    refused = 0
    for service in session.get_available_services():
        loader.protocol = None
        for protocol, name in list(protocols(session, service)):
            loader.protocol = protocol
            for i, (addressing, endpoint, settings, named) in enumerate(ways(service)):
                if not every and service != "s3" and i != zlib.crc32(service.encode()) % len(PLAIN):
                    continue
                client = serialize.client(session, service, endpoint, Config(parameter_validation=False, retries={"total_max_attempts": 1}, **settings))
                for line in serialize.requests(client, service, ("required", "all"), named, lambda operation: zlib.crc32(operation.encode()) % parts == part):
                    if "error" in line:
                        refused += 1
                        continue
                    line.update(protocol=name, addressing=addressing)
                    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    print(f"{refused} requests that botocore refused to make", file=sys.stderr)


if __name__ == "__main__":
    main()
