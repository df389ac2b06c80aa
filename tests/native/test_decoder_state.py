"""Each JPEG has the same result alone and after any other: the decoder keeps no state."""

import itertools
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import fastpack
from fastpack._native.decode import Decoder
from fastpack._native.transcode import Transcoder
from fastpack.core.ragged import Ragged
from fastpack.errors import CorruptImageError
from fastpack.images.headers import probe_blobs
from tests.support.damaged_jpegs import ENDINGS, RESTARTS, SOUND, TABLES, with_table
from tests.support.decode_jobs import batch, run_all, view_of
from tests.support.decoder_pair import using_sequential
from tests.support.dirty_images import JPEGS
from tests.support.extent import num_examples
from tests.support.images import jpeg, read_pillow, without_segments
from tests.support.jpeg_kinds import KINDS
from tests.support.paths import JPEGS as JPEG_FILES
from tests.support.seek_points import tables_of

pytestmark = pytest.mark.usefixtures("own_decoder")

DHT, DQT, DRI, ADOBE = 0xC4, 0xDB, 0xDD, 0xEE
FILES = {path.stem: path.read_bytes() for path in sorted(JPEG_FILES.iterdir())}
# Huffman tables other than the usual ones, and each a table or more of its own.
OWN_TABLES = {
    "plain": jpeg(30, 40, quality=70, optimize=True),
    "gray": jpeg(30, 40, quality=95, channels=1, optimize=True),
    "progressive": jpeg(30, 40, quality=50, progressive=True),
    "usual tables": jpeg(30, 40, quality=85),
    "restarts": jpeg(30, 40, restart_marker_blocks=2),
    "cmyk": JPEGS["jpeg cmyk"],
    **FILES,
}
WITHOUT = {
    f"{name}, without {marker:02x}": without_segments(data, marker)
    for (name, data), marker in itertools.product(OWN_TABLES.items(), (DHT, DQT, DRI, ADOBE))
}
DAMAGED = {
    f"{kind}, {change}": by(data)
    for (kind, data), (change, by) in itertools.product(SOUND.items(), ENDINGS.items())
}
DAMAGED |= {
    f"restart {name}": SOUND["restarts"].replace(old, new, 1)
    for name, (old, new) in RESTARTS.items()
}
DAMAGED |= {
    f"table {number:02x} {name}": with_table(SOUND["gray"], number, counts, symbols)
    for number, (name, (counts, symbols)) in itertools.product((0x00, 0x10), TABLES.items())
}
SMALL_JPEGS = {name: data for name, data in JPEGS.items() if len(data) < 10**5}
ALL = OWN_TABLES | WITHOUT | DAMAGED | SMALL_JPEGS | SOUND
ALL |= {
    f"{number} {decoder_name}": data for number, (decoder_name, data) in enumerate(KINDS) if data
}
any_jpeg = st.sampled_from([*ALL]).map(ALL.__getitem__)
neighbours = st.lists(any_jpeg, min_size=1, max_size=3)

PLAIN = OWN_TABLES["plain"]
TABLES_ONLY = b"\xff\xd8" + PLAIN[PLAIN.index(b"\xff\xdb") : PLAIN.index(b"\xff\xc0")] + b"\xff\xd9"
NO_TABLES = WITHOUT["plain, without db"]


def last_outcome(files, marks=None):
    """Decodes all files on one thread; gives the last one's pixels, or its status and message."""
    infos, _ = probe_blobs(Ragged.of_bytes(files))
    views = np.concatenate(
        [view_of(int(info["width"]) or 8, int(info["height"]) or 8) for info in infos]
    )
    outs = [np.zeros((view["height"], view["width"], 3), np.uint8) for view in views]
    failures = {
        failure[2]: failure
        for failure in run_all(batch(files, views, outs, keep_going=True, seek_points=marks))
    }
    failure = failures.get(len(files) - 1)
    return (failure[0], failure[4]) if failure else outs[-1].tobytes()


def in_one(tables):
    """Tables of seek points as DecodeBatch takes them."""
    ends = np.cumsum([len(table) for table in tables])
    return np.concatenate(tables), np.concatenate([[0], ends[:-1]]), ends


@pytest.mark.parametrize("use", ["always", "where it pays", "never"])
@settings(max_examples=num_examples(200))
@given(neighbours, any_jpeg)
@example([TABLES_ONLY], NO_TABLES)
@example([PLAIN], NO_TABLES)
def test_decoded_alike(use, before, data):
    with using_sequential(use):
        assert last_outcome([*before, data]) == last_outcome([data])


@settings(max_examples=num_examples(200))
@given(neighbours, any_jpeg)
@example([PLAIN], NO_TABLES)
def test_marked_alike_and_decoded_so(before, data):
    files = [*before, data]
    tables = tables_of(files)
    assert (tables[-1] == tables_of([data])[0]).all()
    assert last_outcome(files, in_one(tables)) == last_outcome([data])


def transcoded(transcoder, data):
    result = transcoder.transcode(data)
    return result if isinstance(result, str) else bytes(result)


def a_transcoder(strip=False):
    return Transcoder(strip, max_pixels=2**20, max_scans=100)


@settings(max_examples=num_examples(200))
@given(neighbours, any_jpeg, st.booleans())
@example([OWN_TABLES["progressive"]], WITHOUT["progressive, without c4"], False)
@example([OWN_TABLES["several-scans"]], WITHOUT["several-scans, without db"], False)
def test_rewritten_alike(before, data, strip):
    used = a_transcoder(strip)
    for other in before:
        used.transcode(other)
    assert transcoded(used, data) == transcoded(a_transcoder(strip), data)


@settings(max_examples=num_examples(200))
@given(neighbours, any_jpeg)
def test_looked_at_alike(before, data):
    used = Decoder()
    for other in before:
        used.route(other, len(other))
    assert used.route(data, len(data)) == Decoder().route(data, len(data))
    infos, statuses = probe_blobs(Ragged.of_bytes([*before, data]))
    alone, status = probe_blobs(Ragged.of_bytes([data]))
    assert (infos[-1].tobytes(), statuses[-1]) == (alone[0].tobytes(), status[0])


# Missing tables


def test_without_huffman_tables_the_usual_ones_are_meant():
    """As frames of Motion JPEG have it."""
    data = OWN_TABLES["usual tables"]
    bare = without_segments(data, DHT)
    assert (fastpack.decode(bare) == read_pillow(data)).all()
    assert (fastpack.decode(bare) == read_pillow(bare)).all()


@pytest.mark.parametrize(
    "name",
    [
        "progressive, without c4",
        "plain, without db",
        "gray, without db",
        "several-scans, without db",
    ],
)
def test_other_missing_tables_are_refused(name):
    with pytest.raises(CorruptImageError, match="table 0x00 was not defined"):
        fastpack.decode(WITHOUT[name])


def test_a_set_is_as_its_images_are_alone(tmp_path):
    """One thread packs, rewrites and verifies all images, one after the other."""
    images = [
        *OWN_TABLES.values(),
        WITHOUT["progressive, without c4"],
        without_segments(OWN_TABLES["usual tables"], DHT),
    ] * 2
    (tmp_path / "in").mkdir()
    for number, data in enumerate(images):
        (tmp_path / "in" / f"{number:02}.jpg").write_bytes(data)
    fastpack.pack(
        tmp_path / "in", tmp_path / "x.tfrecord", fastpack.PackOptions(jpeg="fast", num_workers=1)
    )
    packed = fastpack.open(tmp_path / "x.tfrecord", decode=False)
    for number, data in enumerate(images):
        alone = transcoded(a_transcoder(), data)
        assert packed[number]["image"] == (data if isinstance(alone, str) else alone)
    problems = fastpack.verify(tmp_path / "x.tfrecord", decode=True).problems
    bad = [
        number for number, data in enumerate(images) if data == WITHOUT["progressive, without c4"]
    ]
    assert [re.search(r"record (\d+)", problem)[1] for problem in problems] == [
        str(number) for number in bad
    ]
