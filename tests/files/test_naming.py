"""Naming: which files are a set, by which names it is found, and what does not belong together."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack.files.naming import (
    in_order,
    members_of,
    missing,
    num_shards_of,
    shard_paths,
    strangers,
)
from fastpack.formats.discovery import find_shards
from fastpack.sources import ImageFiles
from tests.support.images import jpeg


@pytest.fixture
def source(tmp_path):
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "a.jpg"
    path.write_bytes(jpeg(8, 8))
    return lambda count: ImageFiles([path] * count, range(count))


PACKS = st.lists(st.integers(1, 4), min_size=1, max_size=5)


def names_of(packs: list[int], is_numbered: bool) -> list[Path]:
    """The files of packs that were appended to each other."""
    paths: list[Path] = []
    for count in packs:
        paths += shard_paths(
            Path("/nowhere/s.h5"), count, num_before=len(paths), is_numbered=is_numbered
        )
    return paths


@given(PACKS, st.booleans(), st.data())
def test_what_was_appended_belongs_together(packs, is_numbered, data):
    paths = names_of(packs, is_numbered)
    assert in_order(data.draw(st.permutations(paths))) == paths
    some = data.draw(st.lists(st.sampled_from(paths)))
    assert list(strangers(some)) == []
    assert list(missing(paths)) == []
    absent = data.draw(st.sampled_from(paths))
    found = list(missing(path for path in paths if path != absent))
    last_pack = set(paths[-packs[-1] :])
    assert len(found) == 1 or (absent in last_pack and packs[-1] == 1) or len(paths) == 1


@given(PACKS, PACKS)
def test_two_sets_of_other_sizes_do_not_belong_together(packs, others):
    paths, strange = names_of(packs, True), names_of(others, True)
    mixed = {*paths, *strange}
    if len(mixed) > max(len(paths), len(strange)):
        assert list(strangers(mixed))


def test_counts_of_one_set_need_not_be_equal():
    names = ["s.h5", "s-00001-of-00003.h5", "s-00002-of-00003.h5", "s-00003-of-00004.h5"]
    assert list(strangers(map(Path, names))) == []


def test_names_that_look_alike(tmp_path):
    for name in (
        "x-00003-of-00004.h5",
        "xy-00009-of-00010.h5",
        "x-00007-of-00010.tfrecord",
        "x-00009-of-00010.h5.fpindex",
    ):
        (tmp_path / name).touch()
    (tmp_path / "x-00011-of-00012.h5").mkdir()
    assert num_shards_of(tmp_path / "x.h5") == 4
    assert [path.name for path in members_of(tmp_path / "x.h5")] == ["x-00003-of-00004.h5"]


class TestFinding:
    """One way of naming finds a set, and what was appended to it."""

    @pytest.mark.parametrize("suffix", ["tfrecord", "h5"])
    @pytest.mark.parametrize(
        "options",
        [
            PackOptions(),
            PackOptions(shards=1),
            PackOptions(shards=3),
            PackOptions(shard_size="1GB"),
        ],
    )
    def test_all_names_find_all(self, source, tmp_path, suffix, options):
        output = tmp_path / f"s.{suffix}"
        for count, num_samples in ((3, 3), (4, 7), (5, 12)):
            pack(source(count), output, options, append=True)
            assert len(fastpack.open(output)) == num_samples
        labels = [*range(3), *range(4), *range(5)]
        everything = sorted(tmp_path.glob(f"s*.{suffix}"))
        for path in (
            output,
            [output],
            str(tmp_path / "s-*"),
            str(tmp_path / f"s*.{suffix}"),
            tmp_path,
            everything,
        ):
            assert sorted(fastpack.open(path).columns["label"].tolist()) == sorted(labels)
        for path in (output, [output], str(tmp_path / "s-*"), tmp_path):
            assert fastpack.open(path).columns["label"].tolist() == labels
        assert fastpack.verify(output).num_samples == 12

    def test_some_on_purpose(self, source, tmp_path):
        paths = pack(source(4), tmp_path / "s.h5", PackOptions(shards=4)).paths
        for path in (
            paths[1],
            [paths[1]],
            [paths[3], paths[0]],
            str(tmp_path / "s-0000[12]-of-00004.h5"),
        ):
            listed = path if isinstance(path, list) else [path]
            assert len(fastpack.open(path)) == (2 if isinstance(path, str) else len(listed))

    def test_a_pattern_of_some_appended_files_leaves_out_the_first(self, source, tmp_path):
        pack(source(3), tmp_path / "s.h5")
        pack(source(4), tmp_path / "s.h5", append=True)
        assert len(fastpack.open(tmp_path / "s-0000[12]*.h5")) == 4

    @pytest.mark.parametrize("how", ["folder", "glob", "name"])
    def test_a_missing_file(self, source, tmp_path, how):
        paths = pack(source(3), tmp_path / "s.h5", PackOptions(shards=3)).paths
        paths[1].unlink()
        path = {"folder": tmp_path, "glob": str(tmp_path / "s-*.h5"), "name": tmp_path / "s.h5"}[
            how
        ]
        with pytest.raises(
            errors.MixedSetError, match=r"missing; restore it.*s-00001-of-00003\.h5"
        ):
            fastpack.open(path)
        assert len(fastpack.open([paths[0], paths[2]])) == 2
        with pytest.raises(errors.MixedSetError, match="missing"):
            pack(source(1), tmp_path / "s.h5", append=True)

    @pytest.mark.parametrize("how", ["folder", "glob", "name", "list"])
    def test_files_of_two_sets(self, source, tmp_path, how):
        for shards in (4, 2):
            (tmp_path / str(shards)).mkdir()
            for path in pack(
                source(4), tmp_path / str(shards) / "s.tfrecord", PackOptions(shards=shards)
            ).paths:
                path.rename(tmp_path / path.name)
        everything = sorted(tmp_path.glob("s-*"))
        path = {
            "folder": tmp_path,
            "glob": str(tmp_path / "s-*"),
            "name": tmp_path / "s.tfrecord",
            "list": everything,
        }[how]
        with pytest.raises(errors.MixedSetError, match="do not belong together"):
            fastpack.open(path)
        assert any(
            "do not belong together" in problem for problem in fastpack.verify(path).problems
        )
        assert len(fastpack.concat([fastpack.open(each) for each in everything])) == 8  # on request

    def test_a_name_of_which_there_is_nothing(self, tmp_path):
        for path in (tmp_path / "s.h5", str(tmp_path / "s-*.h5"), tmp_path / "nowhere" / "s.h5"):
            with pytest.raises(errors.MissingFileError, match="no such file"):
                find_shards(path)


def test_verify_counts_keys_that_come_again(tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(8, 8))
    for keys in (["1", "2"], ["2", "3"], ["2", "1"]):
        pack(ImageFiles([tmp_path / "a.jpg"] * 2, keys=keys), tmp_path / "s.tfrecord", append=True)
    found = fastpack.verify(tmp_path / "s.tfrecord")
    assert (found.is_sound, found.num_repeated_keys, set(found.repeated_keys)) == (
        True,
        3,
        {"1", "2"},
    )


@pytest.mark.parametrize(
    ("shards", "suffix"), [(None, ".rejects.jsonl"), (2, "-00000-of-00002.fpindex")]
)
def test_a_name_too_long_for_its_companions_is_refused_before_anything_is_written(
    tmp_path, source, shards, suffix
):
    folder = tmp_path / "out"
    folder.mkdir()
    most = os.pathconf(folder, "PC_NAME_MAX") - len(suffix) - len(".tar")
    with pytest.raises(
        errors.OptionError, match=r"the file system allows \d+; .*shorten that by 3 bytes - at "
    ):
        pack(source(2), folder / f"{'x' * (most + 3)}.tar", PackOptions(shards=shards))
    assert not list(folder.iterdir())
    pack(source(2), folder / f"{'x' * most}.tar", PackOptions(shards=shards))


def test_an_index_whose_name_is_too_long_is_refused(tmp_path, source):
    packed = pack(source(1), tmp_path / "x.tfrecord").paths[0]
    most = os.pathconf(tmp_path, "PC_NAME_MAX") - len(".tfrecord")
    path = packed.rename(tmp_path / f"{'x' * most}.tfrecord")
    assert len(fastpack.open(path)) == 1
    assert fastpack.verify(path).is_sound
    with pytest.raises(errors.OptionError, match="shorten that by 8 bytes"):
        fastpack.build_indexes(path)
