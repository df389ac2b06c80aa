"""DecoderUsage: which decoder takes the images of a dataset, according to their headers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fastpack._native.decode import Decoder
from fastpack.core.dtypes import Rows
from fastpack.core.ragged import Ragged
from fastpack.core.schema import Field
from fastpack.images.headers import FORMATS, JPEG, probe_blobs
from fastpack.reading.order import Shuffle
from fastpack.reading.reader import Reader
from fastpack.sources import Source

# Of a JPEG the decoder or the reason for libjpeg, else the format; and whether its headers are odd.
ImageDecoder = tuple[str, bool]

# A sample of this size gives a share of one half within about 3%.
_MAX_SAMPLED = 1000
_BATCH_SAMPLES = 64
# Most headers are shorter. An image with a longer one is read as a whole.
_HEAD_BYTES = 2**16


@dataclass(frozen=True)
class DecoderUsage:
    """How many images each decoder takes.

    Args:
        num_images: images of the dataset.
        num_sampled: images whose headers were read: random ones if the dataset is large.
        ours: JPEGs that fastpack's decoder takes.
        libjpeg: reason -> number of JPEGs that libjpeg-turbo takes. Reasons are "progressive",
            "arithmetic", "several scans", "not 8 bits", "CMYK or RGB", "subsampling",
            "unusual headers" and "small" (too little data to build tables for).
        others: format -> number of images that OpenCV takes.
        num_unreadable: images with unreadable headers.
        num_odd: JPEGs whose headers break the standard without an effect on pixels.
    """

    num_images: int
    num_sampled: int
    ours: int
    libjpeg: dict[str, int]
    others: dict[str, int]
    num_unreadable: int
    num_odd: int = 0


def decoder_usage(dataset: Reader | Source, *, seed: int = 0) -> DecoderUsage | None:
    """Read the headers of at most 1,000 images.

    Returns:
        The usage; None for a dataset without image files.

    Example:
        >>> import fastpack
        >>> decoder_usage(fastpack.open(getfixture("digits"))).others
        {'png': 10}
    """
    image_field = dataset.schema.image_field
    if image_field is None or image_field.kind != "image" or len(dataset) == 0:
        return None
    rows = np.sort(random_rows(dataset, _MAX_SAMPLED, seed))
    sizes, decoder = sizes_of(dataset, rows), Decoder()
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


def random_rows(dataset: Reader | Source, count: int, seed: int) -> Rows:
    """Choose at most `count` samples, in random order, in memory for these only."""
    places = np.arange(min(count, len(dataset)))
    return Shuffle(seed).permutation(len(dataset)).samples_at(0, places).samples


def sizes_of(dataset: Reader | Source, rows: Rows) -> Rows:
    """Return the bytes of some samples' main images."""
    return dataset.take(rows).sizes if isinstance(dataset, Reader) else dataset.sizes[rows]


def _decoders(
    dataset: Reader | Source, image_field: Field, rows: Rows, sizes: Rows, decoder: Decoder
) -> list[ImageDecoder]:
    if not isinstance(dataset, Reader):
        return _decoders_by(dataset.read(rows)[image_field.name], sizes, decoder)
    decoders = _decoders_by(dataset.heads(image_field, rows, _HEAD_BYTES), sizes, decoder)
    unread = [i for i, (kind, _) in enumerate(decoders) if kind == "unreadable"]
    unsure = [i for i in unread if sizes[i] > _HEAD_BYTES]
    if unsure:
        whole = dataset.heads(image_field, rows[unsure], int(sizes[unsure].max()))
        certain = _decoders_by(whole, sizes[unsure], decoder)
        for i, image_decoder in zip(unsure, certain, strict=True):
            decoders[i] = image_decoder
    return decoders


def _decoders_by(heads: Ragged, sizes: Rows, decoder: Decoder) -> list[ImageDecoder]:
    infos, statuses = probe_blobs(heads)
    facts = zip(statuses.tolist(), infos["format"].tolist(), sizes.tolist(), strict=True)
    found: list[ImageDecoder] = []
    for i, (status, format, size) in enumerate(facts):
        if status:
            found.append(("unreadable", False))
        elif format == JPEG:
            found.append(decoder.route(heads[i], size))
        else:
            found.append((FORMATS[format], False))
    return found


def _largest_first(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
