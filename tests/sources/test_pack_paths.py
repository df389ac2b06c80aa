"""Hostile sources: reads stay inside their folder, and writes inside the output's folder.

`test_traced_paths.py` checks the same in traces of system calls.
"""

import json
import os
import stat

import pytest

import fastpack
from fastpack import PackOptions, errors, from_folder, from_table, pack
from fastpack.files.escapes import raw_name
from tests.support.hostile_sources import (
    BAD,
    GOOD,
    LEADING_OUT,
    NAMED_BAD,
    SECRET,
    hostile_folder,
    named_keys,
    write_hostile_table,
)
from tests.support.images import jpeg

OUTPUTS = ["a.tfrecord", "a.h5"]
SKIP = PackOptions(on_error="skip")


@pytest.fixture
def hostile(tmp_path):
    (tmp_path / "out").mkdir()
    return hostile_folder(tmp_path)


def keys_of(packed):
    return [os.fsencode(raw_name(key)) for key in fastpack.open(packed.paths).columns["key"]]


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_leads_out_is_left_out(hostile, tmp_path, output):
    packed = pack(hostile, tmp_path / "out" / output, SKIP)
    assert {reject.key: reject.reason for reject in packed.rejects} == BAD
    assert keys_of(packed) == [b"c/" + name for name in sorted(GOOD)]
    assert SECRET not in (tmp_path / "out" / output).read_bytes()
    assert sorted(os.listdir(tmp_path)) == ["in", "out", "outside"]


def test_the_first_is_named(hostile, tmp_path):
    with pytest.raises(
        errors.SourceError, match=r"this leads out of .*in, by a link .* - at .*/c/far$"
    ):
        pack(hostile, tmp_path / "out" / "a.h5")


def test_folders_below_links_are_not_listed(hostile, monkeypatch):
    """Unless that is asked for."""
    scandir, listed = os.scandir, []

    def noted(path):
        listed.append(os.path.realpath(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    from_folder(hostile)
    assert listed
    assert not [path for path in listed if path.endswith("outside")]
    assert "c/far/secret.jpg" in from_folder(hostile, allow_external=True).columns["key"]
    assert [path for path in listed if path.endswith("outside")]


def test_links_that_lead_out_are_followed_on_request(hostile, tmp_path):
    packed = pack(
        hostile, tmp_path / "out" / "a.h5", PackOptions(on_error="skip", allow_external=True)
    )
    assert {reject.key for reject in packed.rejects} == {
        key for key, reason in BAD.items() if reason != "SourceError"
    } | {"c/zero.jpg"}
    assert SECRET in (tmp_path / "out" / "a.h5").read_bytes()


def test_a_root_that_is_a_link(hostile, tmp_path):
    (tmp_path / "alias").symlink_to(hostile)
    assert set(from_folder(tmp_path / "alias").faults) == set(from_folder(hostile).faults)


def test_a_class_below_a_link_keeps_its_number(hostile, tmp_path):
    """So that labels are the same, whether it is packed or not."""
    (hostile / "a").symlink_to(tmp_path / "outside")
    for allow_external in (False, True):
        source = from_folder(hostile, allow_external=allow_external)
        assert source.schema.class_names == ("a", "c")
        assert source.columns["label"][-1] == 1


def test_nothing_but_links_out(hostile, tmp_path):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "a").symlink_to(hostile)
    with pytest.raises(
        errors.EmptySourceError,
        match=r"no readable images .*, the first: this leads out of .*links/a; check",
    ):
        from_folder(tmp_path / "links")


def test_folders_that_lead_back_or_cannot_be_listed(hostile, tmp_path, monkeypatch):
    """Are bad samples, and spoil no others."""
    scandir = os.scandir

    def refusing(path):
        if str(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    (hostile / "c" / "again").symlink_to("..")
    (hostile / "d" / "locked").mkdir(parents=True)
    monkeypatch.setattr(os, "scandir", refusing)
    packed = pack(hostile, tmp_path / "out" / "a.h5", SKIP)
    assert {reject.key: reject.reason for reject in packed.rejects} == BAD | {
        "c/again/": "UnreadableFileError",
        "d/locked/": "UnreadableFileError",
    }
    assert keys_of(packed) == [b"c/" + name for name in sorted(GOOD)]
    with pytest.raises(errors.UnreadableFileError, match="leads back"):
        pack(hostile, tmp_path / "out" / "b.h5")


@pytest.mark.parametrize(("name", "key"), LEADING_OUT.items())
def test_tables_that_lead_out(hostile, tmp_path, name, key):
    (hostile / "t.csv").write_text(f"file_name,label\nc/real.jpg,4\n{name},5\nc/a.jpg,6\n")
    with pytest.raises(errors.SourceError, match="leads out of"):
        pack(hostile / "t.csv", tmp_path / "out" / "a.h5")
    packed = pack(hostile / "t.csv", tmp_path / "out" / "a.h5", SKIP)
    assert [(reject.sample, reject.key, reject.reason) for reject in packed.rejects] == [
        (1, key, "SourceError")
    ]
    assert fastpack.open(packed.paths).columns["label"].tolist() == [4, 6]


def test_tables_lead_out_on_request(hostile, tmp_path):
    names = [
        "c/real.jpg",
        "../outside/secret.jpg",
        str(tmp_path / "outside" / "secret.jpg"),
        "c/far/secret.jpg",
    ]
    (hostile / "t.csv").write_text("\n".join(["file_name", *names]))
    packed = pack(hostile / "t.csv", tmp_path / "out" / "a.h5", PackOptions(allow_external=True))
    dataset = fastpack.open(packed.paths, decode=False)
    assert list(dataset.columns["key"]) == [
        names[0],
        "outside/secret.jpg",
        names[2].removeprefix("/"),
        names[3],
    ]
    assert [bytes(sample["image"]) for sample in dataset][1:] == [SECRET] * 3


def test_absolute_names_below_the_root(hostile):
    """Lead nowhere else."""
    (hostile / "t.csv").write_text(f"file_name\n{hostile}/c/real.jpg\nc/../c/a.jpg\n")
    source = from_table(hostile / "t.csv")
    assert not source.faults
    assert list(source.columns["key"]) == ["c/real.jpg", "c/a.jpg"]


def test_the_first_row_of_a_table_is_named(hostile, tmp_path):
    """Also if later files are bad."""
    (hostile / "t.csv").write_text("file_name\nc/real.jpg\nc/none.jpg\n../outside/secret.jpg\n")
    with pytest.raises(errors.MissingFileError, match="none"):
        pack(hostile / "t.csv", tmp_path / "out" / "a.h5")
    (hostile / "t.csv").write_text("file_name\nc/real.jpg\n../outside/secret.jpg\nc/none.jpg\n")
    with pytest.raises(errors.SourceError, match="leads out of"):
        pack(hostile / "t.csv", tmp_path / "out" / "a.h5")


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_a_table_of_everything(hostile, tmp_path, output, suffix):
    packed = pack(write_hostile_table(hostile, suffix), tmp_path / "out" / output, SKIP)
    assert {reject.key: reject.reason for reject in packed.rejects} == NAMED_BAD
    assert keys_of(packed) == named_keys(suffix)
    assert SECRET not in (tmp_path / "out" / output).read_bytes()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b.jpg", r"the file name 'in/a\\x00b.jpg' has a NUL"),
        ("\ud800.jpg", r"'\\ud800.jpg' is not valid text, nor a file name"),
    ],
)
def test_names_that_no_file_can_have(hostile, name, message, monkeypatch):
    monkeypatch.chdir(hostile.parent)
    for names in ([name], ["c/a.jpg", "", name], ["./c/a.jpg", name]):
        (hostile / "t.jsonl").write_text(
            "\n".join(json.dumps({"file_name": each}) for each in names)
        )
        with pytest.raises(errors.SourceError, match=message):
            from_table("in/t.jsonl")


def test_a_quote_without_an_end(hostile):
    (hostile / "t.csv").write_text('file_name\n"a.jpg')
    with pytest.raises(errors.SourceError, match=r"cannot be read .*t\.csv"):
        from_table(hostile / "t.csv")


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices(hostile, tmp_path, kind):
    try:
        os.mknod(hostile / "c" / "disk.jpg", kind | 0o600, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("only root makes devices")
    packed = pack(hostile, tmp_path / "out" / "a.h5", SKIP)
    assert {reject.key: reject.reason for reject in packed.rejects} == BAD | {
        "c/disk.jpg": "UnreadableFileError"
    }


def test_the_same_name_in_other_letters_is_another_file(hostile, tmp_path):
    packed = pack(hostile, tmp_path / "out" / "a.h5", SKIP)
    images = {
        sample["key"]: bytes(sample["image"])
        for sample in fastpack.open(packed.paths, decode=False)
    }
    assert (
        images["c/A.jpg"]
        == (hostile / "c" / "A.jpg").read_bytes()
        != images["c/a.jpg"]
        == jpeg(8, 8, seed=1)
    )
