"""How a Reader shows itself: on a line, in notebooks, as a picture."""

import numpy as np
import pytest

import fastpack
from fastpack.errors import OptionError, SchemaError


def test_repr_has_counts_size_and_fields(digits):
    size = digits.stat().st_size
    text = repr(fastpack.open(digits))
    assert text.startswith("Reader(10 samples, 1 file, ")
    assert f"{size / 1000:.1f} kB; image: image, label: int int64)" in text


def test_repr_has_the_shape_of_pixels(digits, tmp_path):
    source = fastpack.open(digits, decode=False)
    fastpack.pack(source, tmp_path / "x.h5", fastpack.PackOptions(size=(8, 8)))
    assert "image: pixels uint8 (8, 8, 3)" in repr(fastpack.open(tmp_path / "x.h5"))


def test_html_has_a_table_and_thumbnails(digits):
    html = fastpack.open(digits)._repr_html_()
    assert html.count("<img") == 8
    assert html.count("<tr>") == 3
    assert "<td>label</td><td>int</td><td>int64</td>" in html


def test_html_without_images_or_samples(digits):
    dataset = fastpack.open(digits)
    for reader in (dataset[:0], fastpack.open(digits, fields=["label"])):
        html = reader._repr_html_()
        assert "<img" not in html
        assert "<td>label</td>" in html


def test_html_of_a_missing_file_has_the_table(digits):
    dataset = fastpack.open(digits)
    digits.unlink()
    html = dataset._repr_html_()
    assert "<img" not in html or "not read" in html
    assert "10 samples" in html


@pytest.mark.parametrize("options", [{}, {"decode": False}, {"color": "BGR"}, {"on_error": "skip"}])
def test_show_draws_images_whatever_the_options(digits, options):
    shown, same = (fastpack.open(digits, **each).show(4).pixels for each in ({}, options))
    assert (shown == same).all()


def test_show_takes_the_first_samples_or_random_ones(digits):
    dataset = fastpack.open(digits)
    assert (dataset.show(4).pixels == dataset[:4].show().pixels).all()
    assert (dataset.show(4, seed=1).pixels == dataset.show(np.int64(4), seed=1).pixels).all()
    assert not (dataset.show(4, seed=1).pixels == dataset.show(4).pixels).all()
    with pytest.raises(OptionError, match="n must be"):
        dataset.show(0)
    with pytest.raises(SchemaError):
        fastpack.open(digits, fields=["label"]).show()
