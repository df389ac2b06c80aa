"""pack to a store: the bytes of a local pack, whole sets, resumed packs, one of two packers."""

import functools
import itertools
import json
import threading
from dataclasses import replace

import pytest

import fastpack
from fastpack.errors import (
    FastpackWarning,
    MissingFileError,
    MixedSetError,
    OptionError,
    OutputExistsError,
    PlanChangedError,
    StagingBusyError,
    StoreError,
)
from fastpack.formats.index.index_file import load_index
from fastpack.packing import claim, upload_queue
from fastpack.stores.store_path import StorePath
from tests.support.command_line import run
from tests.support.extent import is_full
from tests.support.images import jpeg
from tests.support.stores.bucket import Bucket
from tests.support.stores.faults import ACCESS_DENIED, NO_SUCH_BUCKET, SLOW_DOWN, Fault, Rule

pytest.importorskip("obstore", reason="pip install obstore")
_numbers = iter(range(1_000_000))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Twelve JPEGs of 100 kB in two classes."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(12):
        path = root / ("cat", "dog")[number % 2] / f"{number:02}.jpg"
        path.parent.mkdir(exist_ok=True)
        image = jpeg(40, 50, seed=number)
        path.write_bytes(image + bytes(100_000 - len(image)))
    return root


@pytest.fixture
def bucket(servers, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return Bucket(servers["seaweedfs"], scratch)


@pytest.fixture
def local(photos, tmp_path):
    """Packs locally; returns name -> bytes of the shards."""

    def packed(name="train.tfrecord", **options):
        folder = tmp_path / f"local-{next(_numbers)}"
        folder.mkdir()
        result = fastpack.pack(photos, folder / name, **{"shards": 3, **options})
        return {path.name: path.read_bytes() for path in result.paths}

    return packed


def is_clean(bucket, *names):
    """Whether only these shards with indexes, and a manifest, are left; and no scratch."""
    found = {*names, *(f"{name}.fpindex" for name in names), "train.tfrecord.manifest"}
    assert set(bucket.names()) == found
    assert list(bucket.scratch.iterdir()) == []
    assert bucket.server.uploads(f"{bucket.prefix}/") == []
    return True


FORMS = [
    ("train.tfrecord", {}),
    ("train.tfrecord", {"shards": None}),
    ("train.tfrecord", {"shards": None, "shard_size": "300kB"}),
    ("train.h5", {}),
    ("train.h5", {"size": 32, "compression": "gzip"}),
    ("train.h5", {"layout": "vlen", "shards": 1}),
    ("train.tar", {}),
    ("train.tfrecord", {"seek_points": True, "shuffle_seed": 3}),
    ("train.tfrecord", {"split": {"train": 0.6, "val": 0.4}, "shards": 2}),
]


@pytest.mark.parametrize(("name", "options"), FORMS)
def test_the_bytes_are_those_of_a_local_pack(bucket, photos, tmp_path, name, options):
    local = tmp_path / "local"
    local.mkdir()
    expected = fastpack.pack(photos, local / name, **{"shards": 3, **options})
    result = bucket.pack(photos, name, **options)
    assert [path.name for path in result.paths] == [path.name for path in expected.paths]
    same = ("num_samples", "source_bytes", "output_bytes", "splits", "rejects", "notes")
    assert all(getattr(result, each) == getattr(expected, each) for each in same)
    for path in expected.paths:
        assert bucket.read(path.name) == path.read_bytes()
        (tmp_path / path.name).write_bytes(path.read_bytes())
        saved = tmp_path / f"{path.name}.fpindex"
        saved.write_bytes(bucket.read(saved.name))
        ours, theirs = load_index(saved), load_index(local / saved.name)
        assert [each.size for each in ours.shards] == [each.size for each in theirs.shards]
        assert ours.shards[0].etag
        assert not ours.shards[0].mtime_ns
        assert _facts(ours) == _facts(theirs)
    assert list(bucket.scratch.iterdir()) == []
    left = {path.name for path in result.paths} | {f"{path.name}.fpindex" for path in result.paths}
    manifests = (
        [f"{name}.manifest"]
        if "split" not in options
        else ["train-train.tfrecord.manifest", "train-val.tfrecord.manifest"]
    )
    assert set(bucket.names()) == left | {*manifests}


def _facts(index):
    index = replace(index, shards=())
    tables = {
        name: {column: values.tobytes() for column, values in table.items()}
        for name, table in index.to_tables().items()
    }
    return tables, index.schema, index.notes, index.receipt


def test_the_reader_finds_the_set(bucket, photos):
    bucket.pack(photos)
    dataset = fastpack.open(bucket.folder / "train.tfrecord", decode=False)
    files = {sample["key"]: sample["image"] for sample in dataset}
    below = {str(path.relative_to(photos)): path.read_bytes() for path in photos.rglob("*.jpg")}
    assert files == below
    assert dataset.class_names == ("cat", "dog")


def test_a_large_shard_goes_up_in_parts(bucket, tmp_path):
    for number in range(3):
        image = jpeg(40, 50, seed=number)
        (tmp_path / "large").mkdir(exist_ok=True)
        (tmp_path / "large" / f"{number}.jpg").write_bytes(image + bytes(9 << 20))
    (path,) = bucket.pack(tmp_path / "large", shards=1).paths
    assert bucket.server.proxy.counts()["complete"] == 1
    fastpack.pack(tmp_path / "large", tmp_path / "train.tfrecord", shards=1)
    assert bucket.read(path.name) == (tmp_path / path.name).read_bytes()


def test_few_shards_are_on_scratch(bucket, photos):
    most = 0

    def count(*_):
        nonlocal most
        most = max(most, sum(1 for path in bucket.scratch.rglob("*.tfrecord")))

    bucket.faults(Rule(Fault(latency_s=0.05), ("put",)))
    bucket.pack(photos, shards=12, num_workers=2, progress=count)
    assert 2 <= most <= upload_queue.MAX_WAITING + 4


def test_a_dry_run_writes_nothing(bucket, photos):
    result = bucket.pack(photos, dry_run=True)
    assert [str(path) for path in result.paths] == [
        f"{bucket.folder}/train-0000{number}-of-00003.tfrecord" for number in range(3)
    ]
    assert [shard.num_samples for shard in result.planned] == [4, 4, 4]
    assert bucket.names() == []
    assert list(bucket.scratch.iterdir()) == []
    assert set(bucket.server.proxy.counts()) <= {"list", "head", "get"}


def test_rejects_are_reported(bucket, photos, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(jpeg(8, 8))
    (tmp_path / "bad" / "b.jpg").write_bytes(b"no image")
    result = bucket.pack(tmp_path / "bad", shards=1, on_error="skip")
    assert str(result.report) == f"{bucket.folder}/train.tfrecord.rejects.jsonl"
    (line,) = bucket.read("train.tfrecord.rejects.jsonl").decode().splitlines()
    assert json.loads(line)["path"].endswith("b.jpg")
    with pytest.warns(FastpackWarning):
        bucket.pack(tmp_path / "bad", shards=1, on_error="skip", overwrite=True)
    assert json.loads(bucket.read("train.tfrecord.rejects.jsonl")) == json.loads(line)
    bucket.pack(photos, shards=1, overwrite=True)
    assert not any("rejects" in name for name in bucket.names())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"append": True}, "append is for local files"),
        ({"virtual": True, "size": 8, "name": "train.h5"}, "virtual dataset names local files"),
        ({"name": "train-00000-of-00002.tfrecord"}, "is the name of a shard"),
        ({"scratch": "/there/is/none"}, "scratch folder does not exist"),
        ({"name": "train.zip"}, "not that of a format"),
    ],
)
def test_refusals(bucket, photos, options, message):
    with pytest.raises(OptionError, match=message):
        bucket.pack(photos, **options)
    assert bucket.names() == []
    assert list(bucket.scratch.iterdir()) == []


def test_scratch_is_for_stores(photos, tmp_path):
    with pytest.raises(OptionError, match="scratch is for an output in a store"):
        fastpack.pack(photos, tmp_path / "a.tfrecord", scratch=tmp_path)


def test_a_scratch_folder_of_another_user(bucket, photos):
    bucket.pack(photos)
    bucket.scratch.joinpath("x").mkdir()
    bucket.scratch.joinpath("x").chmod(0o777)
    from fastpack.packing import destination

    options = fastpack.PackOptions(scratch=bucket.scratch)
    folder = destination.scratch_folder(bucket.folder / "train.tfrecord", options)
    bucket.scratch.joinpath("x").rename(folder)
    with pytest.raises(OptionError, match="other users can change"):
        bucket.pack(photos, overwrite=True)


@pytest.mark.parametrize("kind", ["put", "list"])
def test_no_permission(bucket, photos, kind):
    bucket.faults(Rule(ACCESS_DENIED, (kind,)))
    with pytest.raises(StoreError, match="refuses access"):
        bucket.pack(photos)
    bucket.faults()
    assert bucket.names() == []
    assert list(bucket.scratch.iterdir()) == []


def test_a_wrong_bucket_is_refused_before_any_work(bucket, tmp_path):
    wrong = StorePath("s3://no-such-bucket", "train.tfrecord", bucket.folder.options)
    with pytest.raises((MissingFileError, StoreError)) as raised:
        fastpack.pack(tmp_path / "this-source-is-missing", wrong)
    assert "no-such-bucket" in str(raised.value)
    bucket.faults(Rule(NO_SUCH_BUCKET))
    with pytest.raises(MissingFileError, match="check the URL"):
        bucket.pack(tmp_path / "this-source-is-missing")


# Sets that are there already.


def test_an_existing_set_is_refused_before_any_work(bucket, photos, tmp_path):
    bucket.pack(photos)
    before = bucket.names()
    with pytest.raises(OutputExistsError, match="exists already"):
        bucket.pack(tmp_path / "this-source-is-missing")
    bucket.server.delete(f"{bucket.prefix}/train.tfrecord.manifest")
    with pytest.raises(OutputExistsError, match="exists already"):
        bucket.pack(photos)
    assert bucket.names() == [name for name in before if not name.endswith("manifest")]


def test_overwriting_shows_the_old_set_until_the_new_one(bucket, photos, local):
    bucket.pack(photos, include=["cat/*"])
    old, seen = bucket.shards(), []

    def look(request):
        if request.method == "PUT":
            seen.append(bucket.shards())

    bucket.faults(Rule(Fault(act=look), ("put",), keys="*tfrecord*", count=30))
    with pytest.warns(FastpackWarning, match=r"usual names exist.*open.* finds them"):
        result = bucket.pack(photos, overwrite=True)
    bucket.faults()
    assert len(seen) > 5
    assert all(each == old for each in seen)
    assert list(bucket.shards().values()) == list(local().values())
    assert is_clean(bucket, *(path.name for path in result.paths))
    assert result.paths[0].name.startswith("train-00000-of-00003.")


def test_free_names_are_taken_again(bucket, photos, local):
    bucket.pack(photos)
    with pytest.warns(FastpackWarning):
        bucket.pack(photos, overwrite=True)
    bucket.pack(photos, overwrite=True)
    assert bucket.shards() == local()
    assert is_clean(bucket, *local())


def test_a_single_file_is_overwritten(bucket, photos, local):
    bucket.pack(photos, shards=None, include=["cat/*"])
    assert list(bucket.shards()) == ["train.tfrecord"]
    with pytest.warns(FastpackWarning):
        bucket.pack(photos, shards=None, overwrite=True)
    assert list(bucket.shards().values()) == list(local(shards=None).values())


def test_objects_of_other_sets_stay(bucket, photos):
    others = ["train-2.tfrecord", "train-extra-00000-of-00001.tfrecord", "train.tfrecord/a", "tr"]
    for name in others:
        bucket.server.put(f"{bucket.prefix}/{name}", b"theirs")
    bucket.pack(photos)
    with pytest.warns(FastpackWarning):
        bucket.pack(photos, overwrite=True)
    assert all(bucket.read(name) == b"theirs" for name in others)


# Packs that are interrupted.


class Stop(BaseException):
    pass


def interrupted(bucket, photos, after=6, **options):
    """Packs until some of the samples are written, and the uploads are done."""

    def stop(done, *_):
        if done >= after:
            while "shard-00000.json" not in str(bucket.names()):
                pass
            raise Stop

    with pytest.raises(Stop):
        bucket.pack(photos, num_workers=1, memory="1MB", progress=stop, **options)
    bucket.server.proxy.forget()


def test_resume_keeps_what_was_uploaded(bucket, photos, local):
    interrupted(bucket, photos)
    with pytest.raises(OutputExistsError, match="stopped after 1 shard"):
        bucket.pack(photos)
    with pytest.raises(PlanChangedError, match="this is not the pack"):
        bucket.pack(photos, shards=2, resume=True)
    bucket.server.proxy.forget()
    bucket.pack(photos, resume=True)
    assert "train-00000-of-00003.tfrecord" not in bucket.puts()
    assert bucket.shards() == local()
    assert is_clean(bucket, *local())


def test_another_machine_resumes(bucket, photos, local, tmp_path):
    interrupted(bucket, photos)
    (tmp_path / "other").mkdir()
    bucket.pack(photos, resume=True, scratch=tmp_path / "other")
    assert "train-00000-of-00003.tfrecord" not in bucket.puts()
    assert bucket.shards() == local()
    assert list((tmp_path / "other").iterdir()) == []
    # The first machine finds its scratch folder, which is of no use any more.
    with pytest.warns(FastpackWarning):
        bucket.pack(photos, overwrite=True)
    assert list(bucket.scratch.iterdir()) == []


def test_finished_input_is_not_read_again(bucket, photos, monkeypatch):
    interrupted(bucket, photos)
    read = []
    from fastpack.packing.validation import Validator

    whole = Validator.read
    monkeypatch.setattr(
        Validator, "read", lambda self, rows: read.extend(rows.tolist()) or whole(self, rows)
    )
    bucket.pack(photos, resume=True)
    assert sorted(read) == list(range(4, 12))


def test_overwrite_starts_over(bucket, photos, local):
    interrupted(bucket, photos, include=["cat/*"], after=3)
    bucket.pack(photos, overwrite=True)
    assert bucket.shards() == local()
    assert is_clean(bucket, *local())


def test_a_damaged_object_is_uploaded_again(bucket, photos, local):
    interrupted(bucket, photos)
    bucket.server.put(f"{bucket.prefix}/train-00000-of-00003.tfrecord", b"other")
    bucket.pack(photos, resume=True)
    assert bucket.shards() == local()


def test_nothing_is_left_of_a_pack_without_a_finished_shard(bucket, photos):
    def stop(*_):
        raise Stop

    with pytest.raises(Stop):
        bucket.pack(photos, progress=stop)
    assert bucket.names() == []
    assert list(bucket.scratch.iterdir()) == []


@pytest.mark.filterwarnings("ignore::fastpack.errors.FastpackWarning")
@pytest.mark.parametrize("kinds", [("put", "delete"), ("get", "head", "list")])
@pytest.mark.parametrize("options", [{}, {"overwrite": True}])
def test_every_request_fails_once(bucket, photos, local, kinds, options):
    """After a refused n-th request of any kind, `resume` completes the pack."""
    new = list(local().values())
    old = list(local(include=["cat/*"]).values()) if options else None
    for number in itertools.count() if is_full() else itertools.count(0, 4):
        if options:
            bucket.pack(photos, include=["cat/*"])
        denied = Rule(ACCESS_DENIED, kinds, skip=number, count=1)
        bucket.faults(denied)
        try:
            bucket.pack(photos, **options)
        except StoreError:
            bucket.faults()
            assert found(bucket) in (old, new), number
            bucket.pack(photos, resume=True, **options)
        if not denied.num_hits:
            break
        assert found(bucket) == new, number
        # A claim that could not be deleted is of a dead process, and a probe is of no use.
        left = [name for name in bucket.names() if "probe" not in name and "claim" not in name]
        assert len(left) == 7, number
        bucket.use_another_folder()
    assert number >= 12


def found(bucket):
    """The bytes of the shards that the reader finds; None without a set."""
    try:
        return list(bucket.shards().values())
    except (MissingFileError, MixedSetError):
        return None


def test_a_pack_stops_between_the_manifests_of_two_splits(bucket, photos):
    split = {"split": {"train": 0.5, "val": 0.5}, "shards": 2}
    bucket.faults(Rule(ACCESS_DENIED, ("put",), keys="*a-val.tfrecord.manifest"))
    with pytest.raises(StoreError) as raised:
        bucket.pack(photos, "a.tfrecord", **split)
    bucket.faults()
    assert "4 of 4 shards are kept (4 in the store" in raised.value.__notes__[0]
    first = bucket.shards("a-train.tfrecord")
    result = bucket.pack(photos, "a.tfrecord", resume=True, **split)
    assert bucket.shards("a-train.tfrecord") == first
    assert len({**first, **bucket.shards("a-val.tfrecord")}) == len(result.paths) == 4
    assert not any("packing" in name for name in bucket.names())


def test_a_storm_of_503(bucket, photos, local):
    bucket.faults(Rule(SLOW_DOWN, ("put", "head", "get", "list"), probability=0.3))
    bucket.pack(photos)
    bucket.faults()
    assert is_clean(bucket, *local())


# Two packers.


def test_the_second_packer_is_refused(bucket, photos, tmp_path, local):
    (tmp_path / "other").mkdir()
    refused = []

    def begin_another(done, *_):
        if not refused:
            with pytest.raises(
                StagingBusyError, match=r"another pack writes.*process \d+"
            ) as raised:
                bucket.pack(photos, scratch=tmp_path / "other", overwrite=True)
            refused.append(raised.value)

    bucket.pack(photos, progress=begin_another)
    assert refused
    assert bucket.shards() == local()
    assert is_clean(bucket, *local())
    assert list((tmp_path / "other").iterdir()) == []


def test_a_split_is_an_output_too(bucket, photos, tmp_path):
    """A pack to one split of a running pack is refused, and the other way round."""
    (tmp_path / "other").mkdir()
    split = {"split": {"train": 0.5, "val": 0.5}, "shards": 2}
    refused = []

    def begin_another(options, name, done, *_):
        if not refused:
            with pytest.raises(StagingBusyError) as raised:
                bucket.pack(photos, name, scratch=tmp_path / "other", **options)
            refused.append(raised.value)

    other = functools.partial(begin_another, {}, "a-val.tfrecord")
    bucket.pack(photos, "a.tfrecord", **split, progress=other)
    assert len(refused) == 1
    refused.clear()
    other = functools.partial(begin_another, split, "b.tfrecord")
    bucket.pack(photos, "b-val.tfrecord", progress=other)
    assert len(refused) == 1
    assert not any("packing" in name for name in bucket.names())


def test_one_of_two_packers_wins(bucket, photos, tmp_path, local):
    expected, results = local(), []

    def run(number):
        scratch = tmp_path / f"scratch-{number}"
        scratch.mkdir()
        try:
            results.append(bucket.pack(photos, scratch=scratch))
        except (OutputExistsError, StagingBusyError) as error:
            results.append(error)
        assert list(scratch.iterdir()) == []

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, fastpack.packing.PackResult) for each in results) == 1
    assert len(results) == 4
    assert bucket.shards() == expected
    assert is_clean(bucket, *expected)


def test_the_manifest_decides(bucket, photos):
    """A program that puts a manifest without a claim wins; the pack deletes only its own files."""

    def put(request):
        bucket.server.put(f"{bucket.prefix}/train.tfrecord.manifest", b"theirs")

    bucket.server.put(f"{bucket.prefix}/train-9.tfrecord", b"theirs")
    bucket.faults(Rule(Fault(act=put), ("put",), keys="*commit.json", count=1))
    with pytest.raises(OutputExistsError, match="another program wrote this output meanwhile"):
        bucket.pack(photos)
    assert bucket.names() == ["train-9.tfrecord", "train.tfrecord.manifest"]
    assert bucket.read("train.tfrecord.manifest") == b"theirs"


def test_a_pack_that_lost_its_claim_ends(bucket, photos, monkeypatch):
    monkeypatch.setattr(claim, "BEAT_SECONDS", 0.05)

    def take(request):
        bucket.server.put(f"{bucket.prefix}/.train.tfrecord.packing/claim.json", b"{}")

    bucket.faults(
        Rule(Fault(act=take), ("put",), keys="*tfrecord.fpindex", count=1),
        Rule(Fault(latency_s=0.3), ("put",), keys="*.tfrecord"),
    )
    with pytest.raises(StagingBusyError, match="another pack has taken over"):
        bucket.pack(photos)
    # The pack that took over needs these.
    assert ".train.tfrecord.packing/shard-" in str(bucket.names())


def test_a_dead_claim_is_taken_over_after_a_minute(bucket, photos, local, monkeypatch):
    held = f"{bucket.prefix}/.train.tfrecord.packing/claim.json"
    bucket.server.put(held, json.dumps({"host": "far", "pid": 7, "lock": "x"}).encode())
    with pytest.raises(StagingBusyError, match=r"process 7 on far, seen \d+ s ago"):
        bucket.pack(photos)
    assert bucket.names() == [".train.tfrecord.packing/claim.json"]
    monkeypatch.setattr(claim, "LIFE_SECONDS", -5)
    bucket.pack(photos)
    assert is_clean(bucket, *local())


def test_a_store_that_ignores_conditions(servers, photos, tmp_path, local):
    """Names are unique, and a warning says that two packers are not safe."""
    (tmp_path / "scratch").mkdir()
    bucket = Bucket(servers["rclone"], tmp_path / "scratch")
    with pytest.warns(FastpackWarning) as warned:
        result = bucket.pack(photos)
    assert "two packs at once may mix" in str(warned[0].message)
    assert all(len(path.name.split(".")[1]) == 8 for path in result.paths)
    assert list(bucket.shards().values()) == list(local().values())
    with pytest.raises(OutputExistsError), pytest.warns(FastpackWarning):
        bucket.pack(photos)


# Other commands.


def test_convert_to_a_store(bucket, photos, tmp_path, local):
    output, scratch = bucket.folder / "train.tfrecord", bucket.scratch
    fastpack.pack(photos, tmp_path / "a.h5")
    result = fastpack.convert(tmp_path / "a.h5", output, shards=3, scratch=scratch)
    assert result.num_samples == 12
    assert bucket.shards() == local()
    with pytest.raises(OptionError, match="extracted to a local folder"):
        fastpack.convert(tmp_path / "a.h5", bucket.folder / "folder")
    with pytest.raises(OptionError, match="scratch folder does not exist"):
        fastpack.convert(tmp_path / "a.h5", output, scratch=tmp_path / "missing")


def test_from_store_to_store(bucket, photos, local):
    bucket.pack(photos, "first.h5")
    result = bucket.pack(bucket.folder / "first.h5")
    assert result.num_samples == 12
    assert bucket.shards() == local()


def test_the_command(bucket, photos, monkeypatch):
    for name, value in bucket.server.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{bucket.server.url}/{bucket.prefix}/train.tfrecord"
    options = ["-o", url, "--shards", 3, "--scratch", bucket.scratch]
    planned = run("pack", photos, *options, "--dry-run").stdout
    assert f"{bucket.server.url}/{bucket.prefix}/train-00000-of-00003.tfrecord" in planned
    facts = json.loads(run("pack", photos, *options, "--json").stdout)
    assert facts["paths"][2] == f"{bucket.server.url}/{bucket.prefix}/train-00002-of-00003.tfrecord"
    again = run("pack", photos, *options)
    assert again.exit_code == 2
    assert "exists already" in again.stderr
    replaced = run("pack", photos, *options, "--overwrite")
    assert "usual names exist" in replaced.stderr
    assert replaced.exit_code == 0
