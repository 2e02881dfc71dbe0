"""Logs in as boto3 does by itself and prints what came of it as JSON.

The credentials come from the environment. The one call that is made is caught
before it is sent, to see where it would have gone and with which key.
"""
import json

import boto3
import botocore.awsrequest
import botocore.exceptions


class Body:
    def stream(self, **_):
        yield b"{}"


def main():
    out = {}
    try:
        session = boto3.Session(region_name="us-east-1")
        credentials = session.get_credentials()
        frozen = credentials.get_frozen_credentials()
        out = {"key": frozen.access_key, "secret": frozen.secret_key, "token": frozen.token}
        out["account"] = getattr(frozen, "account_id", None) or ""
        out["expires"] = credentials._expiry_time.isoformat()

        def catch(request, **_):
            out["url"], out["authorization"] = request.url, str(request.headers["Authorization"])
            return botocore.awsrequest.AWSResponse(request.url, 200, {}, Body())

        client = session.client("dynamodb")
        client.meta.events.register("before-send.dynamodb", catch)
        client.list_tables()
    except botocore.exceptions.ClientError as e:
        out["error"], out["message"] = e.response["Error"]["Code"], str(e)
        out["request"] = e.response["ResponseMetadata"].get("RequestId")
    except Exception as e:
        out["error"], out["message"] = type(e).__name__, str(e)
    print(json.dumps(out))


main()
