"""decode, encode and probe: what they take, and what they raise of everything else."""

import numpy as np
import pytest

import fastpack
from fastpack.errors import CorruptImageError, OptionError, ShapeError, UnsupportedImageError
from fastpack.images.png import PNG_CODEC
from tests.support.images import photo, save

DATA = save(photo(6, 9), "PNG")
PIXELS = photo(6, 9)


@pytest.mark.parametrize(
    "options",
    [
        {"color": "gray"},
        {"color": None},
        {"alpha": "WHITE"},
        {"alpha": None},
        {"bits": 12},
        {"bits": "8"},
        {"bits": True},
        {"orient": "no"},
        {"orient": 1},
        {"limits": "x"},
        {"limits": None},
    ],
    ids=str,
)
def test_decode_refuses_what_it_does_not_know(options):
    with pytest.raises(OptionError, match=f"^{next(iter(options))} must be "):
        fastpack.decode(DATA, **options)


@pytest.mark.parametrize(
    "take", [bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)]
)
def test_files_may_lie_in_any_buffer(take):
    np.testing.assert_array_equal(fastpack.decode(take(DATA)), PIXELS)
    assert fastpack.probe(take(DATA)) == fastpack.probe(DATA)


@pytest.mark.parametrize(
    "data",
    ["x.png", None, 7, [1, 2], PIXELS, np.zeros(9), np.float32(1), object()],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("take", [fastpack.decode, fastpack.probe])
def test_other_things_are_no_files(take, data):
    with pytest.raises(OptionError, match="data must be the bytes of a file"):
        take(data)


def test_the_location_of_a_probe_is_a_location():
    with pytest.raises(OptionError, match="location must be a Location or None"):
        fastpack.probe(b"", location=np.zeros(2))


@pytest.mark.parametrize("quality", [0, -5, 101, 1000, "9", float("nan"), None, True])
def test_quality_is_from_1_to_100(quality):
    for format in ("jpeg", "png"):
        with pytest.raises(OptionError, match="quality must be an integer from 1 to 100"):
            fastpack.encode(PIXELS, format, quality=quality)


def test_encode_refuses_what_is_no_array_or_no_name():
    with pytest.raises(OptionError, match="pixels must be an array"):
        fastpack.encode([[1]])
    with pytest.raises(OptionError, match="format must be a name"):
        fastpack.encode(PIXELS, 3)
    with pytest.raises(UnsupportedImageError, match="cannot write 'JPEG'"):
        fastpack.encode(PIXELS, "JPEG")


@pytest.mark.parametrize("format", ["jpeg", "png", "webp", "bmp", "tiff"])
def test_an_image_has_pixels(format, capfd):
    for shape in ((0, 9, 3), (9, 0, 1)):
        with pytest.raises(ShapeError, match="no pixels to encode"):
            fastpack.encode(np.zeros(shape, np.uint8), format)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("format", "most"),
    [("jpeg", 65500), ("webp", 16383), ("png", 10**6), ("bmp", 2**20), ("tiff", 2**20)],
)
def test_sides_that_a_format_does_not_have(format, most, capfd):
    for shape in ((1, most, 1), (most, 1, 1)):
        assert (
            fastpack.decode(fastpack.encode(np.zeros(shape, np.uint8), format), color="GRAY").shape
            == shape
        )
    for shape in ((1, most + 1, 1), (most + 1, 1, 1)):
        with pytest.raises(
            UnsupportedImageError, match=f"whose sides have at most {most}; scale the image down"
        ):
            fastpack.encode(np.zeros(shape, np.uint8), format)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("error", [ValueError, OverflowError, IndexError, TypeError])
def test_damage_that_a_codec_does_not_foresee_is_one_bad_image(tmp_path, monkeypatch, error):
    def fail(self, *args):
        raise error("out of bounds")

    for number, format in enumerate(("PNG", "BMP")):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "in" / f"{number}.{format.lower()}").write_bytes(save(PIXELS, format))
    fastpack.pack(tmp_path / "in", tmp_path / "x.tfrecord")
    monkeypatch.setattr(
        type(PNG_CODEC),
        "decode",
        lambda self, data, *args: fail(self) if data[1:4] == b"PNG" else PIXELS,
    )
    message = f"the png cannot be decoded \\({error.__name__}: out of bounds\\); restore the image"
    with pytest.raises(CorruptImageError, match=message):
        fastpack.decode(DATA)
    batch = fastpack.open(tmp_path / "x.tfrecord", on_error="mask").read([0, 1])
    assert batch.mask.tolist() == [False, True]
    with pytest.raises(CorruptImageError, match=f"{message}.* - at .*0.png"):
        fastpack.open(tmp_path / "x.tfrecord").read([0, 1])
    packed = fastpack.pack(
        tmp_path / "in",
        tmp_path / "y.tfrecord",
        fastpack.PackOptions(check="decode", on_error="skip"),
    )
    assert (packed.num_samples, len(packed.rejects)) == (1, 1)
    assert not fastpack.verify(tmp_path / "x.tfrecord", decode=True).is_sound
