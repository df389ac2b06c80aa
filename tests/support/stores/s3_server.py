"""Base of the S3 servers: keys, and a client that is not the one under test."""

from functools import cached_property
from typing import Any

from tests.support.stores.store_server import Stored, StoreServer

KEY, SECRET = "key", "secret-of-tests"
# Where a server knows users: this one may read objects, and nothing else.
READER_KEY = "reader"


class S3Server(StoreServer):
    """A server with S3's interface; botocore looks at what it stores."""

    def environment_of(self, address: str) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": address,
            "AWS_ALLOW_HTTP": "true",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false",
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "127.0.0.1",
        }

    def options_of(self, address: str) -> dict[str, str | bool]:
        return {
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "endpoint": address,
            "allow_http": True,
            "virtual_hosted_style_request": False,
        }

    @cached_property
    def client(self) -> Any:
        """botocore's client, past the proxy."""
        import boto3
        from botocore.config import Config

        session = boto3.Session(KEY, SECRET, region_name="us-east-1")
        addressing = Config(
            s3={"addressing_style": "path"}, proxies={}, retries={"max_attempts": 3}
        )
        return session.client("s3", endpoint_url=self.direct, config=addressing)

    def _make_bucket(self) -> None:
        self.client.create_bucket(Bucket=self.bucket)

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)

    def read(self, key: str) -> bytes:
        with self.client.get_object(Bucket=self.bucket, Key=key)["Body"] as body:
            return bytes(body.read())

    def delete(self, key: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=key)

    def objects(self, prefix: str = "") -> list[Stored]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        found = (each for page in pages for each in page.get("Contents", ()))
        return sorted((Stored(each["Key"], each["Size"]) for each in found), key=lambda at: at.key)

    def uploads(self, prefix: str = "") -> list[str]:
        """Keys of uploads in parts that were neither completed nor aborted."""
        begun = self.client.list_multipart_uploads(Bucket=self.bucket, Prefix=prefix)
        return sorted(each["Key"] for each in begun.get("Uploads", ()))
