"""Files that are opened together: what they must agree in, and what is converted."""

import numpy as np
import pytest

import fastpack
from fastpack import PackOptions
from fastpack.errors import FastpackWarning, SchemaError
from tests.support.images import jpeg

h5py = pytest.importorskip("h5py")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)


def hdf5(path, color="", **columns):
    with h5py.File(path, "w") as file:
        file["images"] = PIXELS
        if color:
            file["images"].attrs["color"] = np.bytes_(color)
        for name, values in columns.items():
            file[name] = values
    return path


@pytest.mark.parametrize("other", ["RGB", ""])
def test_bgr_is_not_joined_to_another_order(tmp_path, other):
    paths = [hdf5(tmp_path / "a.h5", other), hdf5(tmp_path / "b.h5", "BGR")]
    for pair in (paths, paths[::-1]):
        with pytest.raises(
            SchemaError, match=r"[ab]\.h5 has .* but .*[ab]\.h5 has .*; open them apart"
        ) as raised:
            fastpack.open(pair)
        assert "pixels |u1 BGR" in str(raised.value)
    with pytest.raises(SchemaError, match="BGR"):
        fastpack.concat([fastpack.open(path) for path in paths])


def test_what_does_not_tell_its_color_is_joined_to_rgb(tmp_path):
    paths = [hdf5(tmp_path / "a.h5"), hdf5(tmp_path / "b.h5", "RGB")]
    for pair in (paths, paths[::-1]):
        dataset = fastpack.open(pair)
        assert dataset.schema["image"].color == ""
        assert np.array_equal(dataset.read([0, 2])["image"], PIXELS[[0, 0]])


def test_pixels_of_another_color_are_not_appended(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(jpeg(8, 8))
    options = {"size": (4, 4), "layout": "pixels", "shards": 1}
    fastpack.pack(tmp_path / "photos", tmp_path / "s.h5", PackOptions(color="RGB", **options))
    with pytest.raises(SchemaError, match="the set holds .* RGB, .* holds .* BGR"):
        fastpack.pack(
            tmp_path / "photos", tmp_path / "s.h5", PackOptions(color="BGR", **options), append=True
        )


def test_floats_are_joined_as_the_widest(tmp_path):
    paths = [
        hdf5(tmp_path / f"{dtype}.h5", x=np.full(2, 1 / 3, dtype))
        for dtype in ("f2", "f4", "f8", "g")
    ]
    for pair in (paths, paths[::-1]):
        dataset = fastpack.open(pair)
        assert dataset.schema["x"].dtype == str(dataset.columns["x"].dtype) == str(np.dtype("g"))


def test_labels_that_get_the_class_names_of_another_file(tmp_path):
    named = hdf5(tmp_path / "a.h5", label=[0, 1], class_names=[b"cat", b"dog"])
    bare, outside = hdf5(tmp_path / "b.h5", label=[1, 1]), hdf5(tmp_path / "c.h5", label=[2, 7])
    note = "b.h5 has labels without class names; it takes the class names of a.h5"
    with pytest.warns(FastpackWarning, match="without class names"):
        assert fastpack.open([bare, named]).notes == (note,)
    assert fastpack.open([named, outside]).notes == ()
