"""Writes tar files of images and labels, and opens them."""

import io
import tarfile

import numpy as np

import fastpack
from tests.support.images import jpeg

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def write_tar(path, members, format=tarfile.PAX_FORMAT, pax_headers=None):
    """`members`: (name, bytes), or TarInfo."""
    with tarfile.open(path, "w", format=format, pax_headers=pax_headers) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, data = member
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(prefix=""):
    return [
        (f"{prefix}{i}.{ending}", data)
        for i, image in enumerate(IMAGES)
        for ending, data in (("jpg", image), ("cls", b"%d" % i))
    ]


def opened(path, **options):
    return fastpack.open(path, decode=False, save_index=False, **options)


def undecoded(path):
    dataset = opened(path)
    return dataset.read(np.arange(len(dataset)))


def with_checksum(data, start=0):
    data[start + 148 : start + 156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)
