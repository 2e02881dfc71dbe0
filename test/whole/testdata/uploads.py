"""Uploads to other services than S3, as boto3 sends them."""
import hashlib
import io
import os

import boto3


class Pipe(io.RawIOBase):
    """A stream that can't be read twice: botocore knows neither length nor hash."""

    def __init__(self, data):
        self.data = io.BytesIO(data)

    def read(self, n=-1):
        return self.data.read(n)


def client(service, **config):
    return boto3.client(service, config=boto3.session.Config(retries={"total_max_attempts": 1}, **config))


big = os.urandom(3 << 20)
bot = {"botId": "BOT1234567", "botAliasId": "TSTALIASID", "localeId": "en_US"}

glacier = client("glacier")
glacier.upload_archive(vaultName="tapes", body=io.BytesIO(big))
glacier.upload_multipart_part(vaultName="tapes", uploadId="u1", range="bytes 0-3145727/*", body=big)
client("codeartifact").publish_package_version(
    domain="ours", repository="main", format="generic", package="tool", packageVersion="1", assetName="tool.tgz",
    assetSHA256=hashlib.sha256(big).hexdigest(), assetContent=io.BytesIO(big))
client("mediastore-data").put_object(Path="a/b.mp4", Body=Pipe(big))
client("omics", inject_host_prefix=False).upload_read_set_part(
    sequenceStoreId="1234567890", uploadId="2345678901", partSource="SOURCE1", partNumber=1, payload=io.BytesIO(big))
client("ebs").put_snapshot_block(
    SnapshotId="snap-1", BlockIndex=7, BlockData=big[:512 << 10], DataLength=512 << 10, Checksum="x", ChecksumAlgorithm="SHA256")
client("lex-runtime").post_content(
    botName="orders", botAlias="prod", userId="u1", contentType="audio/l16; rate=16000; channels=1", inputStream=Pipe(big[:1_900_000]))
client("lexv2-runtime").recognize_utterance(
    sessionId="s1", requestContentType="audio/l16; rate=16000; channels=1", inputStream=io.BytesIO(big[:1_900_000]), **bot)
client("cloudsearchdomain").upload_documents(contentType="application/json", documents=io.BytesIO(b"[" + b" " * (2 << 20) + b"]"))
client("lambda").invoke_async(FunctionName="nightly", InvokeArgs=b"{}")
client("s3", inject_host_prefix=False).write_get_object_response(RequestRoute="io-use1-001", RequestToken="t", Body=io.BytesIO(big))
