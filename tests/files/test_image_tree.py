"""The image files below a folder are found in the sorted order of their whole paths."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from fastpack.files.image_tree import walk
from tests.support.extent import num_examples

# Letters before and after the slash and the dot, outside ASCII, and bytes that are no UTF-8.
STEMS = st.text(st.sampled_from("a0-+.~ !é￿\udc80\udcff"), min_size=1, max_size=3).filter(
    lambda stem: stem[0] != "."
)


@st.composite
def trees(draw, depth=3):
    """Name -> None for a file, or the tree of a folder."""
    files = {
        f"{stem}{draw(st.sampled_from(['.jpg', '.PNG', '.txt']))}": None
        for stem in draw(st.lists(STEMS, max_size=4))
    }
    stems = draw(st.lists(STEMS, max_size=3)) if depth else []
    return {
        **files,
        **{stem + draw(st.sampled_from(["", ".jpg"])): draw(trees(depth - 1)) for stem in stems},
    }


def grow(folder, tree):
    for name, inner in tree.items():
        if inner is None:
            (folder / name).touch()
        else:
            (folder / name).mkdir()
            grow(folder / name, inner)


def images(tree, prefix=""):
    for name, inner in tree.items():
        if inner is not None:
            yield from images(inner, f"{prefix}{name}/")
        elif not name.endswith(".txt"):
            yield prefix + name


@settings(max_examples=num_examples(60))
@given(tree=trees())
def test_files_come_in_sorted_order(tree):
    with tempfile.TemporaryDirectory() as folder:
        grow(Path(folder), tree)
        assert list(walk(Path(folder)).files) == sorted(images(tree))


def test_a_folder_stands_where_its_slash_does(tmp_path):
    files = [
        "a!.jpg",
        "a!/1.jpg",
        "a-b/x.jpg",
        "a.jpg",
        "a/x.jpg",
        "a/y/1.jpg",
        "a/z.jpg",
        "a0.jpg",
        "a/y-.jpg",
    ]
    for file in files:
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).touch()
    assert list(walk(tmp_path).files) == sorted(files)
