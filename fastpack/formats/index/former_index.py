"""Loading of indexes that earlier versions saved."""

import json
from pathlib import Path

from fastpack.core.schema import Schema
from fastpack.errors import FastpackError, os_errors_at
from fastpack.files.shard import Shard
from fastpack.formats.index.damaged import damaged_index
from fastpack.formats.index.digest import RecordDigest
from fastpack.formats.index.index import Index
from fastpack.formats.index.npz_index import VERSION, Arrays, StoredArrays, with_present_names


def is_former(path: Path) -> bool:
    """Return True if a file is an .npz, the form of earlier versions."""
    with os_errors_at(path, "read"), open(path, "rb") as file:
        return file.read(2) == b"PK"


def load_former(path: Path, folder: Path, max_bytes: int | None) -> Index:
    """Load an index that an earlier version saved. Raises FormatError if it is damaged."""
    # Late: zipfile takes a tenth of the time that importing fastpack may take.
    from fastpack.files.npz import NPZ_ERRORS, load_npz

    try:
        arrays = with_present_names(load_npz(path, max_bytes))
        index = _of_arrays(arrays, folder)
        index.check_spans()
        index.check_chunks()
    except FastpackError:
        raise
    except NPZ_ERRORS as error:
        raise damaged_index(error, path) from error
    return index


def _of_arrays(arrays: Arrays, folder: Path) -> Index:
    about = json.loads(arrays["about"].tobytes())
    if about["version"] != VERSION:
        raise ValueError(f"it has version {about['version']}, not {VERSION}")
    stored = StoredArrays(
        arrays,
        Schema.from_json(about["schema"]),
        num_shards=len(about["shards"]),
        has_files=bool(about.get("has_files")),
        is_escaped=bool(about.get("escaped")),
    )
    first = about.get("first_seal")
    return Index.from_arrays(
        stored,
        tuple(Shard(folder / shard[0], *shard[1:]) for shard in about["shards"]),
        original_digest=None if first is None else RecordDigest.of_json(first),
        notes=tuple(map(str, about.get("notes", ()))),
        receipt=str(about.get("receipt", "")),
    )
