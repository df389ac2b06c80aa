"""CaptionFont: one line of text on an image."""

import unicodedata
from typing import Any

import cv2

from fastpack.images.thumbnail import Rgb

_SCALE = 0.4  # of OpenCV 4's one font
_SIZE = 12  # of OpenCV 5's, in pixels
_INK = (40, 40, 40)
_BASELINE = 5  # over the lower edge


class CaptionFont:
    """Draws what OpenCV's fonts can. Those of OpenCV 5 have the letters of most scripts, that of OpenCV 4 has ASCII."""

    def __init__(self, *, unicode: bool = hasattr(cv2, "FontFace")) -> None:
        self._face: Any = cv2.FontFace("sans") if unicode else None

    def write(self, strip: Rgb, text: str) -> None:
        """Writes `text` in the middle of `strip`."""
        height, width = strip.shape[:2]
        shown = self.shortened(text, width)
        origin = max(0, (width - self.width_of(shown)) // 2), height - _BASELINE
        if self._face is not None:
            cv2.putText(strip, shown, origin, _INK, self._face, _SIZE)
        else:
            cv2.putText(
                strip, shown, origin, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, _INK, 1, cv2.LINE_AA
            )

    def shortened(self, text: str, width: int) -> str:
        """`text`, or as much of its beginning as fits into `width` pixels with two dots behind it."""
        text = text[
            : width + 1
        ]  # no letter is narrower than a pixel, so a very long text costs nothing
        shown = text
        while text and self.width_of(shown) > width:
            text = text[:-1]
            shown = f"{text}.."
        return shown

    def width_of(self, text: str) -> int:
        """In pixels."""
        if self._face is not None:
            left, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), self._face, _SIZE)
            return int(left + width)
        return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, 1)[0][0])

    def drawable(self, text: str, instead: str = "") -> str:
        """What can be drawn of `text`. In ASCII accents are dropped and other letters become question marks; a text with
        nothing else in it is replaced by `instead`."""
        if self._face is not None:
            return "".join(letter if letter.isprintable() else "?" for letter in text)
        bare = "".join(
            letter
            for letter in unicodedata.normalize("NFKD", text)
            if not unicodedata.combining(letter)
        )
        if instead and not any(" " < letter <= "~" for letter in bare):
            return instead
        return "".join(letter if " " <= letter <= "~" else "?" for letter in bare)
