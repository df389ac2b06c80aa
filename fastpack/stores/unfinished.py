"""Unfinished uploads: parts at a store of which no object was made.

They take space, and no listing of objects has them. The client of stores cannot list them. So this
needs boto3, and a store with S3's interface.
"""

import contextlib
import importlib
from dataclasses import dataclass
from typing import Any

from fastpack.stores.store_path import StorePath


@dataclass(frozen=True)
class UnfinishedUpload:
    """An upload that was neither completed nor aborted.

    Args:
        name: of the object.
        key: of the object.
        number: the store's id of the upload.
    """

    name: str
    key: str
    number: str


def unfinished_uploads(folder: StorePath) -> list[UnfinishedUpload] | None:
    """Return the unfinished uploads of objects in a folder; None if they cannot be listed."""
    client = _client(folder)
    if client is None:
        return None
    prefix = folder.prefix
    found = []
    with contextlib.suppress(Exception):  # of botocore: no permission, or no such request
        pages = client.get_paginator("list_multipart_uploads").paginate(
            Bucket=_bucket(folder), Prefix=prefix
        )
        for upload in (each for page in pages for each in page.get("Uploads", ())):
            name = upload["Key"].removeprefix(prefix)
            found.append(UnfinishedUpload(name, upload["Key"], upload["UploadId"]))
        return found
    return None


def abort_upload(folder: StorePath, upload: UnfinishedUpload) -> None:
    """Delete the parts of an upload."""
    with contextlib.suppress(Exception):  # it may have been completed or aborted meanwhile
        _client(folder).abort_multipart_upload(
            Bucket=_bucket(folder), Key=upload.key, UploadId=upload.number
        )


def _bucket(folder: StorePath) -> str:
    return folder.root.partition("://")[2]


def _client(folder: StorePath) -> Any:
    """Return boto3's client; None without boto3, or for other stores."""
    if not folder.root.startswith("s3://"):
        return None
    try:
        boto3 = importlib.import_module("boto3")
    except ImportError:
        return None
    given = {name.removeprefix("aws_"): value for name, value in folder.options}
    with contextlib.suppress(Exception):  # no credentials, or no region
        return boto3.session.Session().client(
            "s3",
            endpoint_url=given.get("endpoint") or given.get("endpoint_url"),
            aws_access_key_id=given.get("access_key_id"),
            aws_secret_access_key=given.get("secret_access_key"),
            aws_session_token=given.get("session_token") or given.get("token"),
            region_name=given.get("region"),
        )
    return None
