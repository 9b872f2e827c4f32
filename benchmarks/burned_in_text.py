"""Measure the detector of burnt-in text on synthetic films with and without text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from unittest import mock

import numpy as np
from burned_in import with_text
from numpy.typing import NDArray

from spondylo_ml.data.deidentify.burned_in_text import Box, text_boxes
from spondylo_ml.data.phantom import processing
from spondylo_ml.data.synthetic import PhantomImage
from spondylo_ml.landmarks import GreyImage

MASKED = 0.995
"""Share of a line's ink that must be masked."""


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=150)
    parser.add_argument("--seed", type=int, default=9100)
    parser.add_argument("--long_side_px", type=int, default=1024)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    with mock.patch.object(processing, "_marker", return_value=None):
        sources = [PhantomImage(options.seed, i, options.long_side_px) for i in range(options.films)]
        films = [source.read() for source in sources]
    lines = masked = whole = alarms = 0
    area: list[float] = []
    corners, covered = 0, 0
    for source, film in zip(sources, films, strict=True):
        boxes = text_boxes(film)
        alarms += bool(boxes)
        at = np.concatenate([body.corners_xy for body in source.description().vertebrae]).round().astype(int)
        at = at[((at >= 0) & (at < film.shape[::-1])).all(axis=1)]
        corners, covered = corners + len(at), covered + int(_cover(boxes, film)[at[:, 1], at[:, 0]].sum())
        area += [float(_cover(boxes, film).mean())] if boxes else []
        image, truth = with_text(film, int(rng.integers(1, 4)), rng)
        cover = _cover(text_boxes(image), image)
        found = [cover[line].mean() >= MASKED for line in truth]
        lines, masked, whole = lines + len(found), masked + sum(found), whole + all(found)
    mean = 100 * float(np.mean(area)) if area else 0.0
    sys.stdout.write(
        f"lines of text masked whole: {masked} of {lines}\n"
        f"films with all text masked: {whole} of {len(films)}\n"
        f"films without text, with something masked: {alarms} of {len(films)}, {mean:.1f} % of the film on average\n"
        f"corners of vertebrae under a mask, of films without text: {covered} of {corners}\n"
    )


def _cover(boxes: Sequence[Box], film: GreyImage) -> NDArray[np.bool_]:
    cover = np.zeros(film.shape, dtype=bool)
    for box in boxes:
        cover[box.rows, box.columns] = True
    return cover


if __name__ == "__main__":
    main()
