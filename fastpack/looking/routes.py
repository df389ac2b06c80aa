"""routes: which decoder takes the images of a dataset, and why, by what their headers say."""

from collections import Counter
from dataclasses import dataclass

import numpy as np

from fastpack._native.decode import Decoder
from fastpack.headers import FORMATS, JPEG, probe_blobs
from fastpack.ragged import Ragged
from fastpack.reader import Reader
from fastpack.sources import Source

# Of larger datasets, so many images are looked at: a share of a half is then known to some 3%.
_MOST_LOOKED_AT = 1000
_BATCH_SAMPLES = 64


@dataclass(frozen=True)
class Routes:
    """Which decoder takes how many of the images that were looked at.

    - num_images: of the dataset; num_looked_at: fewer, at random, where it is large.
    - ours: JPEGs for the decoder of our own.
    - libjpeg: those for libjpeg-turbo, by what in their headers makes them so: "progressive", "arithmetic" (codes), "several
      scans", "not 8 bits", "CMYK or RGB", "subsampling", "unusual headers" or "small" (no data worth making tables for).
    - others: images for OpenCV, by format.
    - num_unreadable: of which not even the header could be read.
    """

    num_images: int
    num_looked_at: int
    ours: int
    libjpeg: dict[str, int]
    others: dict[str, int]
    num_unreadable: int


def take_routes(dataset: Reader | Source, *, seed: int = 0) -> Routes | None:
    """Looks at the headers of up to 1,000 images; None when there are none, or they are stored decoded.

    >>> import fastpack
    >>> take_routes(fastpack.open(getfixture("digits"))).others
    {'png': 10}
    """
    picture = dataset.schema.picture
    if picture is None or picture.kind != "image" or len(dataset) == 0:
        return None
    source = dataset.with_options(decode=False, transform=None, on_error="mask") if isinstance(dataset, Reader) else dataset
    rows = np.sort(np.random.default_rng(seed).permutation(len(dataset))[:_MOST_LOOKED_AT])
    routes: Counter[str] = Counter()
    formats: Counter[str] = Counter()
    decoder = Decoder()
    for first in range(0, len(rows), _BATCH_SAMPLES):
        images = source.read(rows[first : first + _BATCH_SAMPLES])[picture.name]
        if not isinstance(images, Ragged):
            return None
        _count(images, decoder, routes, formats)
    ours, unreadable = routes.pop("ours", 0), routes.pop("unreadable", 0)
    return Routes(len(dataset), len(rows), ours, _most_first(routes), _most_first(formats), unreadable)


def _count(images: Ragged, decoder: Decoder, routes: Counter[str], formats: Counter[str]) -> None:
    infos, statuses = probe_blobs(images)
    for i, (status, format) in enumerate(zip(statuses.tolist(), infos["format"].tolist(), strict=True)):
        if format == JPEG and not status:
            routes[decoder.route(images[i])] += 1
        elif status:
            routes["unreadable"] += 1
        else:
            formats[FORMATS[format]] += 1


def _most_first(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
