"""Recycled memory: a block goes to another only when nothing looks at it any more."""

import copy
import gc
import pickle
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import fastpack
from fastpack import Normalize, Resize
from fastpack.core.buffer_pool import BufferPool
from tests.support.images import jpeg

SHAPE = (2, 1024, 1024)


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture
def memory():
    return BufferPool()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float16, np.float32, np.int64, ">f4"])
@pytest.mark.parametrize("shape", [(1 << 21,), (3, 5, 1 << 20), (0, 7), (), (4,)], ids=str)
def test_arrays_are_as_numpys(memory, dtype, shape):
    array, plain = memory.empty(shape, dtype), np.empty(shape, dtype)
    assert (array.shape, array.dtype, array.strides) == (plain.shape, plain.dtype, plain.strides)
    assert type(array) is np.ndarray
    assert array.flags.writeable
    assert array.flags.c_contiguous
    assert array.flags.aligned
    array[...] = 7
    assert (array == 7).all()


def test_a_dead_arrays_block_comes_again(memory):
    array = memory.empty(SHAPE, np.uint8)
    was = address(array)
    assert address(memory.empty(SHAPE, np.uint8)) != was
    del array
    assert was in (address(memory.empty(SHAPE, np.uint8)) for _ in range(2))


def nested(array):
    part = array[1][:, 5:7]
    return part.T.view(part.dtype)


KEEPERS = {
    "the array": lambda array: array,
    "a slice": lambda array: array[1, 5:7],
    "a view of a view": nested,
    "another dtype": lambda array: array.view(np.uint16),
    "a shape": lambda array: array.reshape(-1),
    "an element's view": lambda array: array[0, 0, :1],
    "a memoryview": memoryview,
    "a cast memoryview": lambda array: memoryview(array).cast("B")[10:20],
    "frombuffer": lambda array: np.frombuffer(memoryview(array).cast("B"), np.uint8),
    "dlpack": np.from_dlpack,
    "an array subclass": lambda array: (
        array.view(np.matrix) if array.ndim == 2 else array[0].view(np.matrix)
    ),
    "a list of rows": list,
    "a flat iterator": lambda array: array.flat,
    "broadcast": lambda array: np.broadcast_to(array, (3, *array.shape)),
    "real": lambda array: array.real,
}


@pytest.mark.parametrize("keep", KEEPERS.values(), ids=KEEPERS)
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_whatever_looks_at_the_block_keeps_it(memory, keep):
    array = memory.empty(SHAPE, np.uint8)
    array[...] = 5
    kept = keep(array)
    del array
    assert memory.num_free == 0
    for _ in range(3):
        memory.empty(SHAPE, np.uint8)[...] = 9
    values = (
        np.concatenate([np.ravel(part) for part in kept])
        if isinstance(kept, list)
        else np.array(list(np.ravel(kept)[:1000]))
    )
    assert (np.asarray(values) == (5 if values.dtype != np.uint16 else 0x0505)).all()
    had = memory.num_free
    del kept, values
    gc.collect()
    assert memory.num_free == min(had + 1, 2)


@pytest.mark.parametrize(
    "duplicate",
    [
        copy.deepcopy,
        copy.copy,
        np.copy,
        lambda array: pickle.loads(pickle.dumps(array)),
        lambda a: a + 0,
    ],
)
def test_copies_have_memory_of_their_own(memory, duplicate):
    array = memory.empty(SHAPE, np.uint8)
    array[...] = 5
    copied = duplicate(array)
    array[...] = 6
    del array
    assert memory.num_free == 1
    assert (copied == 5).all()


def test_no_more_blocks_are_kept_than_asked():
    memory = BufferPool(max_blocks=3)
    arrays = [memory.empty(SHAPE, np.uint8) for _ in range(8)]
    del arrays
    assert memory.num_free == 3


def test_no_more_bytes_are_kept_than_asked():
    memory = BufferPool(max_blocks=8, max_bytes=10 << 20)
    arrays = [memory.empty((4 << 20,), np.uint8) for _ in range(4)]
    del arrays
    assert memory.num_free == 2


def test_blocks_go_to_arrays_of_about_their_size(memory):
    del [memory.empty((16 << 20,), np.uint8)][0]
    small = memory.empty((2 << 20,), np.uint8)
    assert memory.num_free == 1
    large = memory.empty(
        (17 << 20,), np.uint8
    )  # there is some room for a batch that is a bit larger
    assert memory.num_free == 0
    assert small.nbytes + large.nbytes == 19 << 20


def test_arrays_outlive_their_memory(memory):
    array = memory.empty(SHAPE, np.uint8)
    del memory
    gc.collect()
    array[...] = 3
    assert (array == 3).all()


def test_a_memory_is_pickled_empty(memory):
    array = memory.empty(SHAPE, np.uint8)
    del array
    assert pickle.loads(pickle.dumps(memory)).num_free == 0


def test_threads_never_share_a_block():
    """Each thread writes its number into its arrays, keeps them or views of them, and checks."""
    memory = BufferPool(max_blocks=6)
    everybody = threading.Barrier(6)

    def work(number):
        chance = random.Random(number)
        held = []
        everybody.wait()
        for _ in range(150):
            array = memory.empty((1 << 18, chance.choice((4, 5, 6, 8))), np.uint8)
            array[::4096] = number
            held.append(array[::4096] if chance.random() < 0.5 else array)
            if len(held) > 2:
                kept = held.pop(chance.randrange(3))
                assert (kept[:: 4096 if len(kept) > 4096 else 1] == number).all()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(work, range(6)))


# Readers


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for i in range(4):
        (folder / f"{i}.jpg").write_bytes(jpeg(200, 300, seed=i, quality=100))
    packed = fastpack.pack(folder, folder / "x.tfrecord").paths
    return fastpack.open(packed).take(np.arange(48) % 4)


@pytest.mark.parametrize(
    "options",
    [
        {"decode": False},
        {"transform": Resize(200)},
        {"transform": [Resize(100), Normalize((0.5,) * 3, (0.5,) * 3)]},
    ],
    ids=["encoded", "pixels", "floats"],
)
def test_a_batch_that_is_kept_is_never_overwritten(dataset, options):
    reader = dataset.with_options(**options)
    chance = np.random.default_rng(0)
    kept, copies = [], []
    for i in range(12):
        image = reader.read(chance.permutation(48))["image"]
        values = image.values if options.get("decode") is False else image
        assert values.nbytes >= 1 << 20
        if i % 3 == 0:
            kept.append(values[values.shape[0] // 2 :])  # what a user cut out
            copies.append(kept[-1].copy())
    assert all((one == other).all() for one, other in zip(kept, copies, strict=True))


def test_a_batch_that_is_dropped_makes_room_for_the_next(dataset):
    reader = dataset.with_options(transform=Resize(200))
    addresses = set()
    for _ in range(6):
        addresses.add(address(reader.read(np.arange(48))["image"]))
    assert len(addresses) == 1


@pytest.mark.parametrize("num_bytes", [1 << 20, (1 << 20) + 1, 3_000_017])
def test_arrays_begin_where_other_libraries_need_not_copy_them(num_bytes):
    memory = BufferPool()
    arrays = [memory.empty((num_bytes,), np.uint8) for _ in range(3)]
    assert not any(array.ctypes.data % 64 for array in arrays)
    for array in arrays:
        array[...] = 1  # to its last byte
