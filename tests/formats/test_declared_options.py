"""Options that a container does not declare are refused, before anything is read or written."""

from typing import get_args

import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import OptionError
from fastpack.formats import registry
from fastpack.formats.file_options import Layout
from fastpack.formats.index_options import RESTRICTED, IndexOptions
from fastpack.sources import ImageFiles
from tests.support.samples import two_classes

GIVEN = {"class_folder": "last", "sidecars": ["txt"], "axes": {"images": "NHWC"}}


def file_of(folder, name):
    return folder / f"x{registry.named(name).suffixes[0]}"


@pytest.mark.parametrize("name", registry.NAMES)
@pytest.mark.parametrize("option", RESTRICTED)
def test_options_of_indexing(name, option, tmp_path):
    path = file_of(tmp_path, name)
    size = 8 if "pixels" in registry.named(name).layouts else None
    fastpack.pack(ImageFiles(two_classes(tmp_path), range(6)), path, PackOptions(size=size))
    options = {option: GIVEN[option]}
    if option in registry.named(name).index_options:
        fastpack.open(path, **options)
    else:
        with pytest.raises(OptionError, match=rf"^{option} .*; leave this option out - at .*x"):
            fastpack.open(path, **options)


@pytest.mark.parametrize("name", registry.NAMES)
@pytest.mark.parametrize("layout", get_args(Layout))
def test_layouts(name, layout, tmp_path):
    source, path = ImageFiles(two_classes(tmp_path), range(6)), file_of(tmp_path, name)
    size = 8 if layout == "pixels" else None
    options = PackOptions(layout=layout, size=size)
    if layout in registry.named(name).layouts:
        assert fastpack.pack(source, path, options).num_samples == 6
    else:
        with pytest.raises(OptionError, match="or choose HDF5$"):
            fastpack.pack(source, path, options)
        assert not path.exists()


def test_restricted_options_are_those_that_differ_from_the_default():
    assert IndexOptions().restricted == set()
    assert IndexOptions(fields=["image"], untrusted=True).restricted == set()
    assert IndexOptions(**GIVEN).restricted == RESTRICTED.keys() == GIVEN.keys()
