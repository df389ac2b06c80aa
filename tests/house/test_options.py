"""Options are checked on construction: any value is accepted or raises a FastpackError."""

import re
from dataclasses import fields
from inspect import signature

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import (
    Balanced,
    CenterCrop,
    HorizontalFlip,
    Limits,
    Mix,
    Normalize,
    PackOptions,
    RandomCrop,
    RandomResizedCrop,
    ReadOptions,
    Resize,
    ResizeShort,
    Shuffle,
)
from fastpack.errors import FastpackError, LimitError, OptionError, ShapeError
from fastpack.formats.storage import Storage
from fastpack.loading import LoaderOptions
from fastpack.packing.image_options import ImageOptions
from fastpack.packing.options import PackKwargs
from fastpack.packing.select_options import SelectOptions
from fastpack.packing.write_options import WriteOptions

WITHOUT = {
    RandomResizedCrop: (8,),
    Resize: (8,),
    ResizeShort: (8,),
    CenterCrop: (8,),
    RandomCrop: (8,),
}
WITHOUT |= {Normalize: ((0.5,), (0.5,)), Mix: ((1, 2),)}
CLASSES = [
    ReadOptions,
    LoaderOptions,
    PackOptions,
    Limits,
    Storage,
    Shuffle,
    Balanced,
    HorizontalFlip,
    *WITHOUT,
]
OPTIONS = [(kind, field.name) for kind in CLASSES for field in fields(kind)]
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.binary(max_size=3),
    st.lists(
        st.one_of(st.integers(-2, 300), st.floats(), st.text(max_size=2), st.none()), max_size=4
    ),
    st.dictionaries(
        st.one_of(st.text(max_size=3), st.integers()),
        st.one_of(st.floats(), st.text(max_size=3)),
        max_size=2,
    ),
    st.sampled_from(
        [
            np.int64(3),
            np.float32(0.5),
            np.bool_(True),
            np.arange(3),
            np.zeros((2, 2)),
            {1, 2},
            object(),
            int,
            Resize,
            10**400,
            1 + 2j,
        ]
    ),
)


@given(st.sampled_from(OPTIONS), JUNK)
def test_whatever_is_given_is_taken_or_refused(option, value):
    check_taken_or_refused(*option, value)


@pytest.mark.parametrize("value", [np.int64(3), np.float32(0.5), np.bool_(True)], ids=repr)
@pytest.mark.parametrize(
    ("kind", "name"), OPTIONS, ids=lambda part: getattr(part, "__name__", part)
)
def test_numpy_scalars_are_taken_as_pythons_or_refused(kind, name, value):
    check_taken_or_refused(kind, name, value)


def check_taken_or_refused(kind, name, value):
    given = {
        field.name: value for field, value in zip(fields(kind), WITHOUT.get(kind, ()), strict=False)
    } | {name: value}
    try:
        made = kind(**given)
    except FastpackError:
        return
    assert not isinstance(getattr(made, name), (np.integer, np.floating, np.bool_))
    assert isinstance(repr(made), str)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Resize("224"),
        lambda: Resize(0),
        lambda: Resize((1, 2, 3)),
        lambda: Resize(True),
        lambda: Resize(2.5),
        lambda: CenterCrop(-1),
        lambda: ResizeShort((8, 8)),
        lambda: RandomResizedCrop(8, scale=(0.5, float("nan"))),
        lambda: RandomResizedCrop(8, ratio=(2, 1)),
        lambda: HorizontalFlip(float("nan")),
        lambda: HorizontalFlip("0.5"),
        lambda: Normalize(0.5, 0.5),
        lambda: Normalize((0.5,), (0.0,)),
        lambda: Normalize((0.5, 0.5), (1.0,)),
        lambda: Normalize((0.5,), (float("inf"),)),
        lambda: LoaderOptions(batch_size=0),
        lambda: LoaderOptions(batch_size="8"),
        lambda: LoaderOptions(num_workers=-1),
        lambda: LoaderOptions(drop_last="no"),
        lambda: LoaderOptions(rank=2, world=2),
        lambda: ReadOptions(seed=-1),
        lambda: ReadOptions(decode="no"),
        lambda: PackOptions(shards="2"),
        lambda: PackOptions(sync=0),
        lambda: PackOptions(include="*.jpg"),
        lambda: PackOptions(split={"train": "0.9"}),
        lambda: Limits(max_pixels=1e9),
        lambda: Shuffle(seed=1.0),
        lambda: Shuffle(window=0),
        lambda: Mix(("7", 3)),
        lambda: fastpack.open(5),
        lambda: fastpack.open([None]),
        lambda: fastpack.open("x.tfrecord", fields=7),
        lambda: fastpack.open("x.tfrecord", options="fast"),
        lambda: fastpack.open("x.tfrecord", save_index="no"),
        lambda: fastpack.concat([1, 2]),
        lambda: fastpack.concat(None),
        lambda: fastpack.open(np.array(3)),
        lambda: LoaderOptions(prefetch=2**63),
        lambda: fastpack.probe("x"),
        lambda: fastpack.Loader("x.tfrecord"),
    ],
)
def test_options_that_make_no_sense(make):
    with pytest.raises(OptionError):
        make()


FUNCTIONS = [
    fastpack.convert,
    fastpack.extract,
    fastpack.pack,
    fastpack.repair,
    fastpack.verify,
    fastpack.build_indexes,
]
FUNCTIONS += [
    fastpack.packing.write_virtual_dataset,
    fastpack.from_folder,
    fastpack.from_table,
    fastpack.decode,
    fastpack.encode,
]
KEYWORDS = [
    (f, p.name)
    for f in FUNCTIONS
    for p in signature(f).parameters.values()
    if p.default is not p.empty
]
KEYWORDS += [(fastpack.pack, name) for name in PackKwargs.__annotations__]
WRONG = [1.5, np.array([3, 4]), object()]


@pytest.mark.parametrize("value", WRONG, ids=["float", "array", "object"])
@pytest.mark.parametrize(
    ("function", "name"), KEYWORDS, ids=lambda given: getattr(given, "__name__", given)
)
def test_keywords_of_functions_are_checked(digits, tmp_path, function, name, value):
    out = tmp_path / "out.tfrecord"
    firsts = {
        "source": digits,
        "path": digits,
        "output": out,
        "folder": tmp_path / "out",
        "root": tmp_path,
    }
    firsts |= {
        "dataset": fastpack.open(digits),
        "data": (tmp_path / "0.png").read_bytes(),
        "pixels": np.zeros((8, 8, 3), np.uint8),
    }
    needed = {
        p.name: firsts[p.name]
        for p in signature(function).parameters.values()
        if p.default is p.empty and p.kind is not p.VAR_KEYWORD
    }
    with pytest.raises(FastpackError):
        function(**needed | {name: value})


def test_the_options_of_pack_are_those_of_its_groups():
    groups = (ImageOptions, SelectOptions, WriteOptions, Storage)
    grouped = {field.name for group in groups for field in fields(group)} - {"storage"}
    assert PackKwargs.__annotations__.keys() == {field.name for field in fields(PackOptions)}
    assert PackKwargs.__annotations__.keys() == grouped


def test_every_option_of_pack_is_documented():
    arguments = PackOptions.__doc__.partition("Args:\n")[2].partition("\n\n")[0]
    documented = re.findall(r"^        (\w+): ", arguments, re.M)
    assert sorted(documented) == sorted(PackKwargs.__annotations__)


def test_options_are_keywords_of_pack(digits, tmp_path):
    options = PackOptions(shards=2, layout="vlen")
    packed = fastpack.pack(digits, tmp_path / "x.h5", options, shards=np.int64(5))
    assert len(packed.paths) == 5
    with pytest.raises(TypeError, match="'shads'"):
        fastpack.pack(digits, tmp_path / "y.h5", shads=2)


def test_a_string_is_not_a_flag(digits):
    with pytest.raises(OptionError, match="overwrite"):
        fastpack.pack(fastpack.open(digits, decode=False), digits, overwrite="no")
    with pytest.raises(OptionError, match="allow_external"):
        fastpack.from_folder(digits.parent, allow_external="no")


@pytest.mark.parametrize("path", ["a\0b", "x" * 5000])
def test_paths_that_cannot_be(path):
    for function in (fastpack.open, fastpack.verify, fastpack.from_folder, fastpack.from_table):
        with pytest.raises(FastpackError):
            function(path)


def test_numbers_of_numpy_are_taken(tmp_path):
    (tmp_path / "0.png").write_bytes(fastpack.encode(np.zeros((8, 8, 3), np.uint8), "png"))
    fastpack.pack(
        fastpack.from_folder(tmp_path),
        tmp_path / "x.tfrecord",
        PackOptions(shards=np.int64(1), num_workers=np.int32(1)),
    )
    steps = [
        Resize((np.int64(4), np.uint8(6))),
        Normalize(np.array([0.5] * 3, np.float32), [np.float64(0.5)] * 3),
    ]
    dataset = fastpack.open(
        tmp_path / "x.tfrecord", transform=steps, seed=np.uint64(7), num_workers=np.int64(1)
    )
    loader = fastpack.Loader(
        dataset, batch_size=np.int64(1), shuffle=np.int64(3), rank=np.int64(0), world=np.int64(1)
    )
    loader.set_epoch(np.int64(2))
    assert (next(iter(loader))["image"].shape, loader.state_dict()["order"]) == (
        (1, 3, 4, 6),
        "Shuffle(seed=3)",
    )


def test_what_numpy_would_say_of_sizes(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("images", (2, 2**31, 2**31, 3), "u1", chunks=(1, 64, 64, 3))
    with h5py.File(tmp_path / "zero.h5", "w") as file:
        file.create_dataset("images", (5, 0, 0, 3), "u1")
    with pytest.raises(LimitError, match="max_pixels"):
        fastpack.open(tmp_path / "huge.h5", save_index=False).read([0])
    with pytest.raises(ShapeError, match="no pixels"):
        fastpack.open(tmp_path / "zero.h5", save_index=False, transform=Resize(8)).read([0])
