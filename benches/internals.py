"""fastpack's internals that the benchmarks use, in today's tree or an older one.

The guard runs these benchmarks over the fastpack of another revision, where a name may differ.
So each name has a list of places, the newest first. The other benchmarks import from here too.
"""

from dataclasses import fields
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import fastpack


def first_of(*places: str) -> Any:
    """Return the first "module:attribute" that this tree has; raise ImportError if none.

    >>> first_of("fastpack.no_such_module:Loader", "fastpack:Loader").__name__
    'Loader'
    """
    for place in places:
        module, _, attribute = place.partition(":")
        if _exists(module) and hasattr(import_module(module), attribute):
            return getattr(import_module(module), attribute)
    raise ImportError(f"this fastpack has none of {', '.join(places)}")


def first_method(owner: object, *names: str) -> Any:
    """Return the first of these methods that the object has.

    >>> first_method([3, 1], "size", "count")(3)
    1
    """
    return getattr(owner, next(name for name in names if hasattr(owner, name)))


def first_field(options: type, *names: str) -> str:
    """Return the first of these names that is an option of the dataclass.

    >>> first_field(fastpack.ReadOptions, "no_such_option", "decode")
    'decode'
    """
    known = {field.name for field in fields(options)}
    return next(name for name in names if name in known)


def _exists(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # its folder is missing
        return False


_DECODE = ("fastpack.images.decode", "fastpack.codecs.batch")
_DTYPES = ("fastpack.core.dtypes", "fastpack.structs")
_HEADERS = ("fastpack.images.headers", "fastpack.headers")
_RAGGED = ("fastpack.core.ragged", "fastpack.ragged")
_RANDOM = ("fastpack.core.rng", "fastpack.draws")
_TRANSFORMS = ("fastpack.images.transforms", "fastpack.transforms")


def _any_of(modules: tuple[str, ...], *names: str) -> Any:
    return first_of(*(f"{module}:{name}" for name in names for module in modules))


# The names after the first are those of older trees: a renaming must leave them.
ImageFiles = _any_of(("fastpack.sources", "fastpack"), "ImageFiles", "Paths")
PackResult = _any_of(("fastpack.packing", "fastpack"), "PackResult", "Packed")
Location = _any_of(("fastpack.errors",), "Location", "Place")
DecodeOptions = _any_of(_DECODE, "DecodeOptions")
EncodedImages = _any_of(_DECODE, "EncodedImages", "Pictures")
SpanSource = _any_of(_DECODE, "SpanSource", "Origin")


def source_of(buffer: Any) -> Any:
    """Return the source of spans that lie in one buffer."""
    return SpanSource.of(buffer) if hasattr(SpanSource, "of") else SpanSource(memory=buffer)


decode_images = _any_of(_DECODE, "decode_images", "decode_pictures")
FILTER = _any_of(_DTYPES, "FILTER")
NO_SPAN = _any_of(_DTYPES, "NO_SPAN")
SPAN = _any_of(_DTYPES, "SPAN")
VIEW = _any_of(_DTYPES, "VIEW")
FORMATS = _any_of(_HEADERS, "FORMATS")
probe_blobs = _any_of(_HEADERS, "probe_blobs")
Ragged = _any_of(_RAGGED, "Ragged")
offsets_of = _any_of(_RAGGED, "offsets_of")
CounterRng = _any_of(_RANDOM, "CounterRng", "Draws")
Plan = _any_of(_TRANSFORMS, "Plan")
Transform = _any_of(_TRANSFORMS, "Transform")
plan_batch = _any_of(_TRANSFORMS, "plan_batch")
whole = _any_of(_TRANSFORMS, "whole")
# The option of `open` and `PackOptions` that makes and uses seek points.
SEEK_POINTS = first_field(fastpack.ReadOptions, "seek_points", "checkpoints")
