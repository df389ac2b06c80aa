"""open and Reader: the same behavior for every container."""

import os
import pickle
import shutil
import threading

import numpy as np
import pytest

import fastpack
from fastpack import HorizontalFlip, PackOptions, RandomResizedCrop, Resize, encode, errors, pack
from fastpack.files.companions import index_path
from fastpack.images import codecs
from fastpack.sources import ImageFiles

NUM_SAMPLES = 11


def make_image(seed, height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [(x * 3 + seed * 20) % 256, (y * 5) % 256, (x + y + seed) % 256], axis=-1
    ).astype(np.uint8)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Files of several formats and sizes."""
    root = tmp_path_factory.mktemp("photos")
    paths = []
    for i in range(NUM_SAMPLES):
        format = ("jpeg", "png", "jpeg", "bmp", "webp")[i % 5]
        path = root / f"class{i % 3}" / f"{i:02}.{format}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(make_image(i, 20 + i, 40 - i), format))
        paths.append(path)
    return paths


@pytest.fixture(scope="module", params=["tfrecord", "h5", "tfrecord-shards", "h5-shards"])
def packed(request, photos, tmp_path_factory):
    suffix, *sharded = request.param.split("-")
    source = ImageFiles(
        photos,
        [i % 3 for i in range(NUM_SAMPLES)],
        keys=[path.name for path in photos],
        class_names=["cat", "dog", "owl"],
    )
    out = tmp_path_factory.mktemp("packed")
    return pack(source, out / f"x.{suffix}", PackOptions(shards=3 if sharded else 1)).paths


@pytest.fixture
def dataset(packed):
    return fastpack.open(packed)


def decoded(path):
    return codecs.decode(path.read_bytes())


class TestSequence:
    def test_len_and_columns(self, dataset):
        assert len(dataset) == NUM_SAMPLES
        assert dataset.columns["label"].tolist() == [i % 3 for i in range(NUM_SAMPLES)]
        assert dataset.columns["width"].tolist() == [40 - i for i in range(NUM_SAMPLES)]
        assert dataset.class_names == ("cat", "dog", "owl")

    def test_columns_touch_no_image(self, packed, tmp_path):
        copies = [shutil.copy2(path, tmp_path) for path in packed]
        dataset = fastpack.open(copies)
        for copy in copies:
            os.remove(copy)
        assert dataset.columns["label"].tolist() == [i % 3 for i in range(NUM_SAMPLES)]
        with pytest.raises(errors.MissingFileError):
            dataset[0]

    @pytest.mark.parametrize("i", [0, 3, NUM_SAMPLES - 1, -1, -NUM_SAMPLES])
    def test_sample(self, dataset, photos, i):
        sample = dataset[i]
        assert sample["key"] == photos[i].name
        assert sample["label"] == i % NUM_SAMPLES % 3
        assert (sample["image"] == decoded(photos[i])).all()

    @pytest.mark.parametrize("i", [NUM_SAMPLES, -NUM_SAMPLES - 1, 10**12])
    def test_index_error(self, dataset, i):
        with pytest.raises(IndexError):
            dataset[i]

    @pytest.mark.parametrize(
        "cut", [slice(2, 7), slice(None, None, -1), slice(None, None, 3), slice(5, 5)], ids=str
    )
    def test_slice_is_a_reader(self, dataset, cut):
        part = dataset[cut]
        assert [sample["key"] for sample in part] == list(dataset.columns["key"])[cut]
        assert len(part) == len(range(NUM_SAMPLES)[cut])

    def test_iteration(self, dataset, photos):
        assert [sample["key"] for sample in dataset] == [path.name for path in photos]

    def test_pickle(self, dataset):
        dataset[0]  # with files open
        copy = pickle.loads(pickle.dumps(dataset))
        assert (copy[4]["image"] == dataset[4]["image"]).all()


class TestRead:
    def test_any_order_with_repeats(self, dataset, photos):
        order = [7, 0, 7, 3, -1]
        batch = dataset.read(order)
        assert list(batch["key"]) == [photos[i].name for i in order]
        for i, image in zip(order, batch["image"], strict=True):
            assert (image == decoded(photos[i])).all()

    def test_memory_for_pixels_that_are_not_decoded(self, dataset):
        with pytest.raises(errors.OptionError, match="out receives pixels"):
            dataset.with_options(decode=False).read([0], out=np.zeros((1, 8, 8, 3), np.uint8))

    def test_nothing(self, dataset):
        batch = dataset.read([])
        assert batch.num_samples == 0
        assert len(batch["image"]) == 0

    @pytest.mark.parametrize(
        "indices", [[[1, 2]], [1.5], ["a"], [None], np.array([2**64 - 1], np.uint64)], ids=str
    )
    def test_indices_that_are_none(self, dataset, indices):
        with pytest.raises((errors.OptionError, IndexError)):
            dataset.read(indices)

    def test_undecoded(self, dataset, photos):
        images = dataset.with_options(decode=False).read(range(NUM_SAMPLES))["image"]
        assert [images.bytes(i) for i in range(NUM_SAMPLES)] == [
            path.read_bytes() for path in photos
        ]

    def test_resized(self, dataset):
        batch = dataset.with_options(transform=Resize((16, 24))).read(range(NUM_SAMPLES))
        assert batch["image"].shape == (NUM_SAMPLES, 16, 24, 3)
        assert batch["image"].flags.c_contiguous

    @pytest.mark.parametrize("workers", [1, 2, 7])
    def test_workers_do_not_matter(self, dataset, workers):
        resized = dataset.with_options(transform=Resize(16))
        expected = resized.read(range(NUM_SAMPLES))["image"]
        assert (
            resized.with_options(num_workers=workers).read(range(NUM_SAMPLES))["image"] == expected
        ).all()

    def test_color(self, dataset):
        rgb, bgr, gray = (
            dataset.with_options(color=color)[1]["image"] for color in ("RGB", "BGR", "GRAY")
        )
        assert (rgb[..., ::-1] == bgr).all()
        assert gray.shape == (*rgb.shape[:2], 1)

    def test_out(self, dataset):
        resized = dataset.with_options(transform=Resize((16, 24)))
        frame = np.full((3, 20, 30, 3), 7, np.uint8)
        window = frame[:, 2:18, 3:27]
        batch = resized.read([4, 1, 9], out=window)
        assert batch["image"] is window
        assert (window == resized.read([4, 1, 9])["image"]).all()
        frame[:, 2:18, 3:27] = 7
        assert (frame == 7).all()  # nothing was written around the window

    @pytest.mark.parametrize(
        "shape", [(2, 16, 24, 3), (3, 16, 25, 3), (3, 16, 24, 1), (3, 16, 24)], ids=str
    )
    def test_out_of_another_shape(self, dataset, shape):
        with pytest.raises(errors.ShapeError, match="out must be"):
            dataset.with_options(transform=Resize((16, 24))).read(
                [0, 1, 2], out=np.zeros(shape, np.uint8)
            )

    def test_out_of_another_dtype(self, dataset):
        with pytest.raises(errors.ShapeError, match="float32"):
            dataset.with_options(transform=Resize((16, 24))).read(
                [0], out=np.zeros((1, 16, 24, 3), np.float32)
            )

    def test_threads(self, dataset):
        expected = [sample["image"] for sample in dataset]
        wrong = []

        def read():
            for i in np.random.default_rng().permutation(NUM_SAMPLES):
                if not (dataset[int(i)]["image"] == expected[i]).all():
                    wrong.append(i)

        threads = [threading.Thread(target=read) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


class TestFields:
    def test_chosen(self, packed):
        dataset = fastpack.open(packed, fields=["label", "key"])
        assert list(dataset[2]) == ["label", "key"]

    def test_renamed(self, packed, photos):
        dataset = fastpack.open(packed, fields={"picture": "image", "y": "label"})
        assert list(dataset[2]) == ["picture", "y"]
        assert (dataset[2]["picture"] == decoded(photos[2])).all()

    def test_unknown(self, packed):
        with pytest.raises(errors.SchemaError, match="no field 'mask'.*image.*label"):
            fastpack.open(packed, fields=["mask"])


class TestOpen:
    def test_folder_and_glob(self, packed):
        suffix = packed[0].suffix
        assert len(fastpack.open(packed[0].parent)) == NUM_SAMPLES
        assert len(fastpack.open(str(packed[0].parent / f"*{suffix}"))) == NUM_SAMPLES
        assert (
            len(fastpack.open(str(packed[0].parent / "x*"))) == NUM_SAMPLES
        )  # indexes match too, and are no data

    def test_missing(self, tmp_path):
        with pytest.raises(FileNotFoundError, match="nothing"):
            fastpack.open(tmp_path / "nothing*.tfrecord")

    def test_empty_folder(self, tmp_path):
        with pytest.raises(errors.EmptySourceError, match="fastpack pack"):
            fastpack.open(tmp_path)

    def test_a_file_of_another_kind(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(errors.FormatError, match=r"notes\.txt"):
            fastpack.open(tmp_path / "notes.txt")

    def test_gzip(self, tmp_path):
        (tmp_path / "x.tfrecord.gz").write_bytes(b"\x1f\x8b\x08" + b"0" * 50)
        with pytest.raises(errors.FormatError, match="gzip"):
            fastpack.open(tmp_path / "x.tfrecord.gz")

    def test_options_by_name_or_whole(self, packed):
        options = fastpack.ReadOptions(decode=False)
        assert isinstance(fastpack.open(packed, options=options)[0]["image"], bytes)
        assert isinstance(fastpack.open(packed, decode=False)[0]["image"], bytes)

    def test_limits_hold_for_indexing(self, photos, tmp_path):
        pack(ImageFiles(photos), tmp_path / "a.tfrecord")
        assert len(fastpack.open(tmp_path / "a.tfrecord", save_index=False)) == NUM_SAMPLES
        index_path(tmp_path / "a.tfrecord").unlink()
        with pytest.raises(errors.LimitError, match="raise max_record_bytes"):
            fastpack.open(tmp_path / "a.tfrecord", limits=fastpack.Limits(max_record_bytes=100))

    def test_fields_are_a_list(self, packed):
        with pytest.raises(errors.OptionError, match=r"\['image'\]"):
            fastpack.open(packed, fields="image")

    def test_pixels_and_encoded_do_not_mix(self, photos, tmp_path):
        pack(ImageFiles(photos), tmp_path / "a.h5")
        pack(ImageFiles(photos), tmp_path / "b.h5", PackOptions(size=8))
        with pytest.raises(errors.SchemaError, match=r"a\.h5.*b\.h5"):
            fastpack.open(tmp_path)


class TestSavedIndex:
    @pytest.fixture
    def file(self, packed, tmp_path):
        return shutil.copy2(packed[0], tmp_path)

    def test_is_saved_and_used(self, file, monkeypatch):
        file = fastpack.open(file).index.shards[0].path
        assert index_path(file).exists()
        from fastpack.formats import registry

        monkeypatch.setattr(
            type(registry.of_file(file)), "index", lambda *_, **__: pytest.fail("indexed again")
        )
        fastpack.open(file)

    def test_is_not_saved_when_not_wanted(self, file, tmp_path):
        fastpack.open(file, save_index=False)
        assert [path.name for path in tmp_path.iterdir()] == [os.path.basename(file)]

    def test_damaged_one_is_built_again(self, file):
        expected = fastpack.open(file).columns["label"].tolist()
        path = index_path(fastpack.open(file).index.shards[0].path)
        good = path.read_bytes()
        for damaged in (b"", good[: len(good) // 2], b"PK" + good[2:][::-1], b"\x00" * len(good)):
            path.write_bytes(damaged)
            assert fastpack.open(file).columns["label"].tolist() == expected

    @pytest.mark.parametrize("keep_time", [False, True])
    def test_stale_one_is_built_again(self, file, photos, tmp_path, keep_time):
        """Another file of the same name and maybe the same time; its own index is not copied."""
        before = fastpack.open(file)
        format = before.index.shards[0].container
        pack(ImageFiles(photos[:2], [8, 9]), tmp_path / "other", PackOptions(format=format))
        times = os.stat(file)
        shutil.copyfile(tmp_path / "other", file)
        if keep_time:
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
        assert fastpack.open(file).columns["label"].tolist() == [8, 9]
        assert len(before) > 2

    def test_file_changed_under_an_open_reader(self, file):
        dataset = fastpack.open(file)
        with open(file, "ab") as appended:
            appended.write(b"x")
        with pytest.raises(
            errors.ChangedFileError, match="changed since it was indexed; open the dataset again"
        ):
            dataset[0]

    def test_file_cut_under_an_open_reader(self, file):
        dataset = fastpack.open(file)
        dataset[0]
        os.truncate(file, 100)
        with pytest.raises(errors.ChangedFileError, match="open the dataset again"):
            dataset[-1]


class TestSubsets:
    def test_filter(self, dataset):
        chosen = dataset.filter(lambda columns: (columns["label"] == 1) & (columns["width"] > 35))
        assert chosen.columns["label"].tolist() == [1, 1]
        assert [sample["key"] for sample in chosen] == [dataset[1]["key"], dataset[4]["key"]]

    @pytest.mark.parametrize(
        "mask", [[True], np.ones(NUM_SAMPLES), np.arange(NUM_SAMPLES), True], ids=str
    )
    def test_filter_by_no_mask(self, dataset, mask):
        with pytest.raises(errors.OptionError, match="boolean for each"):
            dataset.filter(lambda columns: mask)

    @pytest.mark.parametrize("by", ["key", "index"])
    @pytest.mark.parametrize(
        "fractions",
        [{"train": 0.5, "val": 0.5}, {"a": 0.7, "b": 0.2, "c": 0.1}, {"some": 0.4}],
        ids=str,
    )
    def test_parts_share_nothing(self, dataset, by, fractions):
        large = dataset.take(np.arange(400) % NUM_SAMPLES) if by == "index" else dataset
        parts = large.split(fractions, by=by)
        assert list(parts) == list(fractions)
        assert sum(map(len, parts.values())) == len(large) or sum(fractions.values()) < 1
        if by == "key":
            keys = [set(part.columns["key"]) for part in parts.values()]
            assert sum(map(len, keys)) == len(set().union(*keys))
        else:
            assert [len(part) for part in parts.values()] == [
                round(400 * fraction) for fraction in fractions.values()
            ]

    def test_a_split_keeps_the_order_and_the_seed_decides(self, dataset):
        parts = dataset.split({"a": 0.5, "b": 0.5}, by="index", seed=1)
        numbers = [
            [list(dataset.columns["key"]).index(key) for key in part.columns["key"]]
            for part in parts.values()
        ]
        assert [sorted(part) for part in numbers] == numbers
        assert sorted(sum(numbers, [])) == list(range(NUM_SAMPLES))
        others = {
            tuple(dataset.split({"a": 0.5}, by="index", seed=seed)["a"].columns["key"])
            for seed in range(5)
        }
        assert len(others) > 1

    def test_a_key_stays_in_its_part_when_others_come_and_go(self, dataset):
        fractions = {"train": 0.6, "val": 0.4}
        whole, some = dataset.split(fractions), dataset[::2].split(fractions)
        assert set(some["val"].columns["key"]) == set(whole["val"].columns["key"]) & set(
            dataset[::2].columns["key"]
        )

    @pytest.mark.parametrize(
        "fractions", [{}, {"a": 0}, {"a": -0.5, "b": 1}, {"a": 0.6, "b": 0.6}], ids=str
    )
    def test_fractions_that_make_no_sense(self, dataset, fractions):
        with pytest.raises(errors.OptionError, match="fractions"):
            dataset.split(fractions)

    def test_split_without_keys(self, packed):
        reader = fastpack.open(packed, fields=["label"])
        with pytest.raises(errors.OptionError, match='by="index": the samples have no keys'):
            reader.split({"a": 0.5})
        with pytest.raises(errors.OptionError, match="by='label'"):
            reader.split({"a": 0.5}, by="label")

    def test_concat(self, dataset):
        joined = fastpack.concat([dataset[:3], dataset, dataset[5:]])
        expected = [*range(3), *range(NUM_SAMPLES), *range(5, NUM_SAMPLES)]
        assert joined.part_sizes == (3, NUM_SAMPLES, NUM_SAMPLES - 5)
        assert [sample["key"] for sample in joined] == [dataset[i]["key"] for i in expected]
        assert all(
            (joined[i]["image"] == dataset[n]["image"]).all() for i, n in enumerate(expected)
        )
        assert joined.with_options(decode=False).part_sizes == joined.part_sizes
        assert joined[:4].part_sizes == (4,)
        for reader in (dataset, joined, joined[:4], fastpack.concat([dataset, dataset])):
            assert reader.stored_bytes == reader.sizes.sum()

    def test_concat_of_what_does_not_fit(self, dataset, packed):
        with pytest.raises(errors.SchemaError, match="fields"):
            fastpack.concat([dataset, fastpack.open(packed, fields=["label"])])
        with pytest.raises(errors.OptionError, match="different options"):
            fastpack.concat([dataset, dataset.with_options(decode=False)])
        with pytest.raises(errors.OptionError, match="nothing"):
            fastpack.concat([])


class TestEpochs:
    STEPS = (RandomResizedCrop(16), HorizontalFlip())

    def test_an_epoch_for_each_sample(self, dataset):
        reader = dataset.with_options(transform=self.STEPS)
        epochs = np.array([0, 3, 0, 2**32 - 1])
        images = reader.read([1, 1, 2, 1], epoch=epochs)["image"]
        for image, row, epoch in zip(images, [1, 1, 2, 1], epochs.tolist(), strict=True):
            assert (image == reader.read([row], epoch=epoch)["image"][0]).all()
        assert (images[0] != images[1]).any()

    @pytest.mark.parametrize(
        "epoch", [-1, 2**32, 1.5, [0, 1], [0, 1, -1], [0, 1, 2**32], "first"], ids=str
    )
    def test_epochs_that_are_none(self, dataset, epoch):
        with pytest.raises(errors.OptionError, match="epoch"):
            dataset.read([0, 1, 2], epoch=epoch)


@pytest.mark.parametrize("options", [{}, {"size": (12, 10)}], ids=["encoded", "pixels"])
@pytest.mark.parametrize(
    ("transform", "shape", "dtype"),
    [
        (None, (0, 0, 0, 3), np.uint8),
        (fastpack.Resize((9, 7)), (0, 9, 7, 3), np.uint8),
        (fastpack.RandomResizedCrop(8), (0, 8, 8, 3), np.uint8),
        (
            [fastpack.Resize(8), fastpack.Normalize((0.5,) * 3, (0.5,) * 3)],
            (0, 3, 8, 8),
            np.float32,
        ),
        (fastpack.ResizeShort(8), (0, 0, 0, 3), np.uint8),
    ],
)
def test_a_batch_of_nothing_has_the_shape_of_one_of_something(
    tmp_path, transform, shape, dtype, options
):
    (tmp_path / "a.jpg").write_bytes(encode(np.zeros((20, 30, 3), np.uint8)))
    pack(ImageFiles([tmp_path / "a.jpg"], [0]), tmp_path / "one.h5", PackOptions(**options))
    dataset = fastpack.open(tmp_path / "one.h5", transform=transform)
    images = dataset.read([])["image"]
    if options:  # all have one size, whatever the transform
        shape = (0, *dataset.read([0])["image"].shape[1:])
    assert (images.shape, images.dtype) == (shape, dtype)
