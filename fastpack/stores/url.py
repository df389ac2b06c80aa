"""URLs of objects: "s3://bucket/folder/name"."""

import re
from typing import Any

from fastpack.errors import OptionError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(?:/(.*))?", re.DOTALL)
# Other names of the same stores.
_ALIASES = {"s3a": "s3", "gcs": "gs", "azure": "az"}


def is_url(value: Any) -> bool:
    """Return True for a text such as "s3://bucket/key"."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def has_listing(root: str) -> bool:
    """Return True if the store of this root can list its objects: HTTP(S) servers cannot."""
    return not root.startswith(("http://", "https://"))


def split_url(url: str) -> tuple[str, str]:
    """Return the root of a URL and the key below it.

    >>> split_url("s3://bucket/train/a.tar")
    ('s3://bucket', 'train/a.tar')
    >>> split_url("gcs://bucket")
    ('gs://bucket', '')
    """
    match = _URL.fullmatch(url)
    if match is None or not match[2]:
        raise OptionError(f"this is not the URL of an object: {url!r}; use s3://bucket/key")
    scheme = match[1].lower()
    return f"{_ALIASES.get(scheme, scheme)}://{match[2]}", match[3] or ""
