"""Pictures of audit findings: the film with its labels, and a close-up of the vertebrae concerned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from spondylo_ml.data.audit.findings import AuditFinding
from spondylo_ml.data.contrast import stretch_contrast
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, FloatArray, GreyImage, Vertebra
from spondylo_ml.pages.colours import CONCERNED_RGB, LEFT_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.labels import Label, Picture, draw_labels
from spondylo_ml.pages.figures.lines import draw_edge, draw_outline

PICTURE_HEIGHT_PX = 340
MOST_FILMS = 4
NAME_GAP_PX = 6
CLOSE_UP_BODIES = 3
CLOSE_UP_SIDE = 1.7
"""Side of the square close-up relative to the longer side of the vertebrae."""


def draw_finding(finding: AuditFinding, films: Mapping[str, Film]) -> Picture | None:
    """(H, W, 3) RGB: the films of a finding side by side, its vertebrae in red; None if no film can be drawn."""
    drawable = [films[name] for name in finding.films[:MOST_FILMS] if name in films]
    pictures = [draw_labelled_film(film, finding.slots if len(drawable) == 1 else ()) for film in drawable]
    if len(drawable) == 1 and 0 < len(finding.slots) <= CLOSE_UP_BODIES:
        pictures.append(_close_up(drawable[0], finding.slots))
    drawn = [picture for picture in pictures if picture is not None]
    return np.asarray(np.concatenate(drawn, axis=1), dtype=np.uint8) if drawn else None


def draw_labelled_film(film: Film, slots: Sequence[int] = (), height_px: int = PICTURE_HEIGHT_PX) -> Picture | None:
    """(H, W, 3) RGB film with its labels, those of `slots` in red with their level; None if it cannot be read."""
    pixels = _pixels(film)
    if pixels is None:
        return None
    scale = height_px / film.size_hw[0]
    picture = _coloured(pixels, (max(1, round(film.size_hw[1] * scale)), height_px))
    _draw(picture, film.vertebrae or (), slots, scale, np.zeros(2))
    return _with_gap(picture)


def _close_up(film: Film, slots: Sequence[int]) -> Picture | None:
    """The vertebrae of `slots` and their surroundings, as high as the picture of the whole film."""
    bodies = [v.corners_xy for v in film.vertebrae or () if v.slot in slots and v.present.any()]
    pixels = _pixels(film)
    if not bodies or pixels is None:
        return None
    corners = np.concatenate(bodies)
    low, high = np.nanmin(corners, axis=0), np.nanmax(corners, axis=0)
    half = 0.5 * CLOSE_UP_SIDE * max(float((high - low).max()), 8.0)
    height, width = film.size_hw
    x0, y0 = np.clip((low + high) / 2 - half, 0, [width - 2, height - 2]).astype(int)
    x1, y1 = np.clip((low + high) / 2 + half, [x0 + 1, y0 + 1], [width, height]).astype(int)
    scale = PICTURE_HEIGHT_PX / (y1 - y0)
    picture = _coloured(pixels[y0:y1, x0:x1], (max(1, round((x1 - x0) * scale)), PICTURE_HEIGHT_PX))
    _draw(picture, film.vertebrae or (), slots, scale, np.array([x0, y0], dtype=np.float64))
    return _with_gap(picture)


def _draw(
    picture: Picture, vertebrae: Sequence[Vertebra], slots: Sequence[int], scale: float, origin_xy: FloatArray
) -> None:
    """Draw outlines, with the levels of `slots`; a ring on the superior left corner shows swapped corners."""
    labels = []
    for vertebra in vertebrae:
        draw_edge(picture, vertebra.corners_xy - origin_xy, scale)
    for vertebra in sorted(vertebrae, key=lambda v: v.slot in slots):  # red outlines on top
        concerned = vertebra.slot in slots
        corners = vertebra.corners_xy - origin_xy
        draw_outline(picture, corners, scale, CONCERNED_RGB if concerned else TRUTH_RGB)
        if vertebra.present[0]:
            x, y = ((corners[0] + 0.5) * scale).astype(int)
            cv2.circle(picture, (int(x), int(y)), 4, LEFT_RGB, 1, cv2.LINE_AA)
        if concerned and vertebra.present.any():
            x, y = np.nanmax(corners[:, 0]) * scale + NAME_GAP_PX, np.nanmean(corners[:, 1]) * scale
            labels.append(Label(vertebra.level, CONCERNED_RGB, (float(x), float(y))))
    draw_labels(picture, labels)


def _pixels(film: Film) -> GreyImage | None:
    try:
        return stretch_contrast(film.image.read())
    except DataError:
        return None


def _coloured(grey: GreyImage, size_wh: tuple[int, int]) -> Picture:
    shrinking = size_wh[1] < grey.shape[0]
    scaled = cv2.resize(grey, size_wh, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(scaled, cv2.COLOR_GRAY2RGB), dtype=np.uint8)


def _with_gap(picture: Picture) -> Picture:
    return np.asarray(np.pad(picture, ((0, 0), (0, 6), (0, 0))), dtype=np.uint8)
