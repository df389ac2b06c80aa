"""Messages about datasets that are not read, and about files without images."""

from collections.abc import Sequence

from fastpack.formats.hdf5.members import Member
from fastpack.formats.hdf5.single_images import starts_as_image

COLUMNS = ("column", "list", "rows")
_MAX_NAMED = 3


def note_of_others(others: Sequence[Member], main: Member) -> str:
    """Return one note for all datasets of other groups, or with another number of samples."""
    named = ", ".join(map(_counted, others[:_MAX_NAMED]))
    named += ", ..." if len(others) > _MAX_NAMED else ""
    count = f"{len(others):,} datasets are" if len(others) > 1 else "1 dataset is"
    blobs = [*(each for each in others if each.is_blob), main]
    pairs = (
        (blob, each)
        for blob in blobs
        for each in others
        if each.kind in COLUMNS and each.num_samples == blob.num_samples
    )
    image, label = next(pairs, (main, others[0]))
    example = f'fields={{"image": "{image.path}", "label": "{label.path}"}}'
    return (
        f"{count} left out: {named}; {_counted(main)} is read; "
        f"choose datasets that belong together, as in {example}"
    )


def _counted(member: Member) -> str:
    is_odd = member.kind in ("other", "single_image")
    return f"{member.path} ({member.odd_kind if is_odd else f'{member.num_samples} samples'})"


def why_no_images(members: Sequence[Member]) -> str:
    """Return why a file has no images; padded image files have their own remedy."""
    for member in members:
        if member.kind == "list" and starts_as_image(member.stored):
            return (
                f"{member.path} {member.stored.shape} has image files that are padded to one "
                "length; store them as rows of h5py.vlen_dtype(numpy.uint8), or as one dataset each"
            )
    message = (
        "the file has no dataset of images: no array of three or more dimensions, "
        "and no group with `bytes` and `offsets`"
    )
    odd = [f"{member.path}: {member.odd_kind}" for member in members if member.kind == "other"]
    return "; ".join([message, *odd[:1]])
