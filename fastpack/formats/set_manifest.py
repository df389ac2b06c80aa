"""The manifest of a set whose shards were just written."""

import contextlib
from pathlib import Path

from fastpack.errors import FastpackError, FormatError
from fastpack.files.naming import data_members
from fastpack.formats.dataset_indexes import build_all
from fastpack.formats.file_index import FileIndex
from fastpack.formats.index.kinds import common_kinds
from fastpack.formats.manifest_builder import ManifestBuilder
from fastpack.formats.saved_manifest import NamedSet, save_manifest


def save_set_manifest(output: Path) -> None:
    """Save the manifest of a set of several shards, if all have fresh indexes.

    Of the indexes only headers are read. A set without a manifest gets one when it is opened.
    """
    found = NamedSet.of_output(output)
    if found is None:
        return
    paths = data_members(found.output)
    builder = ManifestBuilder(paths)

    def add(number: int) -> None:
        file = FileIndex(paths[number]).open_saved()
        if file is None:
            raise FormatError("a shard has no fresh index")
        builder.add(number, file)

    with contextlib.suppress(FastpackError):
        build_all(add, len(paths))
        # Shards with other kinds of fields are indexed again when they are opened together.
        if not common_kinds(builder.guesses):
            save_manifest(found, builder.manifest(), None)
