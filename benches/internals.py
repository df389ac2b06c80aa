"""The internals of fastpack that the guard's worker uses, wherever a tree keeps them.

The guard runs today's benches over the fastpack of an older revision. So each module is looked for in today's
place first, and then in the earlier ones.
"""

from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


def _module(*places: str) -> ModuleType:
    """The first of these modules that this tree has."""
    return import_module(next(place for place in places if _exists(place)))


def _exists(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the folder it would be in is missing
        return False


_containers = _module("fastpack.formats.protocols", "fastpack.containers")
_decoding = _module("fastpack.images.decode", "fastpack.codecs.batch")
_dtypes = _module("fastpack.core.dtypes", "fastpack.structs")
_headers = _module("fastpack.images.headers", "fastpack.headers")
_orders = _module("fastpack.sampling.order", "fastpack.order")
_ragged = _module("fastpack.core.ragged", "fastpack.ragged")
_random = _module("fastpack.core.rng", "fastpack.draws")
_transforms = _module("fastpack.images.transforms", "fastpack.transforms")

Layout = _containers.Layout
DecodeOptions = _decoding.DecodeOptions
SpanSource = _decoding.SpanSource
EncodedImages = _decoding.EncodedImages
decode_pictures = _decoding.decode_pictures
FILTER, SPAN, VIEW = _dtypes.FILTER, _dtypes.SPAN, _dtypes.VIEW
FORMATS = _headers.FORMATS
probe_blobs = _headers.probe_blobs
Shuffle = _orders.Shuffle
Ragged = _ragged.Ragged
offsets_of = _ragged.offsets_of
CounterRng = _random.CounterRng
CenterCrop = _transforms.CenterCrop
HorizontalFlip = _transforms.HorizontalFlip
Plan = _transforms.Plan
RandomResizedCrop = _transforms.RandomResizedCrop
Resize = _transforms.Resize
ResizeShort = _transforms.ResizeShort
Transform = _transforms.Transform
plan_batch = _transforms.plan_batch
whole = _transforms.whole
