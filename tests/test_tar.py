"""tar files, opened where they are: as WebDataset writes them, as tar itself does, and as nobody should."""

import io
import os
import tarfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from images import jpeg, photo, read_pillow, save, to_pillow, with_orientation

import fastpack
from fastpack._native.tar import is_header
from fastpack.errors import (
    CorruptRecordError,
    EmptySourceError,
    FastpackError,
    FormatError,
    OutputExistsError,
    TruncatedFileError,
)
from fastpack.files.companions import index_path

IMAGES = [jpeg(24 + i, 20, seed=i) for i in range(4)]
FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}


def write_tar(path, members, format=tarfile.PAX_FORMAT, pax_headers=None):
    """`members`: (name, bytes), or TarInfo."""
    with tarfile.open(path, "w", format=format, pax_headers=pax_headers) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, data = member
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(prefix=""):
    return [(f"{prefix}{i}.{ending}", data) for i, image in enumerate(IMAGES) for ending, data in (("jpg", image), ("cls", b"%d" % i))]


def opened(path, **options):
    return fastpack.open(path, decode=False, save_index=False, **options)


def undecoded(path):
    dataset = opened(path)
    return dataset.read(np.arange(len(dataset)))


@pytest.mark.parametrize("format", FORMATS.values(), ids=FORMATS)
def test_images_labels_and_keys(tmp_path, format):
    dataset = fastpack.open(write_tar(tmp_path / "x.tar", samples("a/b"), format), save_index=False)
    assert [(field.name, field.kind) for field in dataset.schema.fields] == [("image", "image"), ("label", "int"), ("key", "text")]
    batch = dataset.read([3, 0, 1, 2])
    for row, number in enumerate([3, 0, 1, 2]):
        assert np.array_equal(batch["image"][row], read_pillow(IMAGES[number]))
    assert batch["label"].tolist() == [3, 0, 1, 2]
    assert list(batch["key"]) == ["a/b3", "a/b0", "a/b1", "a/b2"]


@pytest.mark.parametrize("format", ["gnu", "pax"])
@pytest.mark.parametrize("length", [50, 99, 100, 101, 155, 156, 255, 256, 257, 4000])
def test_long_names(tmp_path, format, length):
    names = ["d/" + "x" * (length - 7) + f"{i}.jpg" for i in range(2)]
    path = write_tar(tmp_path / "x.tar", [(name, IMAGES[i]) for i, name in enumerate(names)], FORMATS[format])
    assert [f"{key}.jpg" for key in undecoded(path)["key"]] == names


def test_long_names_of_ustar_are_split(tmp_path):
    names = [f"{'d' * 100}/{'e' * 50}/{'x' * 80}{i}.jpg" for i in range(2)]
    path = write_tar(tmp_path / "x.tar", [(name, IMAGES[i]) for i, name in enumerate(names)], tarfile.USTAR_FORMAT)
    assert [f"{key}.jpg" for key in undecoded(path)["key"]] == names


name_parts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/.\0"), min_size=1, max_size=70)


@given(
    st.lists(st.tuples(name_parts, name_parts, st.binary(max_size=1500)), min_size=1, max_size=12, unique_by=lambda each: each[:2]),
    st.sampled_from(["gnu", "pax"]),
)
def test_equals_the_tarfile_module(tmp_path_factory, members, format):
    path = write_tar(tmp_path_factory.mktemp("t") / "x.tar", [(f"{top}/{name}.bin", data) for top, name, data in members], FORMATS[format])
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
    with tarfile.open(tmp_path / "x.tar", "w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "of all"}) as archive:
        archive.addfile(info, io.BytesIO(IMAGES[0]))
    assert undecoded(tmp_path / "x.tar")["image"].bytes(0) == IMAGES[0]


def test_a_size_in_binary(tmp_path):
    """As GNU tar writes those of 8 GiB and more."""
    path = write_tar(tmp_path / "x.tar", samples())
    data = bytearray(path.read_bytes())
    data[124:136] = b"\x80" + len(IMAGES[0]).to_bytes(11, "big")
    path.write_bytes(with_checksum(data))
    assert undecoded(path)["image"].bytes(3) == IMAGES[3]


def with_checksum(data, start=0):
    data[start + 148 : start + 156] = b" " * 8
    data[start + 148 : start + 156] = b"%06o\0 " % sum(data[start : start + 512])
    return bytes(data)


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
    dataset = opened(write_tar(tmp_path / "x.tar", [("a.jpg", IMAGES[0]), ("a.seg.png", mask), ("b.jpg", IMAGES[1]), ("b.seg.png", mask)]))
    batch = dataset.read([0, 1])
    assert [(field.name, field.kind) for field in dataset.schema.fields] == [("image", "image"), ("key", "text"), ("seg.png", "mask")]
    assert (batch["image"].bytes(1), batch["seg.png"].bytes(1)) == (IMAGES[1], mask)
    both = opened(write_tar(tmp_path / "y.tar", [("a.jpg", IMAGES[0]), ("a.png", mask)]))
    assert [(field.name, field.kind) for field in both.schema.fields] == [("key", "text"), ("jpg", "image"), ("png", "image")]


def test_texts_numbers_and_bytes(tmp_path):
    members = [("a.txt", "Löwe".encode()), ("a.json", b'{"x": 1}'), ("a.id", b" 12\n"), ("a.npy", b"\0\1"), ("a.cls", b"cat")]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    sample = dataset[0]
    assert sample == {"label": "cat", "key": "a", "id": 12, "json": '{"x": 1}', "npy": b"\0\1", "txt": "Löwe"}


def test_what_only_some_samples_have(tmp_path):
    members = [("a.jpg", IMAGES[0]), ("b.jpg", IMAGES[1]), ("b.cls", b"5"), ("b.txt", b"hi"), ("b.npy", b"xyz"), ("c.txt", b"")]
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
    """Also those whose facts lie behind a long head, or at their ends."""
    thumbnail = b"\xff\xe1" + (60_000).to_bytes(2, "big") + b"Exif" + bytes(59_994)
    late = IMAGES[0][:2] + thumbnail + IMAGES[0][2:]
    files = [with_orientation(IMAGES[1], 6), late, save(photo(300, 200, seed=1), "PNG"), save(photo(30, 20), "TIFF"), b"no image"]
    dataset = opened(write_tar(tmp_path / "x.tar", [(f"{i}.jpg", data) for i, data in enumerate(files)]))
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


# What is refused


def link(kind, target):
    info = tarfile.TarInfo("b.jpg")
    info.type, info.linkname = kind, target
    return info


def of_type(kind):
    info = tarfile.TarInfo("b.jpg")
    info.type = kind
    return info


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (link(tarfile.SYMTYPE, "/etc/passwd"), "link"),
        (link(tarfile.LNKTYPE, "0.jpg"), "link"),
        (of_type(tarfile.FIFOTYPE), "not a plain file"),
        (of_type(tarfile.CHRTYPE), "not a plain file"),
        (of_type(tarfile.BLKTYPE), "not a plain file"),
        (of_type(b"M"), "volume"),
        (of_type(b"?"), "not a plain file"),
        (of_type(tarfile.GNUTYPE_SPARSE), "sparse"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_members_that_are_no_files(tmp_path, member, said):
    with pytest.raises(FormatError, match=rf"{said}.*dereference.*x\.tar, record 8"):
        opened(write_tar(tmp_path / "x.tar", [*samples(), member], tarfile.GNU_FORMAT))


def test_pax_sparse_members(tmp_path):
    info = tarfile.TarInfo("a.jpg")
    info.pax_headers = {"GNU.sparse.major": "1"}
    with pytest.raises(FormatError, match="sparse"):
        opened(write_tar(tmp_path / "x.tar", [info]))


def test_one_file_twice_in_a_sample(tmp_path):
    with pytest.raises(FormatError, match=r"two files for label.*x\.tar, record 0.*key 0"):
        opened(write_tar(tmp_path / "x.tar", [samples()[0], ("0.cls", b"1"), ("0.cls", b"2")]))


def test_no_samples(tmp_path):
    with pytest.raises(EmptySourceError, match=r"x\.tar"):
        opened(write_tar(tmp_path / "x.tar", []))
    with pytest.raises(EmptySourceError, match=r"x\.tar"):
        opened(write_tar(tmp_path / "x.tar", [("README", b"x")]))


def test_names_that_lead_out_are_only_names(tmp_path):
    """Reading writes nothing, so they do no harm here; `extract` refuses them."""
    names = ["../../etc/a.jpg", "/etc/b.jpg"]
    path = write_tar(tmp_path / "x.tar", [(name, IMAGES[i]) for i, name in enumerate(names)], tarfile.GNU_FORMAT)
    dataset = opened(path)
    assert list(dataset.columns["key"]) == ["../../etc/a", "/etc/b"]
    with pytest.raises(FormatError, match=r"\.\./\.\./etc/a"):
        fastpack.extract(dataset, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_gzip_is_refused_with_a_remedy(tmp_path):
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"))
    with pytest.raises(FormatError, match=r"gunzip.*x\.tar\.gz"):
        opened(tmp_path / "x.tar.gz")


@pytest.fixture
def packed(tmp_path):
    for i, image in enumerate(IMAGES):
        (tmp_path / "photos" / f"class{i % 2}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / f"class{i % 2}" / f"{i}.JPEG").write_bytes(image)
    fastpack.pack(tmp_path / "photos", tmp_path / "x.h5")
    return opened(tmp_path / "x.h5")


def test_extracted_as_a_tar(tmp_path, packed):
    fastpack.extract(packed, tmp_path / "y.tar")
    order = [0, 2, 1, 3]
    with tarfile.open(tmp_path / "y.tar") as archive:
        found = {member.name: archive.extractfile(member).read() for member in archive.getmembers()}
    expected = {}
    for number in order:
        expected[f"class{number % 2}/{number}.JPEG"] = IMAGES[number]
        expected[f"class{number % 2}/{number}.cls"] = b"%d" % (number % 2)
        expected[f"class{number % 2}/{number}.key.txt"] = f"class{number % 2}/{number}.JPEG".encode()  # readers see small letters
    assert list(found.items()) == list(expected.items())
    batch = undecoded(tmp_path / "y.tar")
    assert [batch["image"].bytes(row) for row in range(4)] == [IMAGES[number] for number in order]
    assert batch["label"].tolist() == [0, 0, 1, 1]
    assert list(batch["key"]) == list(packed.columns["key"])
    assert opened(tmp_path / "y.tar").class_names == packed.class_names
    fastpack.extract(packed, tmp_path / "z.tar")
    assert (tmp_path / "y.tar").read_bytes() == (tmp_path / "z.tar").read_bytes()


def test_a_tar_is_extracted_whole_or_not_at_all(tmp_path, packed):
    (tmp_path / "y.tar").write_bytes(b"mine")
    with pytest.raises(OutputExistsError, match=r"y\.tar"):
        fastpack.extract(packed, tmp_path / "y.tar")

    def fail(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fastpack.extract(packed, tmp_path / "y.tar", overwrite=True, progress=fail)
    assert (tmp_path / "y.tar").read_bytes() == b"mine"
    assert not list(tmp_path.glob(".y.tar*"))
    fastpack.extract(packed, tmp_path / "y.tar", overwrite=True)
    assert len(opened(tmp_path / "y.tar")) == 4


@pytest.mark.parametrize("names", [("a.b.jpg",), ("a.jpg", "a.png"), (".jpg",)])
def test_keys_that_a_tar_cannot_hold(tmp_path, names):
    (tmp_path / "photos").mkdir()
    for name in names:
        (tmp_path / "photos" / name).write_bytes(IMAGES[0])
    fastpack.pack(fastpack.Paths([tmp_path / "photos" / name for name in names], keys=list(names)), tmp_path / "x.tfrecord")
    with pytest.raises(FormatError, match=r"in a tar|first dot"):
        fastpack.extract(opened(tmp_path / "x.tfrecord"), tmp_path / "y.tar")
    assert not (tmp_path / "y.tar").exists()


def test_joined_archives(tmp_path):
    data = write_tar(tmp_path / "x.tar", samples()).read_bytes()
    (tmp_path / "x.tar").write_bytes(data + data)
    with pytest.raises(FormatError, match=r"end mark.*x\.tar"):
        opened(tmp_path / "x.tar")


def test_every_cut_is_noticed(tmp_path):
    path = write_tar(tmp_path / "x.tar", samples())
    data = path.read_bytes()
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1]
    end = last.offset_data + 512
    for cut in [*range(0, end, 301), *range(512, end + 1, 512), end - 1]:
        path.write_bytes(data[:cut])
        with pytest.raises(FastpackError, match=r"x\.tar"):
            opened(path)
    path.write_bytes(data[: end + 512])  # the padding may be missing
    assert len(opened(path)) == 4


@pytest.mark.parametrize("bit", range(0, 512 * 8, 37))
def test_flipped_bit_in_a_header(tmp_path, bit):
    path = write_tar(tmp_path / "x.tar", samples(), tarfile.USTAR_FORMAT)
    with tarfile.open(path) as archive:
        header = archive.getmembers()[2].offset
    data = bytearray(path.read_bytes())
    data[header + bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)
    try:
        batch = undecoded(path)
    except CorruptRecordError as error:
        assert "record 2" in str(error)  # noqa: PT017 - some bits, such as blanks in the checksum's own field, change nothing
        return
    assert 148 <= bit // 8 < 156
    assert batch["label"].tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + (2**63).to_bytes(11, "big"), b"\xff" * 12, b"\x80" + b"\xff" * 11])
def test_sizes_past_the_end(tmp_path, size):
    data = bytearray(write_tar(tmp_path / "x.tar", samples(), tarfile.USTAR_FORMAT).read_bytes())
    data[124:136] = size
    (tmp_path / "x.tar").write_bytes(with_checksum(data))
    with pytest.raises((TruncatedFileError, CorruptRecordError), match=r"x\.tar, record 0"):
        opened(tmp_path / "x.tar")


PAX = [
    b"",
    b"5 a=\n",
    b"99999999999999999999 path=x\n",
    b"11 path=a/b",
    b"0 path=x\n",
    b"path=x\n",
    b"12 path\0a.jpg\n",
    b"22 size=99999999999999\n",
]


@pytest.mark.parametrize("records", [*PAX, b"13 size=-1000\n", b"30 size=999999999999999999999\n", b"11 path=a.\0\n"])
def test_damaged_pax_headers(tmp_path, records):
    """Nothing worse than an error that names the file."""
    pax = tarfile.TarInfo("pax")
    pax.type, pax.size = tarfile.XHDTYPE, len(records)
    data = pax.tobuf(tarfile.USTAR_FORMAT) + records + bytes(-len(records) % 512)
    (tmp_path / "x.tar").write_bytes(data + write_tar(tmp_path / "y.tar", samples(), tarfile.USTAR_FORMAT).read_bytes())
    try:
        assert len(opened(tmp_path / "x.tar")) == 4
    except FastpackError as error:
        assert "x.tar" in str(error)  # noqa: PT017 - both are right, depending on the records


def test_a_huge_extended_header(tmp_path):
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        pax = tarfile.TarInfo("pax")
        pax.type, pax.size = kind, 2**21
        (tmp_path / "x.tar").write_bytes(pax.tobuf(tarfile.USTAR_FORMAT) + bytes(2**21 + 1024))
        with pytest.raises(FormatError, match="1 MiB"):
            opened(tmp_path / "x.tar")


def test_more_endings_than_the_limit(tmp_path):
    path = write_tar(tmp_path / "x.tar", [(f"a.e{i}", b"") for i in range(40)], tarfile.USTAR_FORMAT)
    assert len(fastpack.formats.registry.named("tar").index(path).schema.fields) == 41
    with pytest.raises(FormatError, match="endings"):
        fastpack.formats.registry.named("tar").index(path, limits=fastpack.Limits(max_features=39))


@given(st.binary(max_size=1536))
def test_garbage_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("t") / "x.tar"
    path.write_bytes(data)
    with pytest.raises(FastpackError):
        opened(path)


def test_what_a_header_is(tmp_path):
    data = write_tar(tmp_path / "x.tar", samples()).read_bytes()
    assert is_header(data[:512])
    assert not is_header(data[:511])
    assert not is_header(bytes(512))
    assert not is_header(IMAGES[0] + bytes(512))


def test_only_gray_or_palette_pictures_of_a_telling_name_are_masks(tmp_path):
    gray, color = save(photo(8, 9, 1), "PNG"), save(photo(8, 9), "PNG")
    indices = save(to_pillow(photo(8, 9, 1)).convert("P"), "PNG")
    members = [("labelIds.png", indices), ("mask.png", gray), ("depth.png", gray), ("seg.png", color), ("jpg", IMAGES[0])]
    schema = opened(write_tar(tmp_path / "x.tar", [(f"a.{name}", data) for name, data in members])).schema
    assert {field.name for field in schema.fields if field.kind == "mask"} == {"labelids.png", "mask.png"}
    assert schema.picture.name == "image"


@pytest.mark.parametrize("ending", ["id", "index", "count", "cls"])
@pytest.mark.parametrize("odd", ["00123", "+5", "1_000", "\u0663", "99999999999999999999"])
def test_what_is_not_a_plain_integer_stays_text(tmp_path, ending, odd):
    members = [(f"{i}.{each}", data) for i, text in enumerate(["7", odd]) for each, data in (("jpg", IMAGES[i]), (ending, text.encode()))]
    path = write_tar(tmp_path / "x.tar", members)
    name = "label" if ending == "cls" else ending
    dataset = opened(path)
    assert list(dataset.columns[name]) == ["7", odd]
    assert dataset.notes == (f"{name!r} is kept as text, since {odd!r} of sample '1' is not a plain integer",)
    for output in ("x.h5", "x.tfrecord", "y.tar"):
        fastpack.convert(path, tmp_path / output)
        assert list(fastpack.open(tmp_path / output).columns[name]) == ["7", odd]


def test_lines_with_integers_are_integers(tmp_path):
    path = write_tar(tmp_path / "x.tar", [("0.jpg", IMAGES[0]), ("0.cls", b" 7\r\n"), ("1.jpg", IMAGES[1]), ("1.cls", b"-3\n")])
    assert opened(path).columns["label"].tolist() == [7, -3]
    assert opened(path).notes == ()


def test_members_called_image_beside_images(tmp_path):
    members = [("0.jpg", IMAGES[0]), ("0.cls", b"1"), ("0.label", b"5"), ("0.image", b"img")]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    assert [note.split(",")[0] for note in dataset.notes] == [
        "the files ending in .label are kept as 'label_column'",
        "the files ending in .image are kept as 'image_column'",
    ]
    sample = dataset[0]
    assert (sample["image"], sample["image_column"], sample["label_column"], sample["label"]) == (IMAGES[0], b"img", b"5", 1)
    for output in ("x.h5", "x.tfrecord", "y.tar"):
        fastpack.convert(tmp_path / "x.tar", tmp_path / output)
        assert fastpack.verify(tmp_path / output, against=tmp_path / "x.tar").is_sound
        assert fastpack.open(tmp_path / output, decode=False)[0] == sample


def test_members_of_a_sample_that_are_no_neighbors(tmp_path):
    members = [("0.jpg", IMAGES[0]), ("1.jpg", IMAGES[1]), ("0.txt", b"a"), ("1.txt", b"b")]
    dataset = opened(write_tar(tmp_path / "x.tar", members))
    assert len(dataset) == 4
    assert any(note.startswith("2 samples have the key of an earlier one, the first '0'") for note in dataset.notes)
