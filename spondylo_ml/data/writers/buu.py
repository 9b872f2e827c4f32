"""Write the BUU-LSPINE layout; see the reader of the same name.

The layout holds L1 to L5, and the superior corners of S1 on lateral films; a film that lacks any of these cannot be
written. It cannot hold other vertebrae, facing, patient (except in the published file names), split, hidden corners, or
a spacing that differs between x and y.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from spondylo_ml.data.readers.buu import N_LUMBAR, SPACING_FILE
from spondylo_ml.data.writers.base import PlacedFilm, make_parent
from spondylo_ml.landmarks import Facing, Film

NO_SLIP = 0


class BuuWriter:
    """Writes the layout described above."""

    kind = "buu"
    needs_parts = False

    def place(self, film: Film) -> str | None:
        """The folder of the view; None if an endplate is missing."""
        return None if _rows(film) is None else _view(film)

    def write_labels(self, films: Sequence[PlacedFilm], to: Path) -> None:
        """Write one CSV file per film, and a table of spacings if any is known."""
        for placed in films:
            label = (to / placed.image).with_suffix(".csv")
            with make_parent(label).open("w", encoding="utf-8", newline="") as stream:
                csv.writer(stream, lineterminator="\n").writerows(_rows(placed.film) or [])
        spacings = [
            (placed.image.name, repr(placed.film.spacing.x_mm))
            for placed in films
            if placed.film.spacing and placed.film.spacing.x_mm == placed.film.spacing.y_mm
        ]
        if spacings:
            with (to / SPACING_FILE).open("w", encoding="utf-8", newline="") as stream:
                table = csv.writer(stream, lineterminator="\n")
                table.writerow(("filename", "pixel_spacing_mm"))
                table.writerows(spacings)


def _view(film: Film) -> str:
    return "AP" if film.facing == Facing.NONE else "LA"


def _rows(film: Film) -> list[list[object]] | None:
    """Endplates from L1 down; None if one is incomplete."""
    by_slot = {v.slot: v.corners_xy for v in film.vertebrae or () if v.present[:2].all()}
    endplates = []
    for slot in range(N_LUMBAR, 0, -1):
        if slot not in by_slot or np.isnan(by_slot[slot]).any():
            return None
        endplates += [by_slot[slot][:2], by_slot[slot][2:]]
    if _view(film) == "LA":
        if 0 not in by_slot:
            return None
        endplates.append(by_slot[0][:2])
    return [[*(repr(float(value)) for value in endplate.ravel()), NO_SLIP] for endplate in endplates]
