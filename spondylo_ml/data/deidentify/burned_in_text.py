"""Find letters that are burnt into the margins of a film.

Letters are connected strokes that are much brighter or darker than what surrounds them: a white or black top-hat
keeps what is narrower than its kernel, and its components are letters if they have the size and shape of one. Several
side by side are text, and so is a single one that stands out clearly. Side markers are found too, and masked to be
safe: initials look alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spondylo_ml.landmarks import GreyImage

SEARCHED_SIDE_PX = 1536
"""Longer side of the film in which letters are looked for; a larger film is scaled down."""

MARGIN = 0.25
"""Share of height and width, at each side, in which letters are looked for."""

LETTER_HEIGHT = (0.0055, 0.07)
"""Height of a letter over the longer side of the film."""

LEAST_CONTRAST, LEAST_OF_SATURATED = 60, 15
"""Grey levels between a letter and what surrounds it; less is enough where the letter has the extreme grey level."""

LEVELS_OF_INK, SATURATED = 105, 12
"""How far the grey level of a letter is from white, or from black, at most."""

ENOUGH = {1: 130, 2: 80, 4: 30}
"""Letters side by side that are text if each stands out by so many grey levels."""


@dataclass(frozen=True)
class Box:
    """A rectangle, px: from `left` and `top` up to and without `right` and `bottom`."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def rows(self) -> slice:
        """Its rows in an array."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Its columns in an array."""
        return slice(self.left, self.right)

    @property
    def height(self) -> int:
        """Height, px."""
        return self.bottom - self.top

    def contains(self, other: Box) -> bool:
        """Whether the other rectangle lies in this one."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and self.right >= other.right
            and self.bottom >= other.bottom
        )


@dataclass(frozen=True)
class _Letter:
    """What may be a letter, and how many grey levels it stands out by."""

    box: Box
    contrast: int


def text_boxes(film: GreyImage) -> list[Box]:
    """The rectangles of text at the margins of an (H, W) film, each with a border around it."""
    scale = min(1.0, SEARCHED_SIDE_PX / max(film.shape))
    size_wh = (round(film.shape[1] * scale), round(film.shape[0] * scale))
    image: GreyImage = film
    if scale < 1:
        image = cv2.resize(film, size_wh, interpolation=cv2.INTER_AREA).astype(np.uint8)
    lines = [line for dark in (False, True) for line in _lines(_letters(image, dark)) if _is_text(line)]
    return outermost([_around(line, 1 / scale, film.shape) for line in lines])


def outermost(boxes: Sequence[Box]) -> list[Box]:
    """The different rectangles that lie in no other one."""
    different = dict.fromkeys(boxes)
    return [box for box in different if not any(other != box and other.contains(box) for other in different)]


def darkest(film: GreyImage) -> tuple[int, int]:
    """Row and column of a pixel of the lowest grey level, whose stored level masks text."""
    row, column = np.unravel_index(int(film.argmin()), film.shape)
    return int(row), int(column)


def _letters(image: GreyImage, dark: bool) -> list[_Letter]:
    """Components of the size and shape of a letter at the margins."""
    side = max(image.shape)
    shortest, tallest = (share * side for share in LETTER_HEIGHT)
    kernel = cv2.getStructuringElement(cv2.MORPH_RECT, (_odd(0.014 * side), _odd(0.014 * side)))
    hat = cv2.morphologyEx(image, cv2.MORPH_BLACKHAT if dark else cv2.MORPH_TOPHAT, kernel)
    from_extreme = image if dark else 255 - image
    ink = (hat >= LEAST_CONTRAST) & (from_extreme <= LEVELS_OF_INK)
    ink |= (hat >= LEAST_OF_SATURATED) & (from_extreme <= SATURATED)
    count, _, stats, centres = cv2.connectedComponentsWithStats(ink.astype(np.uint8), connectivity=8)
    letters = []
    for index in range(1, count):
        left, top, width, height, area = (int(value) for value in stats[index])
        fits = shortest <= height <= tallest and width <= 1.6 * tallest and height <= 12 * width
        fill = area / (width * height)
        stroke = fill > 0.97 and height >= 2 * width  # an I
        if fits and (0.12 <= fill <= 0.97 or stroke) and _at_margin(centres[index], image.shape):
            box = Box(left, top, left + width, top + height)
            letters.append(_Letter(box, int(hat[box.rows, box.columns].max())))
    return letters


def _odd(number: float) -> int:
    return 2 * round(number / 2) + 1


def _at_margin(centre_xy: Sequence[float], shape_hw: tuple[int, ...]) -> bool:
    height, width = shape_hw
    return (
        min(centre_xy[0], width - centre_xy[0]) < MARGIN * width
        or min(centre_xy[1], height - centre_xy[1]) < MARGIN * height
    )


def _lines(letters: Sequence[_Letter]) -> list[list[_Letter]]:
    """Letters that stand side by side."""
    lines: list[list[_Letter]] = []
    for letter in sorted(letters, key=lambda letter: letter.box.left):
        line = next((line for line in lines if any(_beside(other.box, letter.box) for other in line[-3:])), None)
        if line is None:
            lines.append([letter])
        else:
            line.append(letter)
    return lines


def _beside(left: Box, right: Box) -> bool:
    low, high = sorted((left.height, right.height))
    shared = min(left.bottom, right.bottom) - max(left.top, right.top)
    return high <= 2.2 * low and shared >= 0.5 * low and right.left - left.right <= 1.5 * high


def _is_text(line: Sequence[_Letter]) -> bool:
    """Whether there are enough letters; the more they stand out, the fewer are enough."""
    contrast = sorted((letter.contrast for letter in line), reverse=True)
    return any(len(line) >= count and contrast[count - 1] >= least for count, least in ENOUGH.items())


def _around(letters: Sequence[_Letter], scale: float, shape_hw: tuple[int, ...]) -> Box:
    """The rectangle around a line, in px of the film, with half a letter's height on each side."""
    line = [letter.box for letter in letters]
    border = 0.5 * max(letter.height for letter in line)
    height, width = shape_hw
    return Box(
        max(int((min(letter.left for letter in line) - border) * scale), 0),
        max(int((min(letter.top for letter in line) - border) * scale), 0),
        min(int((max(letter.right for letter in line) + border) * scale) + 1, width),
        min(int((max(letter.bottom for letter in line) + border) * scale) + 1, height),
    )
