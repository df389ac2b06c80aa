"""Images that are decoded or re-encoded while they are packed."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

import fastpack
from fastpack import PackOptions, errors, pack
from fastpack.images.headers import FORMATS
from tests.support.images import (
    jpeg,
    photo,
    read_upright,
    resized,
    save,
    to_pillow,
    with_orientation,
)

OUTPUTS = ["out.tfrecord", "out.h5"]
FILES = {
    "cat/a.jpg": jpeg(120, 80, seed=1),
    "cat/b.jpg": with_orientation(jpeg(64, 96, seed=2), 6),
    "cat/c.png": save(photo(40, 90, seed=3), "PNG"),
    "dog/a.jpg": jpeg(70, 50, seed=4, channels=1),
    "dog/b.webp": save(photo(50, 45, seed=5), "WEBP", quality=80),
    "dog/c.jpg": jpeg(30, 20, seed=6),
}


@pytest.fixture
def photos(tmp_path):
    for name, data in FILES.items():
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(data)
    return tmp_path / "photos"


def files_of(packed):
    return {sample["key"]: sample["image"] for sample in fastpack.open(packed.paths, decode=False)}


def probe_format(data):
    return FORMATS[fastpack.probe(data)["format"]]


def opened(data):
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("output", OUTPUTS)
def test_resize_max(photos, tmp_path, output):
    packed = pack(photos, tmp_path / output, PackOptions(resize_max=60))
    files = files_of(packed)
    upright = {
        "cat/a.jpg": (40, 60),
        "cat/b.jpg": (40, 60),
        "cat/c.png": (60, 27),
        "dog/a.jpg": (43, 60),
    }
    for name, data in FILES.items():
        if name not in upright:
            assert files[name] == data  # byte for byte
            continue
        with opened(files[name]) as made, opened(data) as original:
            assert (made.size, made.format) == (upright[name], original.format)
            assert made.mode == original.mode
            assert made.getexif().get(0x0112, 1) == 1
    assert fastpack.verify(packed.paths, decode=True).is_sound
    lossless = resized(photo(40, 90, seed=3), 27, 60)
    assert np.abs(fastpack.decode(files["cat/c.png"]).astype(int) - lossless).max() <= 1


@pytest.mark.parametrize("output", OUTPUTS)
def test_size_and_quality(photos, tmp_path, output):
    small = files_of(
        pack(photos, tmp_path / f"20-{output}", PackOptions(size=(24, 32), quality=20))
    )
    large = files_of(
        pack(photos, tmp_path / f"90-{output}", PackOptions(size=(24, 32), quality=90))
    )
    for name, data in FILES.items():
        with opened(large[name]) as made:
            assert made.size == (32, 24)
        wanted = fastpack.encode(
            resized(read_upright(data), 24, 32), probe_format(data), quality=90
        )
        assert np.abs(read_upright(wanted).astype(int) - read_upright(large[name])).mean() < 2
    assert len(small["cat/a.jpg"]) < len(large["cat/a.jpg"])
    assert len(small["cat/c.png"]) == len(large["cat/c.png"])


def test_quality_alone_keeps_the_size(photos, tmp_path):
    files = files_of(pack(photos, tmp_path / "a.h5", PackOptions(quality=50)))
    with opened(files["cat/b.jpg"]) as made:
        assert made.size == (64, 96)  # upright
    pixels = fastpack.decode(FILES["dog/c.jpg"])
    assert (
        files["dog/c.jpg"]
        == cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])[1].tobytes()
    )


def test_nothing_is_encoded_again_unless_asked(photos, tmp_path):
    assert files_of(pack(photos, tmp_path / "a.h5", PackOptions(check="decode"))) == FILES


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("options", [{"check": "decode"}, {"quality": 90}, {"resize_max": 10}])
def test_what_cannot_be_decoded(photos, tmp_path, output, options):
    """A whole header and nothing after it."""
    bad = ("cat/b.jpg", "dog/a.jpg")
    for name in bad:
        (photos / name).write_bytes(FILES[name][:-100])
    assert pack(photos, tmp_path / f"not-looked-at-{output}").num_samples == 6
    with pytest.raises(errors.CorruptImageError, match=r"cat/b\.jpg$"):
        pack(photos, tmp_path / output, PackOptions(num_workers=2, **options))
    packed = pack(photos, tmp_path / output, PackOptions(on_error="skip", **options))
    assert [(reject.key, reject.reason) for reject in packed.rejects] == [
        (name, "CorruptImageError") for name in bad
    ]
    assert fastpack.verify(packed.paths, decode=True).is_sound


ALTERATIONS = {
    "metadata": {"metadata": "strip"},
    "resize_max": {"resize_max": 30},
    "quality": {"quality": 40},
    "check": {"check": "decode"},
    "size": {"size": 20, "quality": 95},
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("name", ALTERATIONS)
@pytest.mark.parametrize(
    "rest",
    [{}, {"shuffle_seed": 3, "on_error": "skip", "duplicates": "drop"}],
    ids=["alone", "with others"],
)
def test_altered_packs_go_on_and_are_refused_when_changed(
    photos, tmp_path, stop_after, output, name, rest
):
    chosen, target = {"shards": 2, **ALTERATIONS[name], **rest}, tmp_path / "out" / output
    target.parent.mkdir()
    with stop_after(1), pytest.raises(KeyboardInterrupt):
        pack(photos, target, PackOptions(**chosen, num_workers=1))
    changed = {other: value for other, value in chosen.items() if other != name}
    with pytest.raises(errors.PlanChangedError, match=name):
        pack(
            photos,
            target,
            PackOptions(**changed, **({"layout": "encoded"} if name == "size" else {})),
            resume=True,
        )
    resumed = pack(photos, target, PackOptions(**chosen), resume=True)
    whole = pack(photos, tmp_path / output, PackOptions(**chosen))
    assert [path.read_bytes() for path in resumed.paths] == [
        path.read_bytes() for path in whole.paths
    ]


@pytest.mark.parametrize(
    "options", [{"quality": 80}, {"metadata": "strip"}, {"size": 16, "quality": 90}], ids=str
)
def test_threads_change_nothing(photos, tmp_path, options):
    for workers in (1, 4):
        pack(
            photos,
            tmp_path / f"{workers}.h5",
            PackOptions(num_workers=workers, memory=4096, **options),
        )
    assert (tmp_path / "1.h5").read_bytes() == (tmp_path / "4.h5").read_bytes()


def test_transparency_and_gray_pngs_can_be_encoded_again(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(save(to_pillow(photo(20, 30, 4)), "PNG"))
    (tmp_path / "in" / "b.png").write_bytes(save(to_pillow(photo(20, 30, 1)), "PNG"))
    files = files_of(pack(tmp_path / "in", tmp_path / "a.h5", PackOptions(resize_max=10)))
    assert [opened(data).size for data in files.values()] == [(10, 7)] * 2


@pytest.mark.parametrize(
    "options",
    [
        {"quality": 0},
        {"quality": 101},
        {"resize_max": 0},
        {"resize_max": 5, "size": 5},
        {"layout": "pixels", "quality": 5},
        {"layout": "pixels", "resize_max": 5},
        {"jpeg": "fast", "quality": 5},
        {"jpeg": "fast", "resize_max": 5},
        {"size": 5, "metadata": "strip"},
        {"check": "everything"},
        {"size": 5, "quality": 90, "compression": "gzip"},
    ],
    ids=str,
)
def test_alterations_that_make_no_sense(options):
    with pytest.raises(errors.OptionError):
        PackOptions(**options)
