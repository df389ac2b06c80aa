"""Gate: refuses what lies outside a source's folder once links are followed. Every route into a source asks it."""

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
    """Knows a source's folder without the links in its own path. With `allow_external` it lets everything pass.

    >>> LinkPolicy("photos").fault("photos/cat/1.jpg") is None, str(LinkPolicy("photos").fault("photos/../1.jpg"))[:28]
    (True, 'this leads out of photos, by')
    """

    def __init__(self, root: str | os.PathLike[str], *, allow_external: bool = False) -> None:
        self._root = os.fspath(root)
        self._real_root = None if allow_external else os.path.realpath(root)

    def allows(self, path: str) -> bool:
        """Whether a path leads to the folder, or to a place below it, once all links in it are followed."""
        if self._real_root is None:
            return True
        real = os.path.realpath(path)
        return real == self._real_root or real.startswith(os.path.join(self._real_root, ""))

    def fault(self, path: str) -> FastpackError | None:
        """What is wrong with a link: it leads out, or nowhere."""
        if os.path.lexists(path) and not os.path.exists(path):
            return _dead(path)
        return None if self.allows(path) else self.refusal(path)

    def refusal(self, path: str) -> SourceError:
        message = f"this leads out of {self._root}, by a link or by its name; put the files themselves there, or give allow_external"
        return SourceError(with_location(message, Location(path)))


def _dead(path: str) -> FastpackError:
    remedy = "remove the link, or put back what it leads to"
    try:
        os.stat(path)
    except FileNotFoundError:
        return MissingFileError(
            2,
            with_location(
                f"this link leads to {os.readlink(path)}, where nothing is; {remedy}",
                Location(path),
            ),
        )
    except OSError as error:
        return UnreadableFileError(
            error.errno,
            with_location(
                f"this link cannot be followed: {error.strerror}; {remedy}", Location(path)
            ),
        )
    return UnreadableFileError(
        with_location("this link led nowhere, and now it does; pack again", Location(path))
    )
