"""Some of the images that `decoder_sweep.py` compares by the ten thousands."""

import pytest

from tests.support.decoder_sweep import SAMPLINGS, Jpeg, Wish, compare, run


def test_generated_images_are_decoded_alike():
    seen = run(200, start=1)
    assert seen.total() == 200
    assert len(seen) > 8
    assert seen["left"] < 20


@pytest.mark.parametrize("sampling", SAMPLINGS)
@pytest.mark.parametrize("vectors", [True, False])
@pytest.mark.parametrize("smaller", [1, 2, 4, 8])
@pytest.mark.parametrize("content", ["smooth", "noise"])
def test_an_image_of_each_kind(sampling, vectors, smaller, content):
    jpeg = Jpeg(77, 131, content, False, sampling, 85, True, 3, seed=0)
    assert compare(jpeg, Wish(None, "RGB", vectors, smaller))
