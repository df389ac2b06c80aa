"""The page for a browser: what it holds, and that names on it are never markup."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest

import fastpack
from fastpack.errors import EmptySourceError, OutputExistsError, SchemaError
from fastpack.inspection.page import html_page, save_page
from tests.support.damage import in_place
from tests.support.images import jpeg, read_pillow, with_orientation

HOSTILE = "</script><script>alert('&quot;')</script><img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Tags with their attributes, and the text of each."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.texts.append("")

    def handle_data(self, data):
        if self.texts:
            self.texts[-1] += data

    def text_of(self, tag: str, **attributes: str) -> str:
        wanted = [
            i
            for i, (name, found) in enumerate(self.tags)
            if name == tag and attributes.items() <= found.items()
        ]
        assert len(wanted) == 1
        return self.texts[wanted[0]]


def data_of(page: str) -> dict:
    return json.loads(Elements(page).text_of("script", id="data"))


def dataset_of(folder: Path, images: list[bytes], **columns) -> fastpack.Reader:
    paths = [folder / f"{number}.jpg" for number in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        path.write_bytes(image)
    fastpack.pack(fastpack.sources.ImageFiles(paths, **columns), folder / "data.tfrecord")
    return fastpack.open(folder / "data.tfrecord")


@pytest.fixture
def dataset(tmp_path) -> fastpack.Reader:
    images = [jpeg(60, 90), jpeg(600, 300, seed=1), with_orientation(jpeg(40, 80, seed=2), 6)]
    return dataset_of(
        tmp_path,
        images,
        labels=[1, 0, 7],
        keys=["a/x.jpg", "b/猫.jpg", HOSTILE],
        class_names=["Löwe", HOSTILE],
    )


def test_what_is_reported_of_each_sample(dataset):
    samples = data_of(html_page(dataset, [2, 0]))["samples"]
    assert [
        {name: value for name, value in sample.items() if name != "src"} for sample in samples
    ] == [
        {
            "fault": "",
            "number": 2,
            "labels": [7],
            "names": ["7"],
            "key": HOSTILE,
            "width": 40,
            "height": 80,
            "bytes": int(dataset.sizes[2]),
            "format": "jpeg",
            "location": str(dataset.location(2)),
        },
        {
            "fault": "",
            "number": 0,
            "labels": [1],
            "names": [HOSTILE],
            "key": "a/x.jpg",
            "width": 90,
            "height": 60,
            "bytes": int(dataset.sizes[0]),
            "format": "jpeg",
            "location": str(dataset.location(0)),
        },
    ]


@pytest.mark.parametrize(
    ("row", "size"),
    [(0, (60, 90)), (1, (100, 50)), (2, (80, 40))],
    ids=["small", "shrunken", "turned"],
)
def test_thumbnails_are_the_images(dataset, row, size):
    (sample,) = data_of(html_page(dataset, [row], tile=100))["samples"]
    head, data = sample["src"].split(",")
    assert head == "data:image/jpeg;base64"
    shown = read_pillow(base64.b64decode(data))
    assert shown.shape[:2] == size
    expected = dataset.with_options(transform=fastpack.Resize(size)).read([row])["image"][0]
    # A small JPEG keeps less of the color than of the brightness.
    light, expected_light = (
        cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(int) for pixels in (shown, expected)
    )
    assert np.abs(light - expected_light).mean() < 5


def test_names_are_text(dataset):
    page = html_page(dataset, range(3), title=HOSTILE)
    elements = Elements(page)
    plain = Elements(html_page(dataset.take([1]), [0], title="x"))
    assert [tag for tag, _ in elements.tags] == [tag for tag, _ in plain.tags]
    assert elements.text_of("title").strip() == HOSTILE
    assert data_of(page)["title"] == HOSTILE


def test_the_page_loads_nothing(dataset):
    page = html_page(dataset, range(3))
    elements = Elements(page)
    policy = next(
        attributes["content"]
        for tag, attributes in elements.tags
        if attributes.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'")
    assert not [
        attributes for _, attributes in elements.tags if {"src", "href"} & attributes.keys()
    ]


def test_names_that_are_no_utf8(tmp_path):
    dataset = dataset_of(tmp_path, [jpeg()], keys=["caf\udce9.jpg"])
    page = html_page(dataset, [0], title="caf\udce9")
    save_page(page, tmp_path / "page.html")
    assert (
        data_of((tmp_path / "page.html").read_text(encoding="utf-8"))["samples"][0]["key"]
        == r"caf\xe9.jpg"
    )


def test_images_that_cannot_be_decoded_are_reported(tmp_path):
    good, bad = jpeg(40, 40), jpeg(50, 50, seed=1)
    dataset = dataset_of(
        tmp_path,
        [good, bad[: len(bad) // 2], good, b"\xff\xd8\xff" + bytes(50)][:3],
        labels=[0, 1, 2],
    )
    samples = data_of(html_page(dataset, [0, 1, 2]))["samples"]
    assert [bool(sample["src"]) for sample in samples] == [True, False, True]
    assert "record 1" in samples[1]["fault"]
    assert samples[1]["labels"] == [1]


def test_records_that_are_damaged_are_reported(tmp_path):
    dataset = dataset_of(tmp_path, [jpeg(40, 40), jpeg(50, 50, seed=1), jpeg(30, 30)])
    path = dataset.index.shards[0].path
    data = path.read_bytes()
    at_byte = data.index(jpeg(50, 50, seed=1)) + 300
    in_place(path, {at_byte: bytes([data[at_byte] ^ 1])})
    samples = data_of(html_page(dataset, [0, 1, 2]))["samples"]
    assert [bool(sample["src"]) for sample in samples] == [True, False, True]
    assert "CRC32C" in samples[1]["fault"]


def test_lists_of_labels(tmp_path):
    with h5py.File(tmp_path / "pixels.h5", "w") as file:
        file["images"] = np.zeros((2, 8, 6, 3), np.uint8)
    dataset = fastpack.open(tmp_path / "pixels.h5")
    (sample, _) = data_of(html_page(dataset, [0, 1]))["samples"]
    assert (sample["labels"], sample["names"], sample["key"]) == ([], [], "")
    assert (sample["width"], sample["height"], sample["format"]) == (6, 8, "uint8 pixels")


def test_the_transform_is_seen(dataset):
    (sample,) = data_of(html_page(dataset.with_options(transform=fastpack.CenterCrop(20)), [0]))[
        "samples"
    ]
    assert read_pillow(base64.b64decode(sample["src"].split(",")[1])).shape == (20, 20, 3)


def test_nothing_to_show(dataset):
    with pytest.raises(EmptySourceError):
        html_page(dataset, [])


def test_no_images(tmp_path):
    from tests.support.wire import entry, example, frame, int_list

    (tmp_path / "x.tfrecord").write_bytes(frame(example(entry(b"label", int_list(1)))))
    with pytest.raises(SchemaError):
        html_page(fastpack.open(tmp_path / "x.tfrecord"), [0])


def test_a_page_that_is_there_is_kept_unless_asked(tmp_path):
    (tmp_path / "page.html").write_text("mine")
    with pytest.raises(OutputExistsError):
        save_page("new", tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text() == "mine"
    save_page("new", tmp_path / "page.html", overwrite=True)
    assert (tmp_path / "page.html").read_text() == "new"
