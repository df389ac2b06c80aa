"""The stores of this process, by URL."""

import os
from collections.abc import Mapping
from typing import Any

from fastpack.errors import OptionError
from fastpack.stores.store import Options, Store
from fastpack.stores.url import query_of, split_url

_stores: dict[tuple[int, str, Options], Store] = {}


def store_of(url: str, options: Mapping[str, Any] | Options = ()) -> tuple[Store, str]:
    """Return the store of a URL, made at first use in this process, and the key in it."""
    root, key = split_url(url)
    return store_at(root, options_for(url, options)), key


def store_at(root: str, options: Options = ()) -> Store:
    """Return the store of a root, made at first use in this process."""
    known = os.getpid(), root, options
    if known not in _stores:
        # setdefault keeps one of two stores that racing threads make.
        _stores.setdefault(known, _new_store(root, options))
    return _stores[known]


def options_of(options: Mapping[str, Any] | Options) -> Options:
    """Return options in a hashable form."""
    return tuple(sorted(dict(options).items()))


def options_for(url: str, options: Mapping[str, Any] | Options) -> Options:
    """Return the options of a URL's store: those given, and the URL's query."""
    query = query_of(url)
    return options_of({**dict(options), "query": query} if query else options)


def _new_store(root: str, options: Options) -> Store:
    from fastpack.stores.object_store import SCHEMES, ObjectStore

    scheme = root.partition("://")[0]
    if scheme in SCHEMES:
        return ObjectStore(root, options)
    from fastpack.stores.fsspec_store import FsspecStore, is_known

    if is_known(scheme):
        return FsspecStore(root, options)
    known = ", ".join(sorted(SCHEMES))
    raise OptionError(
        f"there is no client for {scheme}:// URLs; use one of {known}, "
        "or install fsspec, which knows more"
    )
