"""What an HDF5 file of others holds that is not read, in words: for notes, and for a file without images."""

from collections.abc import Sequence

from fastpack.formats.hdf5.members import Member
from fastpack.formats.hdf5.single_images import starts_as_image

COLUMNS = ("column", "list", "rows")
_MAX_NAMED = 3


def note_of_others(others: Sequence[Member], main: Member) -> str:
    """One line for all datasets that are not beside the main images, or have another number of samples."""
    named = ", ".join(map(_counted, others[:_MAX_NAMED])) + (
        ", ..." if len(others) > _MAX_NAMED else ""
    )
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
    return f"{count} left out: {named}; {_counted(main)} is read; choose datasets that belong together, as in {example}"


def _counted(member: Member) -> str:
    return f"{member.path} ({member.odd_kind if member.kind in ('other', 'picture') else f'{member.num_samples} samples'})"


def why_no_images(members: Sequence[Member]) -> str:
    """What is missing; and what to do with rows of image files that were padded to one length."""
    padded = next(
        (member for member in members if member.kind == "list" and starts_as_image(member.stored)),
        None,
    )
    if padded is not None:
        message = (
            f"{padded.path} {padded.stored.shape} has image files that are padded to one length"
        )
        return (
            f"{message}; store them as rows of h5py.vlen_dtype(numpy.uint8), or as one dataset each"
        )
    message = "the file has no dataset of images: none of three or more dimensions, and no group with `bytes` and `offsets`"
    odd = [f"{member.path}: {member.odd_kind}" for member in members if member.kind == "other"]
    return "; ".join([message, *odd[:1]])
