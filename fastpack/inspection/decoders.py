"""DecoderUsage: which decoder takes the images of a dataset, and why, by what their headers say."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpack._native.decode import Decoder
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field
from fastpack.images.headers import FORMATS, JPEG, probe_blobs
from fastpack.reading.reader import Reader
from fastpack.sources import Source

# Of an image its route, or its format when it is not a JPEG; and whether its headers are odd.
ImageDecoder = tuple[str, bool]

# Of larger datasets, so many images are looked at: a share of a half is then known to some 3%.
_MAX_LOOKED_AT = 1000
_BATCH_SAMPLES = 64
# Most headers are shorter; of an image with a longer one, all is read.
_HEAD_BYTES = 2**16


@dataclass(frozen=True)
class DecoderUsage:
    """Which decoder takes how many of the images that were looked at.

    - num_images: of the dataset; num_looked_at: fewer, at random, where it is large.
    - ours: JPEGs for the decoder of our own.
    - libjpeg: those for libjpeg-turbo, by what in their headers makes them so: "progressive", "arithmetic" (codes), "several
      scans", "not 8 bits", "CMYK or RGB", "subsampling", "unusual headers" or "small" (no data worth making tables for).
    - others: images for OpenCV, by format.
    - num_unreadable: of which not even the header could be read.
    - num_odd: JPEGs whose headers break the standard in a way that changes no pixel.
    """

    num_images: int
    num_looked_at: int
    ours: int
    libjpeg: dict[str, int]
    others: dict[str, int]
    num_unreadable: int
    num_odd: int = 0


def decoder_usage(dataset: Reader | Source, *, seed: int = 0) -> DecoderUsage | None:
    """Looks at the headers of up to 1,000 images; None when there are none, or they are stored decoded.

    >>> import fastpack
    >>> decoder_usage(fastpack.open(getfixture("digits"))).others
    {'png': 10}
    """
    image_field = dataset.schema.image_field
    if image_field is None or image_field.kind != "image" or len(dataset) == 0:
        return None
    rows = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:_MAX_LOOKED_AT])
    sizes, decoder = dataset.sizes[rows], Decoder()
    decoders: list[ImageDecoder] = []
    for first in range(0, len(rows), _BATCH_SAMPLES):
        part = slice(first, first + _BATCH_SAMPLES)
        decoders += _decoders(dataset, image_field, rows[part], sizes[part], decoder)
    kinds = Counter(kind for kind, _ in decoders)
    ours, unreadable = kinds.pop("ours", 0), kinds.pop("unreadable", 0)
    formats = {name: count for name, count in kinds.items() if name in FORMATS}
    libjpeg, num_odd = kinds - Counter(formats), sum(is_odd for _, is_odd in decoders)
    return DecoderUsage(
        len(dataset),
        len(rows),
        ours,
        _largest_first(libjpeg),
        _largest_first(formats),
        unreadable,
        num_odd,
    )


def _decoders(
    dataset: Reader | Source, image_field: Field, rows: Rows, sizes: Rows, decoder: Decoder
) -> list[ImageDecoder]:
    if not isinstance(dataset, Reader):
        return _decoders_by(dataset.read(rows)[image_field.name], sizes, decoder)
    decoders = _decoders_by(dataset.heads(image_field, rows, _HEAD_BYTES), sizes, decoder)
    unsure = [
        i for i, (kind, _) in enumerate(decoders) if kind == "unreadable" and sizes[i] > _HEAD_BYTES
    ]
    if unsure:
        whole = dataset.heads(image_field, rows[unsure], int(sizes[unsure].max()))
        for i, decoder_name in zip(
            unsure, _decoders_by(whole, sizes[unsure], decoder), strict=True
        ):
            decoders[i] = decoder_name
    return decoders


def _decoders_by(heads: Ragged, sizes: Rows, decoder: Decoder) -> list[ImageDecoder]:
    infos, statuses = probe_blobs(heads)
    facts = zip(statuses.tolist(), infos["format"].tolist(), sizes.tolist(), strict=True)
    return [
        ("unreadable", False)
        if status
        else decoder.route(heads[i], size)
        if format == JPEG
        else (FORMATS[format], False)
        for i, (status, format, size) in enumerate(facts)
    ]


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
