"""The demo's AWS account: moto with IAM on, so that signatures and role
policies are checked.

    account.py serve PORT     run moto until stopped
    account.py prepare URL    wait for it, fill it, print the gateway's key
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request

BOOTSTRAP_CALLS = 10  # how many calls moto accepts before it checks IAM
ACCOUNT = "123456789012"


def serve(port):
    os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = str(BOOTSTRAP_CALLS)
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", port])


def wait(url):
    for _ in range(300):
        try:
            urllib.request.urlopen(url + "/moto-api/", timeout=1).close()
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    sys.exit("moto did not start")


def allow(*actions):
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def prepare(url):
    import boto3

    wait(url)

    def client(service):
        return boto3.client(service, endpoint_url=url, region_name="us-east-1",
                            aws_access_key_id="bootstrap", aws_secret_access_key="bootstrap")

    iam = client("iam")
    iam.create_user(UserName="gateway")
    iam.put_user_policy(UserName="gateway", PolicyName="assume", PolicyDocument=allow("sts:*"))
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:user/gateway"},
             "Action": ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]}
    iam.create_role(RoleName="credence-agent", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    iam.put_role_policy(RoleName="credence-agent", PolicyName="work",
                        PolicyDocument=allow("s3:*", "dynamodb:*", "sqs:*"))
    client("s3").create_bucket(Bucket="reports")
    client("sqs").create_queue(QueueName="jobs")
    client("dynamodb").create_table(
        TableName="orders", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "number", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": n, "AttributeType": "S"} for n in ("customer", "number")])
    key = iam.create_access_key(UserName="gateway")["AccessKey"]
    print(f"AWS_ACCESS_KEY_ID={key['AccessKeyId']}\nAWS_SECRET_ACCESS_KEY={key['SecretAccessKey']}\nAWS_REGION=us-east-1")
    burn(client("sts"), BOOTSTRAP_CALLS - 8)


def burn(sts, calls):
    """Use up what moto still accepts unchecked."""
    for _ in range(calls):
        sts.get_caller_identity()


if __name__ == "__main__":
    {"serve": serve, "prepare": prepare}[sys.argv[1]](sys.argv[2])
