"""Selection and order of a pack: globs, columns, a seed, splits, a dry run; all in the plan."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import Loader, PackOptions, Shuffle, errors, from_folder, from_table, pack
from fastpack.cli import main
from fastpack.cli.pack import planned_lines
from fastpack.loading import LoaderOptions
from fastpack.packing.duplicates import duplicates
from fastpack.packing.subset import Subset
from fastpack.sources import ImageFiles
from tests.support.images import jpeg

NUM_FILES = 40
OUTPUTS = ["out.tfrecord", "out.h5"]


@pytest.fixture
def photos(tmp_path):
    """Forty small JPEGs in the classes cat and dog, and a table of them with two more columns."""
    root = tmp_path / "photos"
    lines = ["file_name,label,score,note"]
    for number in range(NUM_FILES):
        name = f"{('cat', 'dog')[number % 2]}/{number:02}.{('jpg', 'jpeg')[number % 3 == 0]}"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(jpeg(8 + number % 7, 9, seed=number))
        lines.append(f"{name},{('cat', 'dog')[number % 2]},{number / 4},n{number}")
    (root / "table.csv").write_text("\n".join(lines))
    return root


def keys_of(*paths):
    return list(fastpack.open(list(paths)).columns["key"])


def pack_keys(source, output, **options):
    return keys_of(*pack(source, output, PackOptions(**options)).paths)


@pytest.mark.parametrize(
    ("include", "exclude", "fits"),
    [
        (["cat/*"], [], lambda key: key.startswith("cat/")),
        ([], ["*.jpeg"], lambda key: key.endswith(".jpg")),
        (
            ["*.jpeg", "dog/1?.jpg"],
            ["cat/*"],
            lambda key: key.startswith("dog/") and (key.endswith(".jpeg") or key[4] == "1"),
        ),
        (["*/0[0-3].*"], ["*2*"], lambda key: key[4:6] in ("00", "01", "03")),
    ],
)
def test_include_and_exclude(photos, tmp_path, include, exclude, fits):
    source = from_folder(photos)
    expected = [key for key in source.columns["key"] if fits(key)]
    assert expected
    packed = pack(source, tmp_path / "a.h5", PackOptions(include=include, exclude=exclude))
    assert keys_of(*packed.paths) == expected
    dataset = fastpack.open(packed.paths)
    assert dataset.class_names == ("cat", "dog")  # also where a class has nothing in it
    assert [dataset.class_names[label] for label in dataset.columns["label"]] == [
        key[:3] for key in expected
    ]


def test_nothing_left_is_an_error(photos, tmp_path):
    with pytest.raises(errors.EmptySourceError, match="include and exclude"):
        pack(photos, tmp_path / "a.h5", PackOptions(include=["*.gif"]))
    with pytest.raises(errors.OptionError, match="keys"):
        pack(
            ImageFiles(sorted(photos.glob("cat/*"))), tmp_path / "a.h5", PackOptions(include=["*"])
        )


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("fields", [None, [], ["score"], ["note", "score"]])
def test_fields(photos, tmp_path, output, fields):
    packed = pack(from_table(photos / "table.csv"), tmp_path / output, PackOptions(fields=fields))
    columns = fastpack.open(packed.paths).columns
    assert {"score", "note"} & set(columns) == set(["score", "note"] if fields is None else fields)
    assert list(columns["key"]) == list(from_table(photos / "table.csv").columns["key"])
    if "score" in columns:
        assert np.array_equal(columns["score"], np.arange(NUM_FILES, dtype=np.float32) / 4)


def test_a_field_that_is_not_there(photos, tmp_path):
    with pytest.raises(errors.FastpackError, match="height_of_cat"):
        pack(photos / "table.csv", tmp_path / "a.h5", PackOptions(fields=["height_of_cat"]))


@pytest.mark.parametrize("seed", [0, 7])
def test_a_seed_gives_the_order_of_the_loader(photos, tmp_path, seed):
    keys = pack_keys(photos, tmp_path / "a.h5", shuffle_seed=seed, shards=3)
    pack(photos, tmp_path / "b.h5")
    loader = Loader(
        fastpack.open(tmp_path / "b.h5", decode=False),
        LoaderOptions(batch_size=8, shuffle=Shuffle(seed)),
    )
    assert keys == [key for batch in loader for key in batch["key"]]
    assert keys != sorted(keys)
    assert sorted(keys) == keys_of(tmp_path / "b.h5")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shards", [1, 2])
@pytest.mark.parametrize("seed", [None, 3])
def test_split_is_that_of_a_reader(photos, tmp_path, output, shards, seed):
    fractions = {"train": 0.6, "val": 0.3}  # the rest is left out
    packed = pack(
        photos, tmp_path / output, PackOptions(split=fractions, shards=shards, shuffle_seed=seed)
    )
    pack(photos, tmp_path / f"all-{output}")
    parts = fastpack.open(tmp_path / f"all-{output}").split(fractions)
    stem, suffix = output.split(".")
    for name, part in parts.items():
        files = sorted(tmp_path.glob(f"{stem}-{name}-*-of-*.{suffix}"))
        assert len(files) == shards
        assert sorted(keys_of(*files)) == sorted(part.columns["key"])
        assert set(files) <= set(packed.paths)
    assert packed.num_samples == sum(map(len, parts.values())) < NUM_FILES


def test_a_sample_stays_in_its_split_whatever_else_is_packed(photos, tmp_path):
    fractions = {"train": 0.5, "val": 0.5}
    pack(photos, tmp_path / "all.h5", PackOptions(split=fractions))
    pack(
        photos,
        tmp_path / "cats.h5",
        PackOptions(split=fractions, include=["cat/*"], shuffle_seed=1),
    )
    cats = {key for key in keys_of(tmp_path / "all-val.h5") if key.startswith("cat/")}
    assert set(keys_of(tmp_path / "cats-val.h5")) == cats


def test_an_empty_split_is_named(photos, tmp_path):
    with pytest.raises(errors.EmptySourceError, match=r"out-val\.h5"):
        pack(photos, tmp_path / "out.h5", PackOptions(split={"train": 0.5, "val": 1e-9}))


def test_appending_splits(photos, tmp_path):
    options = PackOptions(split={"train": 0.5, "val": 0.5})
    pack(photos, tmp_path / "a.h5", options)
    names = [path.name for path in pack(photos, tmp_path / "a.h5", options, append=True).paths]
    assert names == ["a-train-00001-of-00002.h5", "a-val-00001-of-00002.h5"]


def test_a_virtual_dataset_for_each_split(photos, tmp_path):
    options = PackOptions(split={"train": 0.5, "val": 0.5}, size=8, shards=2, virtual=True)
    paths = pack(photos, tmp_path / "a.h5", options).paths
    for name in ("train", "val"):
        shards = [path for path in paths if f"-{name}-" in path.name]
        assert keys_of(tmp_path / f"a-{name}.h5") == keys_of(*shards)


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize(
    "options", [{}, {"shards": 3}, {"split": {"train": 0.5, "val": 0.5}, "shard_size": 3000}]
)
def test_a_dry_run_writes_nothing_and_foresees_the_files(photos, tmp_path, output, options):
    (tmp_path / "out").mkdir()
    os.chmod(tmp_path / "out", 0o555)
    before = os.stat(tmp_path / "out").st_mtime_ns
    dry = pack(photos, tmp_path / "out" / output, PackOptions(dry_run=True, **options))
    assert list((tmp_path / "out").iterdir()) == []
    assert os.stat(tmp_path / "out").st_mtime_ns == before
    os.chmod(tmp_path / "out", 0o755)

    packed = pack(photos, tmp_path / "out" / output, PackOptions(**options))
    assert dry.paths == packed.paths == tuple(one.path for one in dry.planned)
    assert (dry.num_samples, dry.source_bytes) == (packed.num_samples, packed.source_bytes)
    assert [one.num_samples for one in dry.planned] == [
        len(fastpack.open(path)) for path in packed.paths
    ]
    assert any("nothing is written" in line for line in planned_lines(dry))


def test_a_dry_run_lists_bad_samples_as_far_as_it_is_known(photos, tmp_path):
    bad = photos / "cat" / "00.jpeg"
    bad.unlink()
    bad.symlink_to("nowhere")
    with pytest.raises(errors.MissingFileError, match=r"00\.jpeg"):
        pack(photos, tmp_path / "a.h5", PackOptions(dry_run=True))
    dry = pack(photos, tmp_path / "a.h5", PackOptions(dry_run=True, on_error="skip"))
    assert [reject.key for reject in dry.rejects] == ["cat/00.jpeg"]
    assert not list(tmp_path.glob("*a.h5*"))


CHOICES = {
    "include": {"include": ["*.jpg"]},
    "exclude": {"exclude": ["cat/1*"]},
    "fields": {"fields": ["note"]},
    "shuffle_seed": {"shuffle_seed": 5},
    "split": {"split": {"train": 0.5, "val": 0.5}},
    "duplicates": {"duplicates": "drop"},
    "on_error": {"on_error": "skip"},
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("choice", [*CHOICES, "all"])
def test_every_choice_goes_on_and_is_refused_when_it_changed(
    photos, tmp_path, stop_after, output, choice
):
    """A pack that stops after its first shard."""
    (photos / "dog" / "01.jpg").write_bytes((photos / "cat" / "02.jpg").read_bytes())
    (tmp_path / "out").mkdir()
    chosen = {"shards": 2} | (
        CHOICES[choice]
        if choice != "all"
        else {name: value for one in CHOICES.values() for name, value in one.items()}
    )
    source, target = photos / "table.csv", tmp_path / "out" / output
    with stop_after(1), pytest.raises(KeyboardInterrupt):
        pack(source, target, PackOptions(**chosen, num_workers=1))
    for name in CHOICES if choice == "all" else [choice]:
        changed = {other: value for other, value in chosen.items() if other != name}
        with pytest.raises(errors.PlanChangedError, match=name):
            pack(source, target, PackOptions(**changed), resume=True)
    resumed = pack(source, target, PackOptions(**chosen), resume=True)
    whole = pack(source, tmp_path / output, PackOptions(**chosen))
    assert [path.read_bytes() for path in resumed.paths] == [
        path.read_bytes() for path in whole.paths
    ]
    assert resumed.rejects == whole.rejects
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize(
    "options",
    [
        {"on_error": "mask"},
        {"duplicates": "some"},
        {"include": "*.jpg"},
        {"fields": "score"},
        {"shuffle_seed": -1},
        {"split": {"train": 0.9, "val": 0.2}},
        {"split": {"train": 0}},
        {"split": {"../train": 0.5}},
        {"split": {"": 0.5}},
        {"split": {"a/b": 0.5}},
    ],
    ids=str,
)
def test_choices_that_make_no_sense(options):
    with pytest.raises(errors.OptionError):
        PackOptions(**options)


def test_too_little_room_is_reported_before_anything_is_written(photos, tmp_path, monkeypatch):
    facts = os.statvfs(tmp_path)
    free = {"blocks": 4096 // facts.f_frsize}
    real = os.statvfs

    def almost_full(path):
        fields = list(real(path)[:10])
        fields[4] = free["blocks"]
        return os.statvfs_result(fields)

    monkeypatch.setattr(os, "statvfs", almost_full)
    need = sum(from_folder(photos).sizes)
    with pytest.raises(
        errors.UnreadableFileError, match=f"{need:,} bytes needed, 4,096 free"
    ) as caught:
        pack(photos, tmp_path / "a.tfrecord")
    assert caught.value.errno == 28
    assert not list(tmp_path.glob("*a.tfrecord*"))
    free["blocks"] = 10**9
    assert pack(photos, tmp_path / "a.tfrecord").num_samples == NUM_FILES


def test_room_that_goes_while_packing(photos, tmp_path, monkeypatch):
    """Each shard is looked at again when it is begun; what was finished is kept."""
    from fastpack.packing import packer

    calls = []

    def some_room(where, need):
        calls.append(need)
        if len(calls) == 2:
            raise errors.UnreadableFileError(28, "full")

    monkeypatch.setattr(packer, "require_free_space", some_room)
    with pytest.raises(errors.UnreadableFileError, match="full"):
        pack(photos, tmp_path / "a.tfrecord", PackOptions(shards=3, num_workers=1))
    assert (
        pack(photos, tmp_path / "a.tfrecord", PackOptions(shards=3), resume=True).num_samples
        == NUM_FILES
    )


ROOM_IS_FORESEEN = [
    ({}, True),
    ({"metadata": "strip"}, True),
    ({"check": "decode"}, True),
    ({"jpeg": "fast"}, True),
    ({"quality": 80}, False),
]


@pytest.mark.parametrize(("options", "is_foreseen"), ROOM_IS_FORESEEN, ids=str)
def test_room_for_what_is_left_is_looked_for_as_it_is_written(
    photos, tmp_path, monkeypatch, options, is_foreseen
):
    """Where it is about known how much that is."""
    needs = []
    monkeypatch.setattr(
        "fastpack.packing.packer.require_free_space",
        lambda folder, need_bytes: needs.append(need_bytes),
    )
    pack(photos, tmp_path / "a.tfrecord", PackOptions(memory=4096, num_workers=1, **options))
    assert needs == sorted(set(needs), reverse=True)
    assert (
        (needs[0], len(needs) > 3) == (from_folder(photos).sizes.sum(), True)
        if is_foreseen
        else not needs
    )


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_command_line(photos, tmp_path):
    choice = [
        "--include",
        "cat/*",
        "--exclude",
        "*.jpeg",
        "--fields",
        "score, note",
        "--shuffle-seed",
        4,
    ]
    split = ["--split", "train=0.5,val=0.5", "--dedupe", "--on-error", "skip"]
    result = run("pack", photos / "table.csv", "-o", tmp_path / "a.h5", *choice, *split, "--json")
    assert result.exit_code == 0, result.stderr
    same = pack(
        photos / "table.csv",
        tmp_path / "b.h5",
        PackOptions(
            include=["cat/*"],
            exclude=["*.jpeg"],
            fields=["score", "note"],
            shuffle_seed=4,
            split={"train": 0.5, "val": 0.5},
            duplicates="drop",
            on_error="skip",
        ),
    )
    assert [Path(path).read_bytes() for path in json.loads(result.stdout)["paths"]] == [
        path.read_bytes() for path in same.paths
    ]
    dry = run("pack", photos, "-o", tmp_path / "c.h5", "--shards", 2, "--dry-run")
    assert dry.exit_code == 0
    assert "c-00001-of-00002.h5" in dry.stdout
    assert not list(tmp_path.glob("*c*.h5*"))
    assert run("pack", photos, "-o", tmp_path / "d.h5", "--split", "train").exit_code == 2


# Samples, by themselves


@given(rows=st.lists(st.integers(0, 5), max_size=8) | st.just(list(range(6))), data=st.data())
def test_a_selection_is_what_was_selected(rows, data):
    """Also where that is all, of which nothing is kept."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.jpg" for i in range(6)]
        for i in (0, 1, 3, 4):  # two are not there
            paths[i].write_bytes(jpeg(8 + i, 9))
        source = ImageFiles(paths, range(10, 16), keys=True)
        subset = Subset(source, np.array(rows, np.int64))
        assert len(subset) == len(rows)
        assert subset.sizes.tolist() == source.sizes[rows].tolist()
        assert list(subset.faults) == [row for row, number in enumerate(rows) if number in (2, 5)]
        for row, number in enumerate(rows):
            assert (subset.number(row), subset.key(row)) == (number, str(paths[number]))
            assert subset.faults.get(row) is source.faults.get(number)
        good = [row for row, number in enumerate(rows) if number not in (2, 5)]
        some = data.draw(st.lists(st.sampled_from(good), max_size=4)) if good else []
        assert subset.read(np.array(some, np.int64))["label"].tolist() == [
            10 + rows[row] for row in some
        ]
        assert (subset.sizes is source.sizes) == (rows == list(range(6)))


@given(
    contents=st.lists(
        st.sampled_from([b"", b"xx", b"yy", b"xxx", b"yyy", b"gone"]), min_size=1, max_size=12
    )
)
def test_duplicates_are_reported_with_the_first_of_them(contents):
    with tempfile.TemporaryDirectory() as folder:
        images = {
            content: jpeg(8, 8, seed=number).ljust(999, b"\0")
            for number, content in enumerate([b"xx", b"yy"])
        }
        files = [images.get(content, content) for content in contents]
        paths = [Path(folder) / str(number) for number in range(len(files))]
        for path, content in zip(paths, files, strict=True):
            if content != b"gone":
                path.write_bytes(content)
        found = duplicates(ImageFiles(paths), np.arange(len(paths)))
    good = [number for number, content in enumerate(contents) if content in images]
    firsts = {number: contents.index(contents[number]) for number in good}
    assert found == {number: first for number, first in firsts.items() if first != number}
    assert list(found) == sorted(found)


@given(
    named=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["a", "b", "c", "d"])),
        min_size=1,
        max_size=7,
    )
)
def test_a_key_is_of_one_file(named):
    """Which may come more than once."""
    with tempfile.TemporaryDirectory() as folder:
        for name in "abc":
            (Path(folder) / name).touch()
        paths, keys = [Path(folder) / name for name, _ in named], [key for _, key in named]
        faults = ImageFiles(paths, keys=keys).faults
        assert list(faults) == [
            row for row, key in enumerate(keys) if paths[keys.index(key)] != paths[row]
        ]
        assert all(
            isinstance(fault, errors.DuplicateKeyError) and str(paths[row]) in str(fault)
            for row, fault in faults.items()
        )
        assert not ImageFiles(paths, keys=True).faults


@pytest.mark.parametrize("dry_run", [False, True])
def test_samples_of_each_split_are_counted(photos, tmp_path, dry_run):
    split = {"train": 0.6, "val": 0.3}
    packed = pack(photos, tmp_path / "a.tfrecord", split=split, shards=2, dry_run=dry_run)
    assert packed.splits.keys() == split.keys()
    assert sum(packed.splits.values()) == packed.num_samples < NUM_FILES
    if not dry_run:
        opened = {name: len(fastpack.open(tmp_path / f"a-{name}.tfrecord")) for name in split}
        assert packed.splits == opened
    assert pack(photos, tmp_path / "b.h5", dry_run=dry_run).splits == {}


def test_bad_samples_are_not_counted_in_their_split(photos, tmp_path):
    split = {"train": 0.5, "val": 0.5}
    whole = pack(photos, tmp_path / "a.tfrecord", split=split, shuffle_seed=1)
    (photos / keys_of(*whole.paths)[0]).write_bytes(b"not an image")
    packed = pack(photos, tmp_path / "b.h5", split=split, shuffle_seed=1, on_error="skip")
    assert packed.splits == {**whole.splits, "train": whole.splits["train"] - 1}
    resumed = pack(
        photos,
        tmp_path / "b.h5",
        split=split,
        shuffle_seed=1,
        on_error="skip",
        resume=True,
        overwrite=True,
    )
    assert resumed.splits == packed.splits
