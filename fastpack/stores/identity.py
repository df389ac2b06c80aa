"""Identities of objects, from what the client knows of them."""

from typing import Any

from fastpack.stores.store import ObjectFacts

# Begins an identity that we make of size and time, for web servers without etags.
_MADE = "modified "


def condition_of(etag: str) -> dict[str, str]:
    """Return the option of a get that asks for this identity, if the store can compare it.

    Servers refuse every condition with a weak etag (RFC 9110, 13.1.1).
    """
    return {} if not etag or etag.startswith((_MADE, "W/")) else {"if_match": etag}


def facts_of(meta: Any) -> ObjectFacts:
    """Return the facts of an object. Without an etag, its time and size are its identity."""
    etag = meta["e_tag"] or meta["version"] or ""
    if not etag.endswith('"') and meta["e_tag"]:
        etag = f'"{etag}"'  # Azure's listings have it without the quotes of HTTP
    mtime_ns = round(meta["last_modified"].timestamp() * 1000) * 1_000_000
    if not etag and mtime_ns:
        etag = f"{_MADE}{mtime_ns} {meta['size']}"
    return ObjectFacts(meta["path"], meta["size"], etag, mtime_ns)
