"""advice: what would make a dataset load faster, by what was measured of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LARGE_MEGAPIXELS = 0.5  # beyond what training crops are made of
_SMALL_SHARE = 0.05


@dataclass(frozen=True)
class Facts:
    """What advice goes by.

    - binding: the stage that holds the others back; rates: stage -> samples a second.
    - fits_memory: the stored images fit into memory, so that only the first epoch reads the disk.
    - formats: share of each image format, and of progressive JPEGs, none where pixels are stored; megapixels: of an image, in the mean.
    - is_packed: false for files that lie one by one in a folder.
    """

    binding: str
    fits_memory: bool
    rates: Mapping[str, float]
    num_workers: int
    formats: Mapping[str, float]
    megapixels: float
    is_packed: bool


def advise(facts: Facts) -> Iterator[str]:
    """What to change, the most effective first. Only what would move the ceiling is said."""
    if facts.binding == "consumer":
        yield from _about_consumer(facts)
    elif facts.binding == "decode":
        yield from _about_decode(facts)
    else:
        yield from _about_reading(facts)


def _about_consumer(facts: Facts) -> Iterator[str]:
    rest = min(
        rate
        for name, rate in facts.rates.items()
        if name in ("decode", "memory" if facts.fits_memory else "disk, shuffled")
    )
    yield f"loading is not the limit: it could give {rest / facts.rates['consumer']:.1f} times what the consumer takes"
    if (
        not facts.fits_memory
        and facts.rates.get("disk, shuffled", rest) < 2 * facts.rates["consumer"]
    ):
        yield "the disk has little to spare: leave it to this training alone"


def _about_decode(facts: Facts) -> Iterator[str]:
    if facts.megapixels > _LARGE_MEGAPIXELS:
        yield (
            f"images have {facts.megapixels:.1f} megapixels: training crops need fewer; pack them smaller once, "
            "or read with a transform, which decodes only what it needs, and mode='fast'"
        )
    if (progressive := facts.formats.get("progressive", 0)) > _SMALL_SHARE:
        yield f"{progressive:.0%} of the images are progressive JPEGs, which take some times as long: encode them anew as baseline"
    slow = sum(
        share for name, share in facts.formats.items() if name in ("png", "webp", "tiff", "gif")
    )
    if slow > _SMALL_SHARE:
        yield f"{slow:.0%} of the images are PNG, WebP, TIFF or GIF, which no crop can be cut from: encode them as JPEG where that may be"
    one_core = facts.rates.get("decode, one core")
    if one_core and facts.rates["decode"] < 0.7 * facts.num_workers * one_core:
        gained = facts.rates["decode"] / one_core
        yield f"{facts.num_workers} threads decode only {gained:.1f} times as fast as one: see what else runs on these cores"
    if facts.formats:
        yield "give loading more cores (num_workers), or keep decoded pixels: HDF5 with a size, for a faster disk and more of it"
    else:
        yield "these are pixels already, and what takes so long is resampling them: keep them at the size that is trained on"


def _about_reading(facts: Facts) -> Iterator[str]:
    if not facts.is_packed:
        yield "files lie one by one: pack them, and each image is one read at a known place"
    in_order, shuffled = facts.rates.get("disk, in order"), facts.rates.get("disk, shuffled")
    if in_order and shuffled and in_order > 2 * shuffled:
        yield f"the disk reads {in_order / shuffled:.1f} times as fast in order: shuffle within windows instead of everything"
    if facts.binding == "memory":
        yield "even from memory, reading is the slowest: give it more threads (num_workers), or pack smaller images"
        return
    if facts.fits_memory:
        yield "the dataset fits into memory: only the first epoch is as slow as this"
    yield "read from a faster disk, keep more reads in flight (num_workers), or store fewer bytes: smaller images, or a lower quality"
