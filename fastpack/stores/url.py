"""URLs of objects: "s3://bucket/folder/name".

A URL of a web server has percent-encoded characters, and perhaps a query. Keys are not encoded. A
query may be a signature, which is a secret, so it is an option of the store, and no part of a key.
"""

import re
import urllib.parse
from typing import Any

from fastpack.errors import OptionError

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)(?:/(.*))?", re.DOTALL)
# Other names of the same stores.
_ALIASES = {"s3a": "s3", "gcs": "gs", "azure": "az"}
_WEB = ("http://", "https://")
# Characters that a path in a URL may have.
_SAFE = "/!$&'()*+,;=:@~"


def is_url(value: Any) -> bool:
    """Return True for a text such as "s3://bucket/key"."""
    return isinstance(value, str) and _URL.fullmatch(value) is not None


def has_listing(root: str) -> bool:
    """Return True if the store of this root can list its objects: HTTP(S) servers cannot."""
    return not is_web(root)


def is_web(url: str) -> bool:
    """Return True for a URL of a web server."""
    return url.lower().startswith(_WEB)


def split_url(url: str) -> tuple[str, str]:
    """Return the root of a URL and the key below it.

    >>> split_url("s3://bucket/train/a.tar")
    ('s3://bucket', 'train/a.tar')
    >>> split_url("gcs://bucket")
    ('gs://bucket', '')
    >>> split_url("https://host/a%20b.tar?signature=secret")
    ('https://host', 'a b.tar')
    """
    bare = _without_query(url)
    match = _URL.fullmatch(bare)
    if match is None or not match[2]:
        raise OptionError(f"this is not the URL of an object: {bare!r}; use s3://bucket/key")
    scheme, key = match[1].lower(), match[3] or ""
    if is_web(bare):
        key = urllib.parse.unquote(key)
    return f"{_ALIASES.get(scheme, scheme)}://{match[2]}", key


def _without_query(url: str) -> str:
    return url.partition("#")[0].partition("?")[0] if is_web(url) else url


def query_of(url: str) -> str:
    """Return the query of a web server's URL; "" for other URLs.

    >>> query_of("https://host/a.tar?signature=1#part"), query_of("s3://bucket/train-?.tar")
    ('signature=1', '')
    """
    return url.partition("#")[0].partition("?")[2] if is_web(url) else ""


def joined_url(root: str, key: str) -> str:
    """Return the URL of a key, without a query.

    >>> joined_url("https://host", "a b.tar"), joined_url("s3://bucket", "a b.tar")
    ('https://host/a%20b.tar', 's3://bucket/a b.tar')
    """
    if is_web(root):
        key = urllib.parse.quote(key, safe=_SAFE)
    return f"{root}/{key}" if key else root
