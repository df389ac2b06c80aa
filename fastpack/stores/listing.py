"""Listings: the objects in folders of stores, each folder listed once."""

from dataclasses import dataclass

from fastpack.stores.store_path import StorePath


@dataclass(frozen=True)
class Listing:
    """The objects directly in a folder, as they were when it was listed.

    Args:
        objects: name -> path with its facts, sorted by name.
        folders: names of the folders in it.
    """

    objects: dict[str, StorePath]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, folder: StorePath) -> "Listing":
        """List a folder now."""
        objects, folders = folder.store.list_folder(folder.prefix)
        paths = (
            StorePath(folder.root, facts.key, folder.options).with_facts(facts)
            for facts in objects
            if not facts.key.endswith("/")  # the mark of an empty folder
        )
        return cls({path.name: path for path in paths}, tuple(folders))


class Listings:
    """The listings of one moment, by folder."""

    def __init__(self) -> None:
        self._known: dict[StorePath, Listing] = {}

    def of(self, folder: StorePath) -> Listing:
        """Return the listing of a folder, made at first use."""
        if folder not in self._known:
            self._known[folder] = Listing.of(folder)
        return self._known[folder]

    def has(self, folder: StorePath) -> bool:
        """Return True if the folder was listed."""
        return folder in self._known
