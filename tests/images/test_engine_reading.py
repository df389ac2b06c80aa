"""Reading with transforms: a sample has the same pixels however it is read, also into `out`."""

import numpy as np
import pytest

import fastpack
from fastpack import (
    CenterCrop,
    HorizontalFlip,
    Normalize,
    RandomCrop,
    RandomResizedCrop,
    ReadOptions,
    Resize,
    ResizeShort,
    errors,
)
from tests.support.images import jpeg, photo, resized, save, with_orientation
from tests.support.samples import packed

NUM_SAMPLES = 23
AUGMENT = (RandomResizedCrop((20, 28)), HorizontalFlip())
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def image_file(i):
    """Several formats, subsamplings, sizes and orientations; gray ones too."""
    size = 40 + 3 * i, 70 - 2 * i
    if i % 7 == 3:
        return save(photo(*size, seed=i), "PNG")
    if i % 7 == 5:
        return with_orientation(jpeg(*size, seed=i), 1 + i % 8)
    return (
        jpeg(*size, seed=i, channels=1)
        if i % 7 == 6
        else jpeg(*size, seed=i, subsampling=i % 3, progressive=i % 2 == 0)
    )


@pytest.fixture(scope="module")
def containers(tmp_path_factory):
    """The same samples, however they are kept."""
    folder = tmp_path_factory.mktemp("packed")
    files = [image_file(i) for i in range(NUM_SAMPLES)]
    shards = {
        "tfrecord": ("a.tfrecord", 1),
        "tfrecord shards": ("b.tfrecord", 4),
        "hdf5": ("c.h5", 1),
        "hdf5 shards": ("d.h5", 3),
    }
    return {
        kind: packed(folder, files, name, shards=count) for kind, (name, count) in shards.items()
    }


@pytest.fixture(scope="module")
def pixels_file(tmp_path_factory):
    """HDF5 with decoded pixels."""
    files = [jpeg(48, 64, seed=i) for i in range(9)]
    return packed(tmp_path_factory.mktemp("pixels"), files, "x.h5", layout="pixels")


@pytest.fixture(params=["tfrecord", "tfrecord shards", "hdf5", "hdf5 shards"])
def container(request, containers):
    return containers[request.param]


@pytest.fixture
def dataset(containers):
    return fastpack.open(containers["tfrecord"])


@pytest.fixture(scope="module")
def augmented(containers):
    """Each sample read alone, by one thread, from one file."""
    reader = fastpack.open(containers["tfrecord"], transform=AUGMENT, seed=5, num_workers=1)
    return np.concatenate([reader.read([i], epoch=3)["image"] for i in range(NUM_SAMPLES)])


# The same pixels, however they are read


@pytest.mark.parametrize("num_workers", [1, 2, 8])
@pytest.mark.parametrize("batch_size", [1, 4, NUM_SAMPLES])
def test_a_sample_has_the_same_pixels_however_it_is_read(
    container, augmented, num_workers, batch_size
):
    reader = fastpack.open(container, transform=AUGMENT, seed=5, num_workers=num_workers)
    order = np.random.default_rng(batch_size).permutation(NUM_SAMPLES)
    for first in range(0, NUM_SAMPLES, batch_size):
        rows = order[first : first + batch_size]
        batch = reader.read(rows, epoch=3)
        assert batch["label"].tolist() == rows.tolist()
        assert (batch["image"] == augmented[rows]).all()


def test_a_sample_that_comes_twice_comes_alike(dataset, augmented):
    reader = dataset.with_options(transform=AUGMENT, seed=5)
    assert (reader.read([4, 9, 4, -1], epoch=3)["image"] == augmented[[4, 9, 4, -1]]).all()


@pytest.mark.parametrize(("epoch", "seed"), [(3, 6), (4, 5), (0, 5), (5, 3)])
def test_other_epochs_and_seeds_crop_otherwise(dataset, augmented, epoch, seed):
    found = dataset.with_options(transform=AUGMENT, seed=seed).read(
        range(NUM_SAMPLES), epoch=epoch
    )["image"]
    assert (found != augmented).any(axis=(1, 2, 3)).all()


def test_samples_crop_independently(tmp_path):
    """The same image 40 times: 40 crops."""
    paths = packed(tmp_path, [jpeg(90, 90)] * 40, "x.tfrecord")
    images = fastpack.open(paths, transform=RandomCrop(30)).read(range(40))["image"]
    assert len({image.tobytes() for image in images}) > 35


def test_without_an_epoch_it_is_the_first(dataset):
    reader = dataset.with_options(transform=AUGMENT)
    assert (reader.read(range(5))["image"] == reader.read(range(5), epoch=0)["image"]).all()
    assert (reader[2]["image"] == reader.read([2])["image"][0]).all()


@pytest.mark.parametrize("mode", ["exact", "fast"])
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "area"])
def test_threads_do_not_matter_in_any_mode(dataset, mode, interpolation):
    reader = dataset.with_options(transform=Resize(12), mode=mode, interpolation=interpolation)
    one, eight = (
        reader.with_options(num_workers=count).read(range(NUM_SAMPLES))["image"] for count in (1, 8)
    )
    assert (one == eight).all()


# Boxes of the transforms


def full(dataset):
    return [sample["image"] for sample in dataset]


def test_resize_is_pillows(dataset):
    found = dataset.with_options(transform=Resize((31, 17))).read(range(NUM_SAMPLES))["image"]
    expected = np.stack([resized(image, 31, 17) for image in full(dataset)])
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_center_crop_is_the_middle(dataset):
    found = dataset.with_options(transform=CenterCrop((20, 16))).read(range(NUM_SAMPLES))["image"]
    for image, whole in zip(found, full(dataset), strict=True):
        y, x = round((whole.shape[0] - 20) / 2), round((whole.shape[1] - 16) / 2)
        assert (image == whole[y : y + 20, x : x + 16]).all()


def test_resize_short_then_center_crop(dataset):
    found = dataset.with_options(transform=[ResizeShort(33), CenterCrop(32)]).read(
        range(NUM_SAMPLES)
    )["image"]
    for image, whole in zip(found, full(dataset), strict=True):
        height, width = (33 * side // min(whole.shape[:2]) for side in whole.shape[:2])
        y, x = round((height - 32) / 2), round((width - 32) / 2)
        assert (
            np.abs(image.astype(int) - resized(whole, height, width)[y : y + 32, x : x + 32]).max()
            <= 1
        )


def test_random_crops_are_parts_of_the_image(dataset):
    found = dataset.with_options(transform=RandomCrop((5, 9))).read(range(NUM_SAMPLES))["image"]
    for image, whole in zip(found, full(dataset), strict=True):
        windows = np.lib.stride_tricks.sliding_window_view(whole, (5, 9, 3))
        assert (windows == image).all(axis=(-1, -2, -3)).any()


def test_flip_is_the_mirror(dataset):
    for image, whole in zip(
        dataset.with_options(transform=HorizontalFlip(1.0)), full(dataset), strict=True
    ):
        assert (image["image"] == whole[:, ::-1]).all()


@pytest.mark.parametrize(
    "wrap",
    [lambda step: step, lambda step: [step], lambda step: (step,)],
    ids=["step", "list", "tuple"],
)
def test_one_step_or_a_sequence(dataset, wrap):
    step = RandomResizedCrop(10)
    expected = dataset.with_options(transform=[step]).read([0, 1])["image"]
    assert (dataset.with_options(transform=wrap(step)).read([0, 1])["image"] == expected).all()


def test_sizes_that_differ_make_a_list(dataset):
    images = dataset.with_options(transform=ResizeShort(16)).read(range(NUM_SAMPLES))["image"]
    assert isinstance(images, list)
    assert {min(image.shape[:2]) for image in images} == {16}


def test_a_crop_of_a_smaller_image_is_refused(dataset):
    with pytest.raises(errors.ShapeError, match=r"smaller than the crop.*record 0\b"):
        dataset.with_options(transform=CenterCrop((41, 41))).read([1, 0])


def test_color(dataset):
    rgb, bgr, gray = (
        dataset.with_options(transform=AUGMENT, color=color).read(range(NUM_SAMPLES))["image"]
        for color in ("RGB", "BGR", "GRAY")
    )
    assert (rgb[..., ::-1] == bgr).all()
    assert gray.shape == (NUM_SAMPLES, 20, 28, 1)
    luma = rgb @ np.array([0.299, 0.587, 0.114])
    assert np.abs(gray[..., 0] - luma).mean() < 1  # not closer, because colors are clipped


# Normalize


def normalized(images, dtype, layout, mean=MEAN, std=STD):
    values = (images / 255 - np.array(mean)) / np.array(std)
    return (values.transpose(0, 3, 1, 2) if layout == "NCHW" else values).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("color", ["RGB", "BGR"])
def test_normalize_is_numpys(container, dtype, layout, color):
    reader = fastpack.open(container, transform=AUGMENT, color=color)
    levels = reader.read(range(NUM_SAMPLES))["image"]
    found = reader.with_options(transform=[*AUGMENT, Normalize(MEAN, STD, dtype, layout)]).read(
        range(NUM_SAMPLES)
    )["image"]
    assert found.dtype == dtype
    assert found.flags.c_contiguous
    np.testing.assert_allclose(
        found, normalized(levels, dtype, layout), rtol=4 * np.finfo(dtype).eps, atol=1e-6
    )


def test_normalize_of_gray(dataset):
    reader = dataset.with_options(transform=Resize(9), color="GRAY")
    found = reader.with_options(transform=[Resize(9), Normalize((0.4,), (0.2,))]).read([0, 3, 5])[
        "image"
    ]
    np.testing.assert_allclose(
        found,
        normalized(reader.read([0, 3, 5])["image"], "float32", "NCHW", (0.4,), (0.2,)),
        rtol=1e-6,
    )


def test_normalize_needs_a_number_for_each_channel(dataset):
    with pytest.raises(errors.ShapeError, match="1 channels but the images 3"):
        dataset.with_options(transform=[Resize(9), Normalize((0.4,), (0.2,))]).read([0])


def test_normalize_alone_keeps_sizes(dataset):
    images = dataset.with_options(transform=Normalize(MEAN, STD)).read([0, 1])["image"]
    assert [image.shape for image in images] == [(3, 40, 70), (3, 43, 68)]


# Into the caller's memory

FLOATS = Normalize(MEAN, STD)
HALVES = Normalize(MEAN, STD, "float16", "NHWC")
# name -> (steps, dtype, shape of the memory, the window of it)
WINDOWS = {
    "packed": ((), np.uint8, (5, 20, 28, 3), lambda a: a),
    "window": ((), np.uint8, (5, 30, 40, 5), lambda a: a[:, 4:24, 5:33, 1:4]),
    "planes": ((), np.uint8, (5, 3, 20, 28), lambda a: a.transpose(0, 2, 3, 1)),
    "backwards": ((), np.uint8, (5, 20, 28, 3), lambda a: a[::-1, ::-1, ::-1, ::-1]),
    "every second row of the batch": ((), np.uint8, (10, 20, 28, 3), lambda a: a[::2]),
    "floats": ((FLOATS,), np.float32, (5, 3, 20, 28), lambda a: a),
    "window of floats": ((FLOATS,), np.float32, (5, 4, 25, 33), lambda a: a[:, 1:, 2:22, 3:31]),
    "channels last floats": (
        (FLOATS,),
        np.float32,
        (5, 20, 28, 3),
        lambda a: a.transpose(0, 3, 1, 2),
    ),
    "every third float": ((FLOATS,), np.float32, (5, 3, 60, 84), lambda a: a[:, ::-1, ::3, ::-3]),
    "halves": ((HALVES,), np.float16, (5, 20, 28, 3), lambda a: a),
    "window of halves": ((HALVES,), np.float16, (5, 21, 30, 6), lambda a: a[:, 1:, 1:29, ::2]),
}


@pytest.mark.parametrize(("steps", "dtype", "shape", "window_of"), WINDOWS.values(), ids=WINDOWS)
@pytest.mark.parametrize("kind", ["tfrecord", "hdf5"])
def test_out_of_any_strides(containers, kind, steps, dtype, shape, window_of):
    reader = fastpack.open(containers[kind], transform=[*AUGMENT, *steps])
    rows = [3, 5, 6, 0, 1]  # a PNG, a turned and a gray JPEG among them
    memory = np.full(shape, 7, dtype)
    expected = memory.copy()
    window_of(expected)[...] = reader.read(rows)["image"]
    window = window_of(memory)
    assert reader.read(rows, out=window)["image"] is window
    assert (memory == expected).all()  # and nothing around it was written


@pytest.mark.parametrize(
    ("steps", "dtype", "shape"),
    [
        ((), np.uint8, (2, 20, 28, 1)),
        ((), np.uint8, (3, 20, 28, 3)),
        ((), np.uint8, (2, 28, 20, 3)),
        ((), np.uint8, (20, 28, 3)),
        ((), np.int8, (2, 20, 28, 3)),
        ((), np.float32, (2, 20, 28, 3)),
        ((FLOATS,), np.uint8, (2, 3, 20, 28)),
        ((FLOATS,), np.float64, (2, 3, 20, 28)),
        ((FLOATS,), np.float16, (2, 3, 20, 28)),
        ((FLOATS,), ">f4", (2, 3, 20, 28)),
        ((FLOATS,), np.float32, (2, 20, 28, 3)),
        ((HALVES,), np.float16, (2, 3, 20, 28)),
    ],
    ids=str,
)
def test_out_that_does_not_fit(dataset, steps, dtype, shape):
    out = np.full(shape, 7, dtype)
    with pytest.raises(errors.ShapeError, match="out must be"):
        dataset.with_options(transform=[*AUGMENT, *steps]).read([0, 1], out=out)
    assert (out == 7).all()


def test_out_needs_one_size(dataset):
    with pytest.raises(errors.ShapeError, match="one size"):
        dataset.read([0, 1], out=np.empty((2, 40, 70, 3), np.uint8))


# Decoded pixels in HDF5


@pytest.mark.parametrize("color", ["RGB", "BGR"])
@pytest.mark.parametrize("num_workers", [1, 8])
def test_transforms_of_pixels(pixels_file, color, num_workers):
    stored = fastpack.open(pixels_file, color=color)
    whole = stored.read(range(9))["image"]
    found = stored.with_options(
        transform=[CenterCrop((30, 40)), HorizontalFlip(1.0)], num_workers=num_workers
    ).read(range(9))["image"]
    assert (found == whole[:, 9:39, 12:52][:, :, ::-1]).all()
    small = stored.with_options(transform=Resize((15, 20)), num_workers=num_workers).read(range(9))[
        "image"
    ]
    assert (
        np.abs(small.astype(int) - np.stack([resized(image, 15, 20) for image in whole])).max() <= 1
    )


def test_pixels_are_cropped_as_encoded_images_are(pixels_file, tmp_path):
    encoded = packed(tmp_path, [jpeg(48, 64, seed=i) for i in range(9)], "x.tfrecord")
    one, other = (
        fastpack.open(paths, transform=AUGMENT, seed=2).read(range(9), epoch=1)["image"]
        for paths in (pixels_file, encoded)
    )
    assert (one == other).all()


def test_normalize_of_pixels_into_a_window(pixels_file):
    reader = fastpack.open(pixels_file, transform=AUGMENT)
    memory = np.zeros((4, 5, 24, 30), np.float32)
    window = memory[:, 1:4, 2:22, 1:29]
    reader.with_options(transform=[*AUGMENT, FLOATS]).read([8, 0, 3, 3], out=window)
    np.testing.assert_allclose(
        window,
        normalized(reader.read([8, 0, 3, 3])["image"], "float32", "NCHW"),
        rtol=1e-6,
        atol=1e-6,
    )


def test_pixels_too_small_for_a_crop(pixels_file):
    with pytest.raises(errors.ShapeError, match="smaller than the crop"):
        fastpack.open(pixels_file, transform=RandomCrop(49)).read([0])


# Nothing to read

STEPS = [
    Resize(7),
    ResizeShort(7),
    CenterCrop(7),
    RandomCrop(7),
    RandomResizedCrop(7),
    HorizontalFlip(),
    FLOATS,
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("kind", ["encoded", "pixels"])
def test_reading_nothing(containers, pixels_file, step, kind):
    reader = fastpack.open(
        containers["tfrecord"] if kind == "encoded" else pixels_file, transform=step
    )
    batch = reader.read([])
    assert batch.num_samples == len(batch["image"]) == 0
    assert batch["image"].dtype == (np.float32 if step is FLOATS else np.uint8)


def test_reading_nothing_into_out(dataset):
    out = np.empty((0, 7, 7, 3), np.uint8)
    assert dataset.with_options(transform=Resize(7)).read([], out=out)["image"] is out


# Options


@pytest.mark.parametrize(
    "options",
    [
        {"interpolation": "cubic"},
        {"interpolation": None},
        {"mode": "quick"},
        {"mode": ""},
        {"color": "rgb"},
        {"color": "CMYK"},
        {"on_error": "ignore"},
        {"num_workers": 0},
        {"num_workers": -1},
        {"num_workers": 1.5},
        {"num_workers": "2"},
        {"seed": -1},
        {"seed": 2**64},
        {"seed": "seven"},
        {"transform": "resize"},
        {"transform": [Resize]},
        {"limits": None},
    ],
    ids=str,
)
def test_options_that_make_no_sense(options):
    with pytest.raises(errors.OptionError):
        ReadOptions(**options)


@pytest.mark.parametrize("epoch", [-1, 2**32])
def test_epochs_that_make_no_sense(dataset, epoch):
    with pytest.raises(errors.OptionError, match="epoch"):
        dataset.read([0], epoch=epoch)


def test_read_only_out_is_refused(dataset):
    out = np.zeros((1, 7, 7, 3), np.uint8)
    out.flags.writeable = False
    with pytest.raises(errors.ShapeError, match="read-only"):
        dataset.with_options(transform=Resize(7)).read([0], out=out)


def test_a_slice_has_the_crops_of_the_whole(dataset):
    reader = dataset.with_options(transform=RandomResizedCrop(9), seed=3)
    whole = reader.read(range(len(reader)))["image"]
    part = reader[2:][::-1]
    assert (part.read(range(len(part)))["image"] == whole[2:][::-1]).all()
    assert (
        reader.take([3, 1]).with_options(num_workers=1).read([1, 0])["image"] == whole[[1, 3]]
    ).all()
