"""Bad files: skipped and reported, or the first one is named."""

import json
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

import fastpack
from fastpack import PackOptions, errors, from_folder, from_table, pack
from fastpack.cli import main
from fastpack.files.companions import report_path
from fastpack.files.publication import staging_folder
from fastpack.sources import ImageFiles
from tests.support.images import cmyk_jpeg, jpeg, photo, save

NUM_FILES = 60
OUTPUTS = ["out.tfrecord", "out.h5"]


def bomb():
    """A PNG of a few bytes that claims 60,000 x 60,000 pixels."""
    data = bytearray(save(photo(2, 2), "PNG"))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    return bytes(data)


def make_fifo(path):
    path.unlink()
    os.mkfifo(path)


def make_device(path):
    path.unlink()
    path.symlink_to("/dev/zero")


def make_dangling(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def make_folder(path):
    path.unlink()
    path.mkdir()


# Fault -> function that makes it, and the error that the report names. Before listing:
LISTED = {
    "empty": (lambda path: path.write_bytes(b""), "UnsupportedImageError"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:10]), "CorruptImageError"),
    "html": (lambda path: path.write_bytes(b"<html>404 not found</html>"), "UnsupportedImageError"),
    "bomb": (lambda path: path.write_bytes(bomb()), "LimitError"),
    "fifo": (make_fifo, "UnreadableFileError"),
    "device": (make_device, "UnreadableFileError"),
    "dangling link": (make_dangling, "MissingFileError"),
    "folder": (make_folder, "UnreadableFileError"),
}
# And after it:
CHANGED = {
    "vanished": (lambda path: path.unlink(), "UnreadableFileError"),
    "grown": (lambda path: path.write_bytes(path.read_bytes() + b"more"), "SourceError"),
    "became a pipe": (make_fifo, "SourceError"),
}
# These are odd, and as good as any:
ODD = {
    "PNG named .JPEG": lambda path: path.write_bytes(save(photo(9, 7), "PNG")),
    "CMYK": lambda path: path.write_bytes(cmyk_jpeg(9, 7)),
}


@pytest.fixture(scope="module")
def images():
    return [jpeg(12 + number % 5, 10, seed=number) for number in range(NUM_FILES)]


@pytest.fixture
def files(tmp_path, images):
    for number in range(3):
        (tmp_path / "in" / f"c{number}").mkdir(parents=True)
    paths = [
        tmp_path / "in" / f"c{number % 3}" / f"{number:03}.JPEG" for number in range(NUM_FILES)
    ]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    return paths


def source_of(files, bad):
    """A source of `files`, of which those numbered in `bad` are what it says of them."""
    for number, what in bad.items():
        if what not in CHANGED:
            (ODD[what] if what in ODD else LISTED[what][0])(files[number])
    source = ImageFiles(files, range(len(files)), keys=[path.name for path in files])
    for number, what in bad.items():
        if what in CHANGED:
            CHANGED[what][0](files[number])
    return source


ALL_BAD = {5 * position + 2: what for position, what in enumerate([*LISTED, *CHANGED])}
ALL = ALL_BAD | {0: "PNG named .JPEG", 1: "CMYK"}


def report_of(output):
    return [json.loads(line) for line in report_path(output).read_text().splitlines()]


def expected(bad):
    return [
        (number, (LISTED | CHANGED)[what][1])
        for number, what in sorted(bad.items())
        if what not in ODD
    ]


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("shards", [1, 4])
def test_the_report_is_exact(files, tmp_path, output, shards):
    packed = pack(
        source_of(files, ALL), tmp_path / output, PackOptions(on_error="skip", shards=shards)
    )
    assert [(line["sample"], line["reason"]) for line in report_of(tmp_path / output)] == expected(
        ALL
    )
    assert [(reject.sample, reject.reason) for reject in packed.rejects] == expected(ALL)
    assert all(
        line["path"] == str(files[line["sample"]]) in line["message"]
        for line in report_of(tmp_path / output)
    )
    assert all(line["key"] == files[line["sample"]].name for line in report_of(tmp_path / output))
    assert packed.report == report_path(tmp_path / output)
    assert not staging_folder(tmp_path / output).exists()

    good = [number for number in range(NUM_FILES) if number not in ALL_BAD]
    dataset = fastpack.open(packed.paths, decode=False)
    assert packed.num_samples == len(dataset) == len(good)
    assert dataset.columns["label"].tolist() == good
    assert [sample["image"] for sample in dataset] == [
        files[number].read_bytes() for number in good
    ]
    assert fastpack.verify(packed.paths).is_sound


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("what", [*LISTED, *CHANGED])
@pytest.mark.parametrize("workers", [1, 4])
def test_raise_names_the_first(files, tmp_path, output, what, workers):
    """Whether errors of later files are known before or not."""
    bad = {17: what, 18: "html", 19: "dangling link", 40: "vanished", 41: "device"}
    (tmp_path / "out").mkdir()
    with pytest.raises(errors.FastpackError) as caught:
        pack(
            source_of(files, bad),
            tmp_path / "out" / output,
            PackOptions(num_workers=workers, memory=4096, shards=3),
        )
    assert type(caught.value).__name__ == (LISTED | CHANGED)[what][1]
    assert str(caught.value).endswith(str(files[17]))
    assert not list((tmp_path / "out").glob("out*"))


def test_unreadable_files_are_skipped_but_not_where_the_system_is_at_its_end(
    files, tmp_path, monkeypatch
):
    import errno

    source = ImageFiles(files, range(len(files)))
    number, read = errno.EACCES, ImageFiles.read

    def refusing(self, rows):
        if 7 in rows:
            raise errors.from_os_error(
                OSError(number, os.strerror(number)), "read the image", files[7]
            )
        return read(self, rows)

    monkeypatch.setattr(ImageFiles, "read", refusing)
    packed = pack(source, tmp_path / "a.h5", PackOptions(on_error="skip"))
    assert [(reject.sample, reject.reason) for reject in packed.rejects] == [
        (7, "UnreadableFileError")
    ]
    number = errno.EMFILE
    with pytest.raises(errors.UnreadableFileError, match="Too many open files"):
        pack(source, tmp_path / "b.h5", PackOptions(on_error="skip"))
    assert not report_path(tmp_path / "b.h5").exists()


@pytest.mark.parametrize("output", OUTPUTS)
def test_what_is_left_out_leaves_the_same_bytes_as_never_having_been_there(files, tmp_path, output):
    pack(source_of(files, ALL), tmp_path / f"some-{output}", PackOptions(on_error="skip"))
    good = [number for number in range(NUM_FILES) if number not in ALL_BAD]
    few = ImageFiles(
        [files[number] for number in good], good, keys=[files[number].name for number in good]
    )
    pack(few, tmp_path / f"few-{output}")
    assert (tmp_path / f"some-{output}").read_bytes() == (tmp_path / f"few-{output}").read_bytes()


@pytest.mark.parametrize(
    "options",
    [{"layout": "vlen"}, {"size": 8}, {"size": 8, "compression": "gzip"}, {"size": 8, "chunk": 7}],
    ids=str,
)
@pytest.mark.parametrize("memory", [None, 4096])
def test_all_layouts_leave_samples_out(files, tmp_path, options, memory):
    source = source_of(files, ALL_BAD)
    packed = pack(
        source,
        tmp_path / "a.h5",
        PackOptions(on_error="skip", memory=memory, num_workers=2, **options),
    )
    good = [number for number in range(NUM_FILES) if number not in ALL_BAD]
    few = ImageFiles(
        [files[number] for number in good], good, keys=[files[number].name for number in good]
    )
    pack(few, tmp_path / "b.h5", PackOptions(**options))
    one, other = fastpack.open(tmp_path / "a.h5"), fastpack.open(tmp_path / "b.h5")
    assert one.columns["label"].tolist() == other.columns["label"].tolist() == good
    assert all(
        np.array_equal(mine["image"], theirs["image"])
        for mine, theirs in zip(one, other, strict=True)
    )
    assert [(reject.sample, reject.reason) for reject in packed.rejects] == expected(ALL_BAD)
    with h5py.File(tmp_path / "a.h5") as file:
        assert len(file["images"]) == len(good)
    assert fastpack.verify(tmp_path / "a.h5", decode=True).is_sound


def test_a_file_without_one_good_sample_is_an_error(files, tmp_path):
    source = source_of(files[:4], {0: "html", 1: "empty"})
    with pytest.raises(
        errors.EmptySourceError,
        match=r"no sample of this file is good.*000\.JPEG.*write fewer files",
    ):
        pack(source, tmp_path / "a.tfrecord", PackOptions(on_error="skip", shards=2))
    assert (
        pack(
            source, tmp_path / "a.tfrecord", PackOptions(on_error="skip"), overwrite=True
        ).num_samples
        == 2
    )


def test_nothing_bad_no_report(files, tmp_path):
    packed = pack(ImageFiles(files), tmp_path / "a.tfrecord", PackOptions(on_error="skip"))
    assert (packed.rejects, packed.report) == ((), None)
    assert not report_path(tmp_path / "a.tfrecord").exists()


def test_a_report_is_replaced_only_on_request(files, tmp_path):
    pack(source_of(files, {3: "html"}), tmp_path / "a.tfrecord", PackOptions(on_error="skip"))
    report = report_path(tmp_path / "a.tfrecord").read_bytes()
    (tmp_path / "a.tfrecord").unlink()
    good = ImageFiles(files[:3])
    with pytest.raises(errors.OutputExistsError, match="report"):
        pack(good, tmp_path / "a.tfrecord")
    assert report_path(tmp_path / "a.tfrecord").read_bytes() == report
    pack(good, tmp_path / "a.tfrecord", overwrite=True)
    assert not report_path(tmp_path / "a.tfrecord").exists()


def test_an_appended_pack_has_a_report_of_its_own(files, tmp_path):
    options = PackOptions(on_error="skip")
    pack(source_of(files, {3: "html"}), tmp_path / "a.tfrecord", options)
    more = pack(source_of(files, {4: "empty"}), tmp_path / "a.tfrecord", options, append=True)
    assert more.report == report_path(tmp_path / "a-00001-of-00002.tfrecord")
    assert [
        len(report_path(path).read_text().splitlines())
        for path in (tmp_path / "a.tfrecord", *more.paths)
    ] == [1, 2]
    assert len(fastpack.open(str(tmp_path / "a*"))) == 2 * NUM_FILES - 3


KILLED = """
import os, signal, sys
from fastpack import PackOptions, from_folder, pack
from fastpack.packing.staging import Staging

finish, left = Staging.finish, iter(range(int(sys.argv[3])))

def finish_some(self, *arguments):
    finish(self, *arguments)
    if next(left, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)

Staging.finish = finish_some
pack(sys.argv[1], sys.argv[2], PackOptions(on_error="skip", shards=4))
"""


@pytest.mark.parametrize(("output", "num_finished"), [("out.tfrecord", 0), ("out.h5", 3)])
def test_a_killed_pack_remembers_what_it_left_out(files, tmp_path, output, num_finished):
    for number, what in ALL.items():
        if what in LISTED and what != "folder":  # which a folder may hold
            LISTED[what][0](files[number])
    (tmp_path / "out").mkdir()
    killed = [
        sys.executable,
        "-c",
        KILLED,
        tmp_path / "in",
        tmp_path / "out" / output,
        str(num_finished),
    ]
    assert subprocess.run(killed, check=False).returncode == -9
    assert sorted(os.listdir(tmp_path / "out")) == [f".{output}.packing"]

    options = PackOptions(on_error="skip", shards=4)
    with pytest.raises(errors.PlanChangedError, match="on_error"):
        pack(tmp_path / "in", tmp_path / "out" / output, PackOptions(shards=4), resume=True)
    resumed = pack(tmp_path / "in", tmp_path / "out" / output, options, resume=True)
    whole = pack(tmp_path / "in", tmp_path / output, options)
    assert resumed.rejects == whole.rejects
    assert len(resumed.rejects) == len(LISTED) - 1
    assert report_of(tmp_path / "out" / output) == report_of(tmp_path / output)
    assert [path.read_bytes() for path in resumed.paths] == [
        path.read_bytes() for path in whole.paths
    ]


def test_stopped_after_the_report(files, tmp_path, monkeypatch):
    """The report has its name and no shard has one: the pack goes on."""
    source, output, options = (
        source_of(files, {3: "html"}),
        tmp_path / "a.tfrecord",
        PackOptions(on_error="skip", shards=2),
    )
    rename = os.replace

    def stop(staged, final):
        rename(staged, final)
        if str(final) == str(report_path(output)):
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(KeyboardInterrupt):
        pack(source, output, options)
    monkeypatch.undo()
    assert {staging_folder(output).name, report_path(output).name} == {
        name for name in os.listdir(tmp_path) if "a.tfrecord" in name
    }
    assert pack(source, output, options, resume=True).num_samples == NUM_FILES - 1
    assert [line["sample"] for line in report_of(output)] == [3]


def test_duplicate_keys(files, tmp_path):
    keys = [path.name for path in files]
    keys[9] = keys[4]
    source = ImageFiles(files, keys=keys)
    with pytest.raises(errors.DuplicateKeyError, match=r"004\.JPEG.*009\.JPEG"):
        pack(source, tmp_path / "a.tfrecord")
    packed = pack(source, tmp_path / "a.tfrecord", PackOptions(on_error="skip"))
    assert [(reject.sample, reject.reason) for reject in packed.rejects] == [
        (9, "DuplicateKeyError")
    ]


@pytest.mark.parametrize("choice", ["keep", "report", "drop"])
def test_duplicate_contents(files, tmp_path, choice):
    copies = {30: 2, 31: 2, 50: 12}
    for number, first in copies.items():
        files[number].write_bytes(files[first].read_bytes())
    for number in (20, 21):
        files[number].write_bytes(b"")  # nothing is no duplicate of nothing
    packed = pack(
        ImageFiles(files), tmp_path / "a.h5", PackOptions(duplicates=choice, on_error="skip")
    )
    reason = {"keep": None, "report": "duplicate, kept", "drop": "duplicate"}[choice]
    duplicates = [(number, reason) for number in copies] if reason else []
    assert [(one.sample, one.reason) for one in packed.rejects] == sorted(
        [(20, "UnsupportedImageError"), (21, "UnsupportedImageError"), *duplicates]
    )
    assert (
        packed.num_samples
        == len(fastpack.open(tmp_path / "a.h5"))
        == NUM_FILES - 2 - (3 if choice == "drop" else 0)
    )
    if reason:
        assert str(files[12]) in packed.rejects[-1].message


@pytest.mark.parametrize("output", OUTPUTS)
def test_the_command_line_says_so(files, tmp_path, output):
    for number, what in {3: "html", 8: "empty", 9: "html"}.items():
        LISTED[what][0](files[number])
    arguments = ["pack", str(tmp_path / "in"), "-o", str(tmp_path / output), "--on-error", "skip"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert "left out 3 samples: 3 UnsupportedImageError" in result.stdout
    assert "out." in result.stdout
    facts = json.loads(CliRunner().invoke(main, [*arguments, "--overwrite", "--json"]).stdout)
    assert [reject["sample"] for reject in facts["rejects"]] == [
        line["sample"] for line in report_of(tmp_path / output)
    ]
    assert facts["report"] == str(report_path(tmp_path / output))
    assert CliRunner().invoke(main, [*arguments[:4], "--overwrite"]).exit_code == 1


def test_names_that_are_no_utf8_and_names_of_255_bytes(tmp_path):
    root = tmp_path / "in"
    root.mkdir()
    names = [b"\xff\xfe.jpg", b"x" * 251 + b".jpg", b"A.jpg", b"a.jpg"]
    for number, name in enumerate(names):
        (root / os.fsdecode(name)).write_bytes(jpeg(8, 8, seed=number) if number else b"no image")
    packed = pack(from_folder(root), tmp_path / "a.h5", PackOptions(on_error="skip"))
    assert [reject.key for reject in packed.rejects] == [r"\xff\xfe.jpg"]
    assert report_of(tmp_path / "a.h5")[0]["key"] == r"\xff\xfe.jpg"
    assert sorted(fastpack.open(tmp_path / "a.h5").columns["key"]) == sorted(
        name.decode() for name in names[1:]
    )


def test_a_table_with_missing_files(files, tmp_path):
    lines = [
        "file_name,label",
        *(f"in/{path.parent.name}/{path.name},{number}" for number, path in enumerate(files)),
        "in/none.jpg,1",
    ]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    packed = pack(from_table(tmp_path / "t.csv"), tmp_path / "a.h5", PackOptions(on_error="skip"))
    assert [(reject.sample, reject.key, reject.reason) for reject in packed.rejects] == [
        (NUM_FILES, "in/none.jpg", "MissingFileError")
    ]
