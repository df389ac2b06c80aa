"""LinkPolicy: refuses files outside a source's folder.

All parts that read a source ask it.
"""

import errno
import os

from fastpack.errors import (
    FastpackError,
    Location,
    MissingFileError,
    SourceError,
    UnreadableFileError,
    with_location,
)


class LinkPolicy:
    """Decides whether a path may be read: only below `root`, links followed.

    Args:
        root: the source's folder. It may be a link itself.
        allow_external: allow all paths.

    >>> policy = LinkPolicy("photos")
    >>> policy.fault("photos/cat/1.jpg") is None, str(policy.fault("photos/../1.jpg"))[:28]
    (True, 'this leads out of photos, by')
    """

    def __init__(self, root: str | os.PathLike[str], *, allow_external: bool = False) -> None:
        self._root = os.fspath(root)
        self._real_root = None if allow_external else os.path.realpath(root)

    def allows(self, path: str) -> bool:
        """Return True if a path leads to the folder or below it, links followed."""
        if self._real_root is None:
            return True
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(os.path.join(self._real_root, ""))

    def fault(self, path: str) -> FastpackError | None:
        """Return the error of a link that is broken or leads out; None for other paths."""
        if os.path.lexists(path) and not os.path.exists(path):
            return _broken_link(path)
        return None if self.allows(path) else self.refusal(path)

    def refusal(self, path: str) -> SourceError:
        """Return the error of a path that leads out."""
        message = f"this leads out of {self._root}, by a link or by its name"
        remedy = "put the files themselves there, or give allow_external"
        return SourceError(with_location(f"{message}; {remedy}", Location(path)))


def _broken_link(path: str) -> FastpackError:
    remedy = "remove the link, or restore its target"
    try:
        os.stat(path)
    except FileNotFoundError:
        message = f"this link leads to {os.readlink(path)}, which does not exist; {remedy}"
        return MissingFileError(errno.ENOENT, with_location(message, Location(path)))
    except OSError as error:
        message = f"this link cannot be followed: {error.strerror}; {remedy}"
        return UnreadableFileError(error.errno, with_location(message, Location(path)))
    message = "the target of this link appeared meanwhile; pack again"
    return UnreadableFileError(with_location(message, Location(path)))
