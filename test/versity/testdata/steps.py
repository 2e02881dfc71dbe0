"""What an agent does with boto3; the endpoint and the keys are in the environment."""

import hashlib
import io
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

s3 = boto3.client("s3", config=Config(signature_version="s3v4"))
bucket = "boto3-bucket"
large = bytes(range(251)) * 80_000


def same(got, want):
    if got != want:
        raise AssertionError(f"got {str(got)[:200]!r}, want {str(want)[:200]!r}")


def read(key):
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


s3.create_bucket(Bucket=bucket)
for key in ["small", "a b+c=d&é/x.txt", "deep/er/key"]:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode(), Metadata={"who": "boto3"}, ChecksumAlgorithm="SHA256")
    same(read(key), key.encode())
s3.upload_fileobj(io.BytesIO(large), bucket, "large", Config=TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20))
same(hashlib.sha256(read("large")).hexdigest(), hashlib.sha256(large).hexdigest())
same(s3.get_object(Bucket=bucket, Key="large", Range="bytes=5242870-5242890")["Body"].read(), large[5242870:5242891])
url = s3.generate_presigned_url("put_object", Params={"Bucket": bucket, "Key": "link"}, ExpiresIn=60)
urllib.request.urlopen(urllib.request.Request(url, data=b"by link", method="PUT")).read()
url = s3.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": "link"}, ExpiresIn=60)
same(urllib.request.urlopen(url).read(), b"by link")
elsewhere = boto3.client("s3", region_name="us-west-1", config=Config(signature_version="s3v4"))
same(elsewhere.get_object(Bucket=bucket, Key="small")["Body"].read(), b"small")  # refused once, and asked again for the right Region
keys = [o["Key"] for o in s3.list_objects_v2(Bucket=bucket)["Contents"]]
same(len(keys), 5)
gone = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": k} for k in keys]})
same(sorted(d["Key"] for d in gone["Deleted"]), sorted(keys))
same(s3.list_objects_v2(Bucket=bucket)["KeyCount"], 0)
print("done")
