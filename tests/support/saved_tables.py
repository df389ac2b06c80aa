"""Saved indexes and manifests that tests change: their tables and texts."""

import json
from pathlib import Path
from typing import Any

from fastpack.files.table_file import TableFile, save_tables


class SavedTables:
    """The content of a table file. Change any of it, then save it with valid checksums.

    Args:
        path: of the table file.
    """

    def __init__(self, path: Path) -> None:
        file = TableFile.open(path)
        self.about: Any = json.loads(json.dumps(file.layout.about))
        self.own: Any = json.loads(file.own)
        self.tables: dict[str, dict[str, Any]] = {
            name: file.read(name) for name in file.layout.tables
        }

    def save(self, path: Path) -> None:
        """Write it to a file, which may exist."""
        own = self.own if isinstance(self.own, str) else json.dumps(self.own)
        save_tables(path, self.tables, about=self.about, own=own)
