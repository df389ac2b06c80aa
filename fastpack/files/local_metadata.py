"""Local metadata: where copies of the indexes and manifests of stores are kept.

They are derived, and each is compared with its object when it is used. So the folder may be deleted
at any time, and shared by all processes of a user.
"""

import hashlib
import os
from pathlib import Path

from fastpack.errors import OptionError, os_errors_at
from fastpack.files.temporary import remove_leftovers
from fastpack.stores.store_path import is_in_store

_DIGEST_BYTES = 10


def metadata_folder(folder: Path) -> Path:
    """Return the local folder for what is derived from the objects of a folder in a store.

    It is below `$XDG_CACHE_HOME`, or `~/.cache`. The variable changes no result.
    """
    given = os.environ.get("XDG_CACHE_HOME", "")
    home = given if os.path.isabs(given) else os.path.expanduser("~/.cache")
    if not os.path.isabs(home):
        raise OptionError("there is no home folder for indexes of stores; give an index_dir")
    return Path(home, "fastpack", "indexes", content_digest(str(folder)))


def content_digest(text: str) -> str:
    """Return a short digest of a URL or an etag, for the name of a file."""
    return hashlib.blake2b(os.fsencode(text), digest_size=_DIGEST_BYTES).hexdigest()


def make_metadata_folder(path: Path, of: Path) -> None:
    """Make the folder of a companion, if it is one of an object in a store."""
    if is_in_store(of) and not path.parent.is_dir():
        with os_errors_at(path.parent, "make the folder for indexes"):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_leftovers(path.parent)
