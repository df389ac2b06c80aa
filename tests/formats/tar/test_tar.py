"""tar files that are opened in place: of WebDataset, of tar itself, and malformed ones."""

import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fastpack
from fastpack.files.companions import index_path
from fastpack.files.image_tree import is_junk
from tests.support.images import photo, read_pillow, save, to_pillow, with_orientation
from tests.support.tars import FORMATS, IMAGES, opened, samples, undecoded, with_checksum, write_tar


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_images_labels_and_keys(tmp_path, format):
    dataset = fastpack.open(write_tar(tmp_path / "x.tar", samples("a/b"), format), save_index=False)
    assert [(field.name, field.kind) for field in dataset.schema.fields] == [
        ("image", "image"),
        ("label", "int"),
        ("key", "text"),
    ]
    batch = dataset.read([3, 0, 1, 2])
    for row, number in enumerate([3, 0, 1, 2]):
        assert np.array_equal(batch["image"][row], read_pillow(IMAGES[number]))
    assert batch["label"].tolist() == [3, 0, 1, 2]
    assert list(batch["key"]) == ["a/b3", "a/b0", "a/b1", "a/b2"]


@pytest.mark.parametrize("format", ["gnu", "pax"])
@pytest.mark.parametrize("length", [50, 99, 100, 101, 155, 156, 255, 256, 257, 4000])
def test_long_names(tmp_path, format, length):
    names = ["d/" + "x" * (length - 7) + f"{i}.jpg" for i in range(2)]
    path = write_tar(
        tmp_path / "x.tar", [(name, IMAGES[i]) for i, name in enumerate(names)], FORMATS[format]
    )
    assert [f"{key}.jpg" for key in undecoded(path)["key"]] == names


def test_long_names_of_ustar_are_split(tmp_path):
    names = [f"{'d' * 100}/{'e' * 50}/{'x' * 80}{i}.jpg" for i in range(2)]
    path = write_tar(
        tmp_path / "x.tar",
        [(name, IMAGES[i]) for i, name in enumerate(names)],
        tarfile.USTAR_FORMAT,
    )
    assert [f"{key}.jpg" for key in undecoded(path)["key"]] == names


name_parts = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="/.\0"), min_size=1, max_size=70
).filter(lambda name: not is_junk(name))


@given(
    st.lists(
        st.tuples(name_parts, name_parts, st.binary(max_size=1500)),
        min_size=1,
        max_size=12,
        unique_by=lambda each: each[:2],
    ),
    st.sampled_from(["gnu", "pax"]),
)
def test_equals_the_tarfile_module(tmp_path_factory, members, format):
    path = write_tar(
        tmp_path_factory.mktemp("t") / "x.tar",
        [(f"{top}/{name}.bin", data) for top, name, data in members],
        FORMATS[format],
    )
    with tarfile.open(path) as archive:
        expected = [(member.name, archive.extractfile(member).read()) for member in archive]
    batch = undecoded(path)
    assert [(f"{key}.bin", batch["bin"].bytes(i)) for i, key in enumerate(batch["key"])] == expected


def test_names_that_are_no_utf8(tmp_path):
    name = b"K\xf6ln.jpg".decode("utf-8", "surrogateescape")
    path = write_tar(tmp_path / "x.tar", [(name, IMAGES[0])], tarfile.GNU_FORMAT)
    assert list(undecoded(path)["key"]) == [r"K\xf6ln"]
    fastpack.extract(opened(path), tmp_path / "files")
    assert os.listdir(os.fsencode(tmp_path / "files")) == [b"K\xf6ln.jpg"]


def test_pax_sizes_and_global_headers(tmp_path):
    info = tarfile.TarInfo("a.jpg")
    info.size = len(IMAGES[0])
    info.pax_headers = {"size": str(len(IMAGES[0])), "comment": "one = two\nthree", "mtime": "1.5"}
    with tarfile.open(
        tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "of all"}
    ) as archive:
        archive.addfile(info, io.BytesIO(IMAGES[0]))
    assert undecoded(tmp_path / "x.tar")["image"].bytes(0) == IMAGES[0]


def test_a_size_in_binary(tmp_path):
    """As GNU tar writes those of 8 GiB and more."""
    path = write_tar(tmp_path / "x.tar", samples())
    data = bytearray(path.read_bytes())
    data[124:136] = b"\x80" + len(IMAGES[0]).to_bytes(11, "big")
    path.write_bytes(with_checksum(data))
    assert undecoded(path)["image"].bytes(3) == IMAGES[3]


# How members become fields


def test_folders_and_names_without_a_key_are_passed_over(tmp_path):
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    others = [("README", b"x"), ("a/.hidden.jpg", b"x"), ("__meta.txt__", b"x"), ("a/file.", b"x")]
    path = write_tar(tmp_path / "x.tar", [folder, *others[:2], *samples("a/"), *others[2:]])
    assert list(undecoded(path)["key"]) == ["a/0", "a/1", "a/2", "a/3"]
    assert opened(path).notes == ("left out 4 files of the archive, hidden or without an ending",)


def test_endings_in_capitals(tmp_path):
    path = write_tar(tmp_path / "x.tar", [("a.JPG", IMAGES[0]), ("a.Cls", b"7")])
    batch = undecoded(path)
    assert (batch["image"].bytes(0), batch["label"].tolist()) == (IMAGES[0], [7])


def test_images_of_several_formats_are_one_field(tmp_path):
    files = [("a.jpg", IMAGES[0]), ("b.png", save(photo(8, 9), "PNG")), ("c.jpeg", IMAGES[2])]
    dataset = fastpack.open(write_tar(tmp_path / "x.tar", files), save_index=False)
    assert [field.name for field in dataset.schema.fields] == ["image", "key"]
    assert [dataset[i]["image"].shape for i in range(3)] == [(24, 20, 3), (8, 9, 3), (26, 20, 3)]


def test_two_images_in_a_sample_are_two_fields(tmp_path):
    mask = save(photo(8, 9, 1), "PNG")
    dataset = opened(
        write_tar(
            tmp_path / "x.tar",
            [("a.jpg", IMAGES[0]), ("a.seg.png", mask), ("b.jpg", IMAGES[1]), ("b.seg.png", mask)],
        )
    )
    batch = dataset.read([0, 1])
    assert [(field.name, field.kind) for field in dataset.schema.fields] == [
        ("image", "image"),
        ("key", "text"),
        ("seg.png", "mask"),
    ]
    assert (batch["image"].bytes(1), batch["seg.png"].bytes(1)) == (IMAGES[1], mask)
    both = opened(write_tar(tmp_path / "y.tar", [("a.jpg", IMAGES[0]), ("a.png", mask)]))
    assert [(field.name, field.kind) for field in both.schema.fields] == [
        ("key", "text"),
        ("jpg", "image"),
        ("png", "image"),
    ]


def test_texts_numbers_and_bytes(tmp_path):
    members = [
        ("a.txt", "Löwe".encode()),
        ("a.json", b'{"x": 1}'),
        ("a.id", b" 12\n"),
        ("a.npy", b"\0\1"),
        ("a.cls", b"cat"),
    ]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    sample = dataset[0]
    assert sample == {
        "label": "cat",
        "key": "a",
        "id": 12,
        "json": '{"x": 1}',
        "npy": b"\0\1",
        "txt": "Löwe",
    }


def test_what_only_some_samples_have(tmp_path):
    members = [
        ("a.jpg", IMAGES[0]),
        ("b.jpg", IMAGES[1]),
        ("b.cls", b"5"),
        ("b.txt", b"hi"),
        ("b.npy", b"xyz"),
        ("c.txt", b""),
    ]
    batch = undecoded(write_tar(tmp_path / "x.tar", members))
    assert [row.tolist() for row in batch["label"]] == [[], [5], []]
    assert [list(row) for row in batch["txt"]] == [[], ["hi"], [""]]
    assert [batch["npy"].bytes(i) for i in range(3)] == [b"", b"xyz", b""]
    assert [batch["image"].bytes(i) for i in range(3)] == [IMAGES[0], IMAGES[1], b""]


def test_long_texts_stay_in_the_archive(tmp_path):
    dataset = opened(write_tar(tmp_path / "x.tar", [("a.txt", b"x" * 70_000), ("b.txt", b"y")]))
    assert dataset.schema["txt"].kind == "bytes"
    assert dataset.read([1])["txt"].bytes(0) == b"y"


def test_headers_of_images_are_probed(tmp_path):
    """Also images whose headers follow long metadata, or are at their ends."""
    thumbnail = b"\xff\xe1" + (60_000).to_bytes(2, "big") + b"Exif" + bytes(59_994)
    late = IMAGES[0][:2] + thumbnail + IMAGES[0][2:]
    files = [
        with_orientation(IMAGES[1], 6),
        late,
        save(photo(300, 200, seed=1), "PNG"),
        save(photo(30, 20), "TIFF"),
        b"no image",
    ]
    dataset = opened(
        write_tar(tmp_path / "x.tar", [(f"{i}.jpg", data) for i, data in enumerate(files)])
    )
    expected = [fastpack.probe(data) for data in files[:4]]
    infos = dataset.index.infos["image"]
    assert (infos[:4] == np.array(expected, infos.dtype)).all()
    assert infos["width"].tolist() == [20, 20, 200, 20, 0]
    assert infos["orientation"][0] == 6


def test_several_shards_and_a_folder_of_them(tmp_path):
    for name in "ab":
        write_tar(tmp_path / f"{name}.tar", samples(name))
    for path in (tmp_path, tmp_path / "*.tar", [tmp_path / "a.tar", tmp_path / "b.tar"]):
        batch = undecoded(path)
        assert list(batch["key"]) == [f"{name}{i}" for name in "ab" for i in range(4)]
        assert batch["image"].bytes(6) == IMAGES[2]


def test_saved_index_is_used_until_the_file_changes(tmp_path, monkeypatch):
    path = write_tar(tmp_path / "x.tar", samples())
    first = fastpack.open(path).columns["label"].tolist()
    assert index_path(path).exists()
    with monkeypatch.context() as patched:
        patched.setattr("fastpack.formats.tar.container.Members", None)
        assert fastpack.open(path).columns["label"].tolist() == first
    write_tar(path, samples()[2:])
    assert fastpack.open(path).columns["label"].tolist() == [1, 2, 3]


def test_only_gray_or_palette_images_of_a_matching_name_are_masks(tmp_path):
    gray, color = save(photo(8, 9, 1), "PNG"), save(photo(8, 9), "PNG")
    indices = save(to_pillow(photo(8, 9, 1)).convert("P"), "PNG")
    members = [
        ("labelIds.png", indices),
        ("mask.png", gray),
        ("depth.png", gray),
        ("seg.png", color),
        ("jpg", IMAGES[0]),
    ]
    schema = opened(
        write_tar(tmp_path / "x.tar", [(f"a.{name}", data) for name, data in members])
    ).schema
    assert {field.name for field in schema.fields if field.kind == "mask"} == {
        "labelids.png",
        "mask.png",
    }
    assert schema.image_field.name == "image"


@pytest.mark.parametrize("ending", ["id", "index", "count", "cls"])
@pytest.mark.parametrize("odd", ["00123", "+5", "1_000", "\u0663", "99999999999999999999"])
def test_what_is_not_a_plain_integer_stays_text(tmp_path, ending, odd):
    members = [
        (f"{i}.{each}", data)
        for i, text in enumerate(["7", odd])
        for each, data in (("jpg", IMAGES[i]), (ending, text.encode()))
    ]
    path = write_tar(tmp_path / "x.tar", members)
    name = "label" if ending == "cls" else ending
    dataset = opened(path)
    assert list(dataset.columns[name]) == ["7", odd]
    assert dataset.notes == (
        f"{name!r} is kept as text, since {odd!r} of sample '1' is not a plain integer",
    )
    for output in ("x.h5", "x.tfrecord", "y.tar"):
        fastpack.convert(path, tmp_path / output)
        assert list(fastpack.open(tmp_path / output).columns[name]) == ["7", odd]


def test_lines_with_integers_are_integers(tmp_path):
    path = write_tar(
        tmp_path / "x.tar",
        [("0.jpg", IMAGES[0]), ("0.cls", b" 7\r\n"), ("1.jpg", IMAGES[1]), ("1.cls", b"-3\n")],
    )
    assert opened(path).columns["label"].tolist() == [7, -3]
    assert opened(path).notes == ()


def test_members_called_image_beside_images(tmp_path):
    members = [("0.jpg", IMAGES[0]), ("0.cls", b"1"), ("0.label", b"5"), ("0.image", b"img")]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    assert [note.split(",")[0] for note in dataset.notes] == [
        "files ending in .label are kept as 'label_column'",
        "files ending in .image are kept as 'image_column'",
    ]
    sample = dataset[0]
    assert (sample["image"], sample["image_column"], sample["label_column"], sample["label"]) == (
        IMAGES[0],
        b"img",
        b"5",
        1,
    )
    for output in ("x.h5", "x.tfrecord", "y.tar"):
        fastpack.convert(tmp_path / "x.tar", tmp_path / output)
        assert fastpack.verify(tmp_path / output, against=tmp_path / "x.tar").is_sound
        assert fastpack.open(tmp_path / output, decode=False)[0] == sample


def test_members_of_a_sample_that_are_no_neighbors(tmp_path):
    members = [("0.jpg", IMAGES[0]), ("1.jpg", IMAGES[1]), ("0.txt", b"a"), ("1.txt", b"b")]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    assert len(dataset) == 4
    assert any(
        note.startswith("2 samples have the key of an earlier one, the first '0'")
        for note in dataset.notes
    )
