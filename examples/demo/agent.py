"""An agent with an unchanged boto3: it knows nothing of credence."""

import boto3
from botocore.exceptions import ClientError

table = boto3.resource("dynamodb").Table("orders")
table.put_item(Item={"id": "1", "item": "lamp"})
print("order 1:", table.get_item(Key={"id": "1"})["Item"]["item"])

sqs = boto3.client("sqs")
queue = sqs.get_queue_url(QueueName="jobs")["QueueUrl"]
sqs.send_message(QueueUrl=queue, MessageBody="hello")
print("queued:", sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])

try:
    boto3.client("secretsmanager").get_secret_value(SecretId="production")
    raise SystemExit("the secret should have been refused")
except ClientError as error:
    print("refused:", error.response["Error"]["Code"])
