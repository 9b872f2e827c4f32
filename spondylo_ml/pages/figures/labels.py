"""Text on pictures: boxes beside what they name, none over another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, count

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Rgb = tuple[int, int, int]
Box = tuple[int, int, int, int]
"""Left, top, width and height in px."""

TEXT_PX = 13
PADDING_PX = 3
LINE_PX = TEXT_PX + 2 * PADDING_PX
BACKGROUND_RGB, BACKGROUND_OPACITY = (0, 0, 0), 0.6
FARTHEST_LINES = 40


@dataclass(frozen=True)
class Label:
    """A text beside a point.

    Attributes:
        end_xy: the point in px of the picture, which is as high as the middle of the text.
        left: whether the text ends at the point; else it starts there.
    """

    text: str
    rgb: Rgb
    end_xy: tuple[float, float]
    left: bool = False


def text_width_px(text: str) -> int:
    """Width of a line of text."""
    left, _, width, _ = cv2.getTextSize((0, 0), text, (0, 0), _font(), TEXT_PX)
    return int(left + width)


def draw_text(picture: Picture, text: str, left_px: int, middle_px: float, rgb: Rgb) -> None:
    """Write a line of text into the picture."""
    cv2.putText(picture, text, (left_px, round(middle_px + 0.36 * TEXT_PX)), rgb, _font(), TEXT_PX)


def draw_labels(picture: Picture, labels: Sequence[Label]) -> None:
    """Write the labels on dark boxes, which are legible on bright films too."""
    for label, box in zip(labels, place_labels(labels, (picture.shape[1], picture.shape[0])), strict=True):
        left, top, width, height = box
        area = picture[top : top + height, left : left + width]
        area[...] = cv2.addWeighted(
            area, 1 - BACKGROUND_OPACITY, np.full_like(area, BACKGROUND_RGB), BACKGROUND_OPACITY, 0
        )
        draw_text(picture, label.text, left + PADDING_PX, top + height / 2, label.rgb)


def place_labels(labels: Sequence[Label], size_wh: tuple[int, int]) -> list[Box]:
    """A box for each label, in order: within the picture, over no box before it, and as near as possible to its point.

    On a picture too small for all labels, the last ones lie over others.
    """
    placed: list[Box] = []
    for label in labels:
        width = text_width_px(label.text) + 2 * PADDING_PX
        x, y = label.end_xy
        left = _within(x - width if label.left else x, size_wh[0] - width)
        boxes = ((left, _within(y - LINE_PX / 2 + s, size_wh[1] - LINE_PX), width, LINE_PX) for s in _steps())
        nearest = next(boxes)
        candidates = chain([nearest], boxes)
        placed.append(next((box for box in candidates if not any(_overlap(box, other) for other in placed)), nearest))
    return placed


def _within(start: float, last: int) -> int:
    """The nearest whole px from 0 to `last`."""
    return min(max(round(start), 0), max(last, 0))


def _steps() -> Iterator[float]:
    """0, then steps down and up in turn, each a quarter of a line longer."""
    yield 0.0
    for quarters in count(1):
        if quarters > 4 * FARTHEST_LINES:
            return
        yield quarters * LINE_PX / 4
        yield -quarters * LINE_PX / 4


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]


@cache
def _font() -> cv2.FontFace:
    return cv2.FontFace("sans")
