"""Advice on faster loading, from measurements."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

_LARGE_MEGAPIXELS = 0.5  # more than training crops need
_SMALL_SHARE = 0.05


@dataclass(frozen=True)
class Facts:
    """Measurements that advice depends on.

    Args:
        binding: the slowest stage.
        fits_memory: stored images fit into memory, so that only the first epoch reads the disk.
        rates: stage -> samples per second.
        num_workers: threads.
        formats: share of each image format and of progressive JPEGs; empty for stored pixels.
        megapixels: mean of an image.
        is_packed: False for a folder of single files.
    """

    binding: str
    fits_memory: bool
    rates: Mapping[str, float]
    num_workers: int
    formats: Mapping[str, float]
    megapixels: float
    is_packed: bool


def advise(facts: Facts) -> Iterator[str]:
    """Yield changes that would raise the ceiling, the most effective first."""
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
    ratio = rest / facts.rates["consumer"]
    yield f"loading is not the limit: it is {ratio:.1f} times as fast as the consumer"
    if (
        not facts.fits_memory
        and facts.rates.get("disk, shuffled", rest) < 2 * facts.rates["consumer"]
    ):
        yield "the disk has little reserve: run nothing else on it during training"


def _about_decode(facts: Facts) -> Iterator[str]:
    if facts.megapixels > _LARGE_MEGAPIXELS:
        yield (
            f"images have {facts.megapixels:.1f} megapixels, more than training crops need: "
            "pack them smaller, or read with a transform and mode='fast', which decode fewer pixels"
        )
    if (progressive := facts.formats.get("progressive", 0)) > _SMALL_SHARE:
        yield (
            f"{progressive:.0%} of the images are progressive JPEGs, which decode several times "
            "slower: pack them with jpeg='fast'"
        )
    slow = sum(
        share for name, share in facts.formats.items() if name in ("png", "webp", "tiff", "gif")
    )
    if slow > _SMALL_SHARE:
        yield (
            f"{slow:.0%} of the images are PNG, WebP, TIFF or GIF. Even a crop decodes all of such "
            "an image: re-encode them as JPEG if that loss is fine"
        )
    one_core = facts.rates.get("decode, one core")
    if one_core and facts.rates["decode"] < 0.7 * facts.num_workers * one_core:
        gained = facts.rates["decode"] / one_core
        yield (
            f"{facts.num_workers} threads decode only {gained:.1f} times as fast as one: "
            "check for other processes on these cores"
        )
    if facts.formats:
        yield (
            "give loading more cores (num_workers), or pack decoded pixels (HDF5 with a size), "
            "which need more and faster disk"
        )
    else:
        yield "resampling of stored pixels is the limit: pack them at the size of training"


def _about_reading(facts: Facts) -> Iterator[str]:
    if not facts.is_packed:
        yield "images are single files: pack them, so that each image is one read at a known offset"
    in_order, shuffled = facts.rates.get("disk, in order"), facts.rates.get("disk, shuffled")
    if in_order and shuffled and in_order > 2 * shuffled:
        yield (
            f"the disk reads {in_order / shuffled:.1f} times as fast in order: "
            "shuffle within windows, with Shuffle(window=...)"
        )
    if facts.binding == "memory":
        yield (
            "even from memory, reading is the slowest: use more threads (num_workers), "
            "or pack smaller images"
        )
        return
    if facts.fits_memory:
        yield "the dataset fits into memory: only the first epoch is this slow"
    yield (
        "read from a faster disk, use more threads (num_workers), or store fewer bytes: "
        "smaller images or a lower quality"
    )
