"""An agent with an unchanged boto3: it knows nothing of credence.

    agent.py login        log in, and tell which key that gave
    agent.py orders       put, get and query items of a DynamoDB table
    agent.py jobs         send and receive a message of an SQS queue
    agent.py direct URL   try the agent's keys at AWS itself, past the gateway
"""

import sys

import boto3
from boto3.dynamodb.conditions import Key
from botocore.exceptions import ClientError


def login():
    credentials = boto3.Session().get_credentials().get_frozen_credentials()
    kind = "the gateway" if credentials.access_key.startswith("CRDN") else "AWS"
    print(f"logged in: key {credentials.access_key[:8]}... of {kind}")


def orders():
    table = boto3.resource("dynamodb").Table("orders")
    for number, item in ("1", "lamp"), ("2", "chair"):
        table.put_item(Item={"customer": "ann", "number": number, "item": item})
    print("get order 1:", table.get_item(Key={"customer": "ann", "number": "1"})["Item"]["item"])
    found = table.query(KeyConditionExpression=Key("customer").eq("ann"))["Items"]
    print("query orders:", ", ".join(f"{o['number']} {o['item']}" for o in found))


def jobs():
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="hello")
    print("received:", sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])


def direct(url):
    try:
        boto3.client("s3", endpoint_url=url).get_object(Bucket="reports", Key="2026/report.txt")
    except ClientError as error:
        sys.exit(f"refused by AWS: {error}")


if __name__ == "__main__":
    {"login": login, "orders": orders, "jobs": jobs, "direct": direct}[sys.argv[1]](*sys.argv[2:])
