"""Draws a contact sheet of synthetic films.

Lateral films in pairs: the first generator above, the same patients with additions below. Frontal films: every second
one with its true corners.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from spondylo_ml.data.frontal import frontal_film
from spondylo_ml.data.frontal import render as render_frontal
from spondylo_ml.data.phantom import ADDITION_NAMES, phantom_film, render
from spondylo_ml.landmarks import GreyImage
from spondylo_ml.pages.colours import TRUTH_RGB
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.lines import draw_outline

HEIGHT_PX = 300
GAP_PX = 4
FRONTAL_HEIGHT_PX = 560


def draw_sheet(indices: Sequence[int], seed: int, additions: Sequence[str]) -> GreyImage:
    """(H, W) pairs of films in columns, two rows of pairs."""
    pairs = [_pair(seed, index, additions) for index in indices]
    half = (len(pairs) + 1) // 2
    rows = [np.concatenate(row, axis=1) for row in (pairs[:half], pairs[half:]) if row]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, GAP_PX), (0, width - row.shape[1])), constant_values=255) for row in rows]
    return np.concatenate(padded)


def _pair(seed: int, index: int, additions: Sequence[str]) -> GreyImage:
    first, later = (render(phantom_film(seed, index, 512, additions=names)) for names in ((), additions))
    width = round(first.shape[1] * HEIGHT_PX / first.shape[0])
    both = [cv2.resize(film, (width, HEIGHT_PX), interpolation=cv2.INTER_AREA) for film in (first, later)]
    gap = np.full((GAP_PX, width), 255, dtype=np.uint8)
    column = np.concatenate([both[0], gap, both[1]])
    return np.asarray(np.pad(column, ((0, 0), (0, GAP_PX)), constant_values=255), dtype=np.uint8)


def draw_frontal_sheet(indices: Sequence[int], seed: int) -> Picture:
    """(H, W, 3) RGB frontal films in a row, every second one with its true corners."""
    films = [_frontal(seed, index, bool(place % 2)) for place, index in enumerate(indices)]
    gap = ((0, 0), (0, GAP_PX), (0, 0))
    return np.concatenate([np.pad(film, gap, constant_values=255) for film in films], axis=1)


def _frontal(seed: int, index: int, with_truth: bool) -> Picture:
    film = frontal_film(seed, index)
    scale = FRONTAL_HEIGHT_PX / film.size_hw[0]
    size = (round(film.size_hw[1] * scale), FRONTAL_HEIGHT_PX)
    grey = cv2.resize(render_frontal(film), size, interpolation=cv2.INTER_AREA)
    picture = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    for vertebra in film.vertebrae if with_truth else ():
        draw_outline(picture, vertebra.corners_xy, scale, TRUTH_RGB)
    return picture


def main(arguments: Sequence[str]) -> None:
    """Write the sheet as JPEG."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--films", default="0,1,2,3,4,5,6,7", help="indices, separated by commas")
    parser.add_argument("--additions", default=",".join(ADDITION_NAMES), help="of lateral films, separated by commas")
    parser.add_argument("--view", choices=("lateral", "frontal"), default="lateral")
    chosen = parser.parse_args(arguments)
    indices = [int(i) for i in chosen.films.split(",")]
    if chosen.view == "frontal":
        sheet = np.asarray(draw_frontal_sheet(indices, chosen.seed)[..., ::-1])
    else:
        sheet = draw_sheet(indices, chosen.seed, tuple(chosen.additions.split(",")))
    cv2.imwrite(str(chosen.to), sheet, [cv2.IMWRITE_JPEG_QUALITY, 80])


if __name__ == "__main__":
    main(sys.argv[1:])
