"""Publication: a set changes as a whole, wherever the pack stops."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack.files.companions import manifest_path
from fastpack.files.locked_folder import LOCK_NAME, LockedFolder
from fastpack.files.publication import DONE, PENDING, Publication, staging_folder
from fastpack.formats.file_index import FileIndex
from fastpack.sources import ImageFiles
from tests.support.images import jpeg


class StoppedError(Exception):
    pass


@pytest.fixture
def source(tmp_path):
    """A function that gives some images, keyed by their numbers."""
    (tmp_path / "photos").mkdir()

    def paths_of(first: int, count: int, **options) -> ImageFiles:
        paths = [tmp_path / "photos" / f"{i}.jpg" for i in range(first, first + count)]
        for i, path in enumerate(paths):
            path.write_bytes(jpeg(8 + first + i, 8))
        return ImageFiles(paths, [0] * count, keys=[path.name for path in paths], **options)

    return paths_of


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def names(folder: Path) -> set[str]:
    """Return the names of a folder, without manifests."""
    return {name for name in os.listdir(folder) if not name.endswith(".manifest")}


def with_indexes(*shards: str) -> set[str]:
    return {name for shard in shards for name in (shard, f"{shard}.fpindex")}


def stop_at(monkeypatch, number: int) -> None:
    """The publication ends before its `number`-th step beside the staging folder."""
    left = iter(range(number))

    def stopping(real, path_of):
        def step(*paths, **options):
            above = Path(path_of(paths)).parent.name
            if above == "out" and next(left, None) is None:
                raise StoppedError
            return real(*paths, **options)

        return step

    monkeypatch.setattr(os, "replace", stopping(os.replace, lambda paths: paths[1]))
    monkeypatch.setattr(os, "unlink", stopping(os.unlink, lambda paths: paths[0]))
    monkeypatch.setattr(Path, "unlink", stopping(Path.unlink, lambda paths: paths[0]))


NUM_STEPS = 12  # three files and three indexes go, two of each come; the last two are not reached


@pytest.mark.parametrize("number", range(NUM_STEPS))
@pytest.mark.parametrize("suffix", ["tfrecord", "h5"])
def test_a_reader_sees_the_old_set_the_new_one_or_an_error(
    source, out, monkeypatch, suffix, number
):
    output = out / f"t.{suffix}"
    pack(source(0, 6), output, PackOptions(shards=3, sync=False))
    new, options = source(10, 8), PackOptions(shards=2, sync=False)
    with monkeypatch.context() as patched:
        stop_at(patched, number)
        try:
            pack(new, output, options, overwrite=True)
        except StoppedError:
            for path in (out, output, str(out / "t-*"), sorted(out.glob(f"t-*.{suffix}"))):
                if path:  # of the names there may be none at some time
                    with pytest.raises(errors.MixedSetError, match="resume=True"):
                        fastpack.open(path)
            assert any("is replacing the files" in problem for problem in _problems(out))
        else:
            assert number >= NUM_STEPS - 2
    packed = pack(new, output, options, overwrite=True, resume=True)
    assert packed.num_samples == 8
    assert names(out) == with_indexes(*(path.name for path in packed.paths))
    assert list(fastpack.open(output).columns["key"]) == list(new.columns["key"])


def _problems(folder: Path) -> tuple[str, ...]:
    try:
        return fastpack.verify(folder).problems
    except errors.MixedSetError as error:  # no file has its name yet
        return (str(error),)


def test_resume_alone_finishes_what_overwrite_began_to_publish(source, out, monkeypatch):
    output, options = out / "t.tfrecord", PackOptions(shards=2)
    pack(source(0, 6), output, PackOptions(shards=3))
    new = source(10, 8)
    with monkeypatch.context() as patched:
        stop_at(patched, 7)
        with pytest.raises(StoppedError) as caught:
            pack(new, output, options, overwrite=True)
    assert "resume=True" in caught.value.__notes__[0]
    assert pack(new, output, options, resume=True).num_samples == 8
    assert len(fastpack.open(output)) == 8


def test_overwrite_with_resume_keeps_finished_shards(source, out, monkeypatch):
    output, options = out / "t.tfrecord", PackOptions(shards=3, num_workers=1)
    pack(source(0, 6), output, PackOptions(shards=2))
    before, new = names(out), source(10, 9)
    with monkeypatch.context() as patched:
        patched.setattr(
            Publication, "begin", lambda self, sync: (_ for _ in ()).throw(StoppedError)
        )
        with pytest.raises(StoppedError):
            pack(new, output, options, overwrite=True)
    assert names(out) == before | {staging_folder(output).name}
    assert len(fastpack.open(output)) == 6
    with pytest.raises(errors.OutputExistsError, match="ask for overwrite"):
        pack(new, output, options, resume=True)
    assert pack(new, output, options, overwrite=True, resume=True).num_samples == 9
    assert len(fastpack.open(output)) == 9


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ({"shards": 4}, {"shards": 2}),
        ({"shards": 2}, {}),
        ({}, {"shards": 2}),
        ({}, {}),
        ({"shards": 1}, {"shards": 1}),
        ({"shards": 3, "size": 8, "virtual": True}, {"shards": 2, "size": 8}),
        ({"size": 8}, {"shards": 2, "size": 8, "virtual": True}),
    ],
)
def test_overwrite_leaves_nothing_of_the_old_set(source, out, old, new):
    output = out / "t.h5"
    (out / "t-other.h5").write_bytes(b"of somebody else")
    (out / "other-00000-of-00001.h5").write_bytes(b"of somebody else")
    pack(source(0, 5), output, PackOptions(**old))
    pack(source(5, 2), output, PackOptions(**old), append=True)
    fastpack.open(output)
    (
        out / f"{pack(source(7, 1), output, PackOptions(**old), append=True).paths[0].name}.idx"
    ).write_text("0 1\n")
    packed = pack(source(10, 4), output, PackOptions(**new), overwrite=True)
    virtual = {"t.h5"} if "virtual" in new else set()
    assert names(out) == with_indexes(*(path.name for path in packed.paths)) | virtual | {
        "t-other.h5",
        "other-00000-of-00001.h5",
    }
    assert len(fastpack.open(output)) == 4


def test_any_file_of_the_set_is_in_the_way(source, out):
    output = out / "t.tfrecord"
    pack(source(0, 4), output, PackOptions(shards=4))
    for options in (PackOptions(), PackOptions(shards=2)):
        with pytest.raises(errors.OutputExistsError, match=r"t-00000-of-00004\.tfrecord"):
            pack(source(0, 4), output, options)


def test_another_pack_first_completes_what_was_begun(source, out, monkeypatch):
    output = out / "t.tfrecord"
    with monkeypatch.context() as patched:
        stop_at(patched, 1)
        with pytest.raises(StoppedError):
            pack(source(0, 4), output, PackOptions(shards=2))
    more = pack(source(10, 3), output, append=True)
    assert [path.name for path in more.paths] == ["t-00002-of-00003.tfrecord"]
    assert len(fastpack.open(output)) == 7


def test_a_pack_of_a_split_completes_the_pack_of_all(source, out, monkeypatch):
    split = PackOptions(split={"train": 0.5, "val": 0.5})
    with monkeypatch.context() as patched:
        stop_at(patched, 1)
        with pytest.raises(StoppedError):
            pack(source(0, 20), out / "t.tfrecord", split)
    with pytest.raises(errors.MixedSetError):
        fastpack.open(out / "t-train.tfrecord")
    pack(source(30, 2), out / "t-train.tfrecord", overwrite=True)
    assert len(fastpack.open(out / "t-train.tfrecord")) == 2
    assert len(fastpack.open(out / "t-val.tfrecord")) > 2
    assert not [name for name in names(out) if name.startswith(".")]


def test_a_set_that_is_replaced_while_it_is_opened(source, out, monkeypatch):
    """The set changes after its first file was indexed; unchecked, a reader would mix both sets."""
    output, options = out / "t.tfrecord", PackOptions(shards=2)
    old = pack(source(0, 6), output, options)
    manifest_path(output).unlink()
    new, open_index = source(10, 8), FileIndex.open

    def slow(file, *given, **chosen):
        index = open_index(file, *given, **chosen)
        if file.path == old.paths[0] and len(index) == 3:
            pack(new, output, options, overwrite=True)
        return index

    monkeypatch.setattr(
        "fastpack.formats.dataset_indexes.build_all",
        lambda build, count, *_: [build(number) for number in range(count)],
    )
    monkeypatch.setattr(FileIndex, "open", slow)
    with pytest.raises(errors.MixedSetError, match="open it again"):
        fastpack.open(output)
    assert len(fastpack.open(output)) == 8


@pytest.mark.parametrize("number", range(3))
def test_an_append_is_never_made_twice(source, out, monkeypatch, number):
    """Stopped while its files take their names; when the staging folder goes; after that."""
    output, options = out / "t.tfrecord", PackOptions(shards=2)
    pack(source(0, 4), output)
    new = source(10, 4)
    stopping = {
        0: lambda patched: stop_at(patched, 2),
        1: lambda patched: patched.setattr(
            LockedFolder, "remove", lambda self, last: (_ for _ in ()).throw(StoppedError)
        ),
        2: lambda patched: patched.setattr(
            "fastpack.packing.pack._result", lambda *_: (_ for _ in ()).throw(StoppedError)
        ),
    }
    with monkeypatch.context() as patched:
        stopping[number](patched)
        with pytest.raises(StoppedError):
            pack(new, output, options, append=True)
    for _ in range(2):
        again = pack(new, output, options, append=True, resume=True)
        assert [path.name for path in again.paths] == [
            "t-00001-of-00003.tfrecord",
            "t-00002-of-00003.tfrecord",
        ]
        assert again.num_samples == 4
        assert len(fastpack.open(output)) == 8
        of_samples = with_indexes("t.tfrecord", *(path.name for path in again.paths))
        assert names(out) == of_samples


def test_packs_with_crossing_names_do_not_run_together(source, out):
    """A shard's name is another pack's output; a split's is; a set's shards are."""
    samples = source(0, 20)

    def refused(output: str, options: PackOptions) -> None:
        with pytest.raises(errors.StagingBusyError, match="files of the same names|another pack"):
            pack(samples, out / output, options, overwrite=True)

    def during(action):
        is_first = True

        def progress(*_):
            nonlocal is_first
            if is_first:
                is_first = False
                action()

        return progress

    pack(
        samples,
        out / "x.h5",
        PackOptions(shards=3),
        progress=during(lambda: refused("x-00001-of-00003.h5", PackOptions())),
    )
    pack(
        samples,
        out / "y-00001-of-00003.h5",
        progress=during(lambda: refused("y.h5", PackOptions(shards=3))),
    )
    pack(
        samples,
        out / "v-00004-of-00005.h5",
        progress=during(lambda: refused("v.h5", PackOptions(shards=2))),
    )
    split = PackOptions(split={"train": 0.5, "val": 0.5})
    pack(
        samples,
        out / "z.h5",
        split,
        progress=during(lambda: refused("z-train.h5", PackOptions(shards=2))),
    )
    others = [out / "w-00000-of-00002.h5", out / "w-00001-of-00002.h5"]
    pack(
        samples, others[0], progress=during(lambda: pack(samples, others[1]))
    )  # several processes may write one set
    assert len(fastpack.open(out / "w.h5")) == 40


class TestOthersFolders:
    """Something else with the staging folder's name stays as it is."""

    def refused(self, source, output, **how):
        with pytest.raises(errors.OutputExistsError, match="rename or remove it"):
            pack(source(0, 2), output, **how)

    @pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}, {"append": True}])
    def test_a_link(self, source, out, tmp_path, how):
        (tmp_path / "victim").mkdir()
        (tmp_path / "victim" / "thesis.tex").write_text("ten years")
        staging_folder(out / "t.h5").symlink_to(tmp_path / "victim")
        self.refused(source, out / "t.h5", **how)
        assert names(tmp_path / "victim") == {"thesis.tex"}

    @pytest.mark.parametrize("name", ["mine.txt", "lock", "plan.json", PENDING, "journal.jsonl"])
    def test_a_folder(self, source, out, name):
        folder = staging_folder(out / "t.h5")
        folder.mkdir()
        (folder / name).write_text("{}")
        self.refused(source, out / "t.h5", overwrite=True)
        assert names(folder) == {name}

    def test_a_folder_whose_mark_is_a_link(self, source, out, tmp_path):
        (tmp_path / "precious").write_text("precious")
        folder = staging_folder(out / "t.h5")
        folder.mkdir()
        (folder / LOCK_NAME).symlink_to(tmp_path / "precious")
        self.refused(source, out / "t.h5")
        assert (tmp_path / "precious").read_text() == "precious"

    @pytest.mark.parametrize("kind", ["file", "dangling link", "pipe"])
    def test_no_folder(self, source, out, kind):
        place = staging_folder(out / "t.h5")
        {
            "file": place.touch,
            "dangling link": lambda: place.symlink_to("nowhere"),
            "pipe": lambda: os.mkfifo(place),
        }[kind]()
        self.refused(source, out / "t.h5")

    def test_an_empty_folder_is_taken(self, source, out):
        staging_folder(out / "t.h5").mkdir()
        pack(source(0, 2), out / "t.h5")
        assert names(out) == with_indexes("t.h5")

    @pytest.mark.parametrize("place", ["t.h5", "t.h5.fpindex", "t.h5.rejects.jsonl"])
    def test_a_folder_under_a_final_name(self, source, out, place):
        (out / place).mkdir()
        with pytest.raises(errors.OutputExistsError, match="a folder has the output's name"):
            pack(source(0, 2), out / "t.h5", overwrite=True)
        assert names(out) == {place}


def test_a_staged_file_that_is_gone(source, out, monkeypatch):
    with monkeypatch.context() as patched:
        stop_at(patched, 0)
        with pytest.raises(StoppedError):
            pack(source(0, 4), out / "t.tfrecord", PackOptions(shards=2))
    (staging_folder(out / "t.tfrecord") / "t-00001-of-00002.tfrecord").unlink()
    with pytest.raises(errors.FormatError, match="is missing; delete the folder and pack again"):
        pack(source(0, 4), out / "t.tfrecord", PackOptions(shards=2), resume=True)


NESTED = "[" * 100_000


class TestDamagedNotes:
    @pytest.fixture
    def stopped(self, source, out, monkeypatch):
        """The staging folder of a pack that was stopped when its shards were finished."""
        with monkeypatch.context() as patched:
            patched.setattr(
                Publication, "begin", lambda self, sync: (_ for _ in ()).throw(StoppedError)
            )
            with pytest.raises(StoppedError):
                pack(source(0, 4), out / "t.tfrecord", PackOptions(shards=2))
        return staging_folder(out / "t.tfrecord")

    def resume(self, source, out, **how):
        return pack(source(0, 4), out / "t.tfrecord", PackOptions(shards=2), resume=True, **how)

    @pytest.mark.parametrize(
        "text", ["", "{", "null", "[]", "[1]", '"plan"', "7", NESTED, "\udcff\udcfe"]
    )
    def test_a_plan(self, source, out, stopped, text):
        (stopped / "plan.json").write_text(text, errors="surrogateescape")
        with pytest.raises(
            errors.PlanChangedError,
            match="overwrite=True and without resume=True|not the pack that was begun",
        ):
            self.resume(source, out)
        with pytest.raises(errors.PlanChangedError):
            self.resume(source, out, append=True)
        assert pack(source(0, 4), out / "t.tfrecord", overwrite=True).num_samples == 4

    @pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
    def test_a_plan_that_is_not_a_file(self, source, out, stopped, kind):
        (stopped / "plan.json").unlink()
        {"folder": os.mkdir, "pipe": os.mkfifo, "link": lambda path: os.symlink("/dev/zero", path)}[
            kind
        ](stopped / "plan.json")
        with pytest.raises(errors.PlanChangedError, match="damaged"):
            self.resume(source, out)

    @pytest.mark.parametrize(
        "change",
        [
            {"shard": -1},
            {"shard": 10**30},
            {"shard": True},
            {"shard": "0"},
            {"size": None},
            {"size": 1e400},
            {"fingerprint": []},
            {"rejects": 7},
            {"rejects": [7]},
            {"rejects": [{"sample": "x", "key": None, "path": None, "reason": "", "message": ""}]},
            {"rejects": [{"sample": 0, "key": 7, "path": None, "reason": "", "message": ""}]},
            {"transcodes": 7},
            {
                "transcodes": {
                    "num_transcoded": 1,
                    "bytes_before": 1,
                    "bytes_after": 1,
                    "left_alone": 7,
                }
            },
        ],
    )
    def test_an_entry_of_the_journal(self, source, out, stopped, change):
        """Its shard is made again."""
        entries = [
            json.loads(line) for line in (stopped / "journal.jsonl").read_text().split("\n") if line
        ]
        lines = [json.dumps({**entry, **change}) for entry in entries]
        (stopped / "journal.jsonl").write_text("\n".join(lines))
        assert self.resume(source, out, overwrite=True).num_samples == 4
        assert len(fastpack.open(out / "t.tfrecord")) == 4

    @pytest.mark.parametrize(
        "text", ["", "{", "null", "7", '{"shard": 0}', NESTED, "\udcff\udcfe\n"]
    )
    def test_a_journal(self, source, out, stopped, text):
        (stopped / "journal.jsonl").write_text(text, errors="surrogateescape")
        assert self.resume(source, out, overwrite=True).num_samples == 4

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "null",
            NESTED,
            "{}",
            '{"new": 7, "old": [], "pack": {}}',
            '{"new": [], "old": [], "pack": 7}',
        ]
        + [
            json.dumps({"new": [], "old": [name], "pack": {}})
            for name in ("../precious", "/etc/x", "precious", "..", "t\0", 7, "t.txt")
        ],
    )
    def test_what_was_to_be_published(self, source, out, stopped, tmp_path, text):
        (tmp_path / "precious").touch()
        (out / "precious").touch()
        (stopped / PENDING).write_text(text)
        for act in (
            lambda: self.resume(source, out),
            lambda: pack(source(0, 4), out / "t.tfrecord", overwrite=True),
        ):
            with pytest.raises(errors.FormatError, match="then delete the folder"):
                act()
        pack(source(0, 4), out / "other.h5")
        fastpack.open(out / "other.h5")
        assert {"precious"} <= names(out) & names(tmp_path)

    @pytest.mark.parametrize(
        "text", ["", "null", NESTED, '{"new": [], "old": [], "pack": {"plan": 7, "shards": 8}}']
    )
    def test_what_was_published(self, source, out, stopped, text):
        (stopped / DONE).write_text(text)
        assert self.resume(source, out, overwrite=True).num_samples == 4


KILLED = """
import os, signal, sys
from fastpack.files.locked_folder import LockedFolder
from pathlib import Path
folder = LockedFolder(Path(sys.argv[1]))
folder.lock()
(folder.path / "half").write_bytes(b"half")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_locked_folder_of_a_dead_program_is_taken(tmp_path):
    place = tmp_path / ".t.h5.unpacked"
    subprocess.run([sys.executable, "-c", KILLED, place], check=False)
    assert names(place) == {LOCK_NAME, "half"}
    folder, other = LockedFolder(place), LockedFolder(place)
    folder.lock()
    with pytest.raises(errors.StagingBusyError):
        other.lock()
    folder.clear()
    assert names(place) == {LOCK_NAME}
    folder.remove()
    folder.unlock()
    assert not place.exists()
