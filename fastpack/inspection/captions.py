"""CaptionFont: draws a line of text on an image."""

import unicodedata
from typing import Any

import cv2

from fastpack.images.thumbnail import Rgb

_SCALE = 0.4  # for the font of OpenCV 4
_SIZE = 12  # pixels, for the fonts of OpenCV 5
_INK = (40, 40, 40)
_BASELINE = 5  # pixels above the lower edge


class CaptionFont:
    """The font of captions. OpenCV 5 has letters of most scripts; OpenCV 4 has only ASCII."""

    def __init__(self, *, unicode: bool = hasattr(cv2, "FontFace")) -> None:
        self._face: Any = cv2.FontFace("sans") if unicode else None

    def write(self, strip: Rgb, text: str) -> None:
        """Write `text` in the middle of `strip`."""
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
        """Cut `text` to `width` pixels. A cut text ends with two dots."""
        # No letter is narrower than a pixel, so a very long text costs nothing.
        text = text[: width + 1]
        shown = text
        while text and self.width_of(shown) > width:
            text = text[:-1]
            shown = f"{text}.."
        return shown

    def width_of(self, text: str) -> int:
        """Return the width of `text` in pixels."""
        if self._face is not None:
            left, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), self._face, _SIZE)
            return int(left + width)
        return int(cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, _SCALE, 1)[0][0])

    def drawable(self, text: str, instead: str = "") -> str:
        """Replace letters that the font lacks.

        For ASCII, drop accents and draw other letters as question marks. A text without any ASCII
        letter is replaced by `instead`.
        """
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
