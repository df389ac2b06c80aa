"""preview: samples of a dataset on one picture, to look at with one's own eyes."""

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fastpack.codecs import encode
from fastpack.errors import EmptySourceError, OptionError, Place, SchemaError, ShapeError, at, from_os_error
from fastpack.reader import Reader
from fastpack.shard import refuse_existing, written_whole

_GAP = 8
_CAPTION_HEIGHT = 18
_FONT_SCALE = 0.4
_BACKGROUND = 236
_INK = 40
_FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp", ".bmp": "bmp", ".tif": "tiff", ".tiff": "tiff"}

Rgb = npt.NDArray[np.uint8]


def contact_sheet(dataset: Reader, rows: Sequence[int] | npt.NDArray[np.integer[Any]], *, columns: int = 8, tile: int = 160) -> Rgb:
    """Thumbnails of the given samples, each with its class name (or label, or key) below: RGB, uint8.

    - rows: sample numbers, in the order in which they are shown, from left to right and downwards.
    - columns: thumbnails beside each other.
    - tile: side in pixels of the square that each thumbnail is fitted into, its aspect ratio kept.

    Images are shown as the Reader gives them, so its transform is seen. Raises EmptySourceError (no rows),
    SchemaError (no image field), OptionError, IndexError, and what damaged files raise.
    """
    picture = dataset.schema.picture
    if picture is None:
        raise SchemaError("there is no image field to show")
    if len(rows) == 0:
        raise EmptySourceError("there are no samples to show; give at least one sample number")
    if columns < 1 or tile < 1:
        raise OptionError(f"columns and tile must be at least 1, not {columns} and {tile}")
    columns = min(columns, len(rows))
    cell_height, cell_width = tile + _CAPTION_HEIGHT + _GAP, tile + _GAP
    num_lines = -(-len(rows) // columns)
    sheet: Rgb = np.full((num_lines * cell_height + _GAP, columns * cell_width + _GAP, 3), _BACKGROUND, np.uint8)
    reader = dataset.with_options(decode=True, color="RGB")
    for line in range(num_lines):
        # A line at a time, so that memory holds no more whole images than stand beside each other.
        batch = reader.read(rows[line * columns : (line + 1) * columns])
        for column in range(batch.num_samples):
            sample = batch.sample(column)
            top, left = _GAP + line * cell_height, _GAP + column * cell_width
            cell = sheet[top : top + tile + _CAPTION_HEIGHT, left : left + tile]
            _place_thumbnail(cell[:tile], _as_rgb(np.asarray(sample[picture.name])))
            _write_caption(cell[tile:], _caption(sample, dataset.class_names))
    return sheet


def save_sheet(sheet: Rgb, output: str | Path, *, overwrite: bool = False) -> None:
    """Writes a sheet as the image format that the name ends in, under a temporary name first.

    Raises OptionError (unknown ending), OutputExistsError or UnreadableFileError.
    """
    output = Path(output)
    check_sheet_output(output, overwrite=overwrite)
    data = encode(sheet, _FORMATS[output.suffix.lower()])
    with written_whole(output) as temporary:
        try:
            temporary.write_bytes(data)
        except OSError as error:
            raise from_os_error(error, "write", output) from error


def check_sheet_output(output: Path, *, overwrite: bool = False) -> None:
    """Refuses a name that `save_sheet` could not write, before any work is done."""
    if output.suffix.lower() not in _FORMATS:
        raise OptionError(at(f"the name does not say an image format; end it in one of {', '.join(_FORMATS)}", Place(output)))
    refuse_existing([output], overwrite)


def _as_rgb(pixels: npt.NDArray[Any]) -> Rgb:
    """Any image array as RGB: gray is repeated, alpha dropped, other number types stretched to 0..255."""
    import cv2

    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3 or pixels.shape[2] not in (1, 3, 4) or 0 in pixels.shape:
        raise ShapeError(f"an image to show is (height, width), with 1, 3 or 4 channels last, not {pixels.shape}")
    if pixels.dtype != np.uint8:
        pixels = cv2.normalize(pixels.astype(np.float64), None, 0, 255, cv2.NORM_MINMAX, cv2.CV_8U).reshape(pixels.shape)  # type: ignore[call-overload]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[:, :, :3]


def _place_thumbnail(square: Rgb, pixels: Rgb) -> None:
    """Fits `pixels` into the middle of `square`."""
    import cv2

    tile, (height, width) = len(square), pixels.shape[:2]
    scale = tile / max(height, width)
    new_height, new_width = max(1, round(height * scale)), max(1, round(width * scale))
    shrinks = scale < 1
    # AREA averages what it leaves out, so a shrunken image has no moiré.
    thumbnail = cv2.resize(pixels, (new_width, new_height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    top, left = (tile - new_height) // 2, (tile - new_width) // 2
    square[top : top + new_height, left : left + new_width] = thumbnail


def _caption(sample: dict[str, Any], class_names: Sequence[str]) -> str:
    if "label" not in sample:
        return str(sample.get("key", "")).rsplit("/", 1)[-1]
    labels = np.atleast_1d(sample["label"]).tolist()
    return ", ".join(_class_name(label, class_names) for label in labels)


def _class_name(label: Any, class_names: Sequence[str]) -> str:
    name = class_names[label] if isinstance(label, int) and 0 <= label < len(class_names) else ""
    return name or str(label)


def _write_caption(strip: Rgb, text: str) -> None:
    """Writes `text` in the middle of `strip`."""
    import cv2

    height, width = strip.shape[:2]
    shown = _shortened(_to_ascii(text), width)
    origin = max(0, (width - _width_of(shown)) // 2), height - 5
    cv2.putText(strip, shown, origin, cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, (_INK, _INK, _INK), 1, cv2.LINE_AA)


def _shortened(text: str, width: int) -> str:
    """`text`, or as much of its beginning as fits into `width` pixels with two dots behind it."""
    text = text[: width + 1]  # no letter is narrower than a pixel, so a very long text costs nothing
    shown = text
    while text and _width_of(shown) > width:
        text = text[:-1]
        shown = f"{text}.."
    return shown


def _width_of(text: str) -> int:
    import cv2

    return cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _FONT_SCALE, 1)[0][0]


def _to_ascii(text: str) -> str:
    """What OpenCV's font can draw: accents are dropped, other letters become question marks."""
    bare = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return "".join(letter if " " <= letter <= "~" else "?" for letter in bare)
