"""Datasets of more files than a process may have open."""

import itertools
import os
import resource
import threading

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions, Resize
from fastpack.errors import UnreadableFileError
from fastpack.files.shard import OpenShards, Shard

NUM_SHARDS = 60


@pytest.fixture
def paths(tmp_path):
    for number in range(NUM_SHARDS):
        (tmp_path / f"{number:02}.txt").write_bytes(bytes([number]))
    return sorted(tmp_path.iterdir())


@pytest.fixture
def shards(paths):
    return tuple(Shard.of(path, "tfrecord") for path in paths)


@pytest.fixture
def few_files():
    """As many more files as are named may be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(num_more):
        taken = {int(name) for name in os.listdir("/proc/self/fd")}
        free = itertools.islice(
            (number for number in itertools.count() if number not in taken), num_more
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(free) + 1, hard))

    yield allow
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def num_open():
    return len(os.listdir("/proc/self/fd"))


def test_what_was_asked_for_is_open(shards):
    fds = OpenShards().descriptors(shards, np.array([5, 3, 5], np.uint32))
    assert [os.pread(fds[number], 9, 0) for number in (3, 5)] == [b"\3", b"\5"]
    assert np.flatnonzero(fds >= 0).tolist() == [3, 5]


@pytest.mark.isolated
def test_no_more_stay_open_than_a_part_of_what_may_be(shards, few_files):
    before = num_open()
    few_files(40)
    files = OpenShards()
    for number in range(NUM_SHARDS):
        files.descriptors(shards, np.array([number], np.uint32))
    assert (
        before < num_open() <= before + max(16, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 4)
    )
    del files
    assert num_open() == before


def test_files_in_use_stay_open(shards):
    files = OpenShards()
    files._max_kept = 2
    held = files.descriptors(shards, np.arange(10, dtype=np.uint32))
    files.descriptors(shards, np.arange(10, NUM_SHARDS, dtype=np.uint32))
    assert [os.pread(fd, 9, 0) for fd in held[:10]] == [bytes([number]) for number in range(10)]


@pytest.mark.isolated
def test_unused_files_are_closed(shards, few_files):
    files = OpenShards()
    files._max_kept = NUM_SHARDS
    few_files(12)
    for number in range(NUM_SHARDS):
        assert os.pread(
            files.descriptors(shards, np.array([number], np.uint32))[number], 9, 0
        ) == bytes([number])


@pytest.mark.isolated
def test_too_many_at_once_are_an_error_that_says_what_to_do(shards, few_files):
    files = OpenShards()
    few_files(12)
    with pytest.raises(UnreadableFileError, match="ulimit -n"):
        files.descriptors(shards, np.arange(NUM_SHARDS, dtype=np.uint32))


def test_threads_that_push_out_one_anothers_files(shards):
    files = OpenShards()
    files._max_kept = 3
    wrong = []

    def read(seed):
        for number in np.random.default_rng(seed).integers(0, NUM_SHARDS, 300).tolist():
            fds = files.descriptors(shards, np.array([number], np.uint32))
            if os.pread(fds[number], 9, 0) != bytes([number]):
                wrong.append(number)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.isolated
@pytest.mark.parametrize(
    "options",
    [{}, {"size": 8, "compression": "gzip"}, {"size": 8}],
    ids=["encoded", "chunks", "pixels"],
)
def test_a_loader_over_many_files(tmp_path, few_files, options):
    sources, num_shards = [], 32
    for number in range(num_shards):
        sources.append(tmp_path / f"{number}.png")
        sources[-1].write_bytes(fastpack.encode(np.full((8, 8, 3), number, np.uint8), "png"))
    fastpack.pack(
        fastpack.sources.ImageFiles(sources, range(num_shards)),
        tmp_path / "x.h5",
        PackOptions(shards=num_shards, **options),
    )
    dataset = fastpack.open(str(tmp_path / "x-*.h5"), transform=Resize(8))
    few_files(30)  # 16 are kept, and each of two lanes holds those of a batch and of the next
    seen = {}
    for batch in fastpack.Loader(dataset, batch_size=2, shuffle=True):
        seen |= {
            int(label): int(image.min())
            for label, image in zip(batch["label"], batch["image"], strict=True)
        }
    assert seen == {number: number for number in range(num_shards)}
