"""Drafts of a made-up model, and a person's corrections of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from builders import plain_film, square

from spondylo_ml.data.films import FileImage
from spondylo_ml.data.writers.drafts import draft_of, write_drafts
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, SlotRange, Vertebra
from spondylo_ml.spacing import Spacing

SIZE_HW = (512, 300)
MODEL_NAME, DIGEST = "unet, run 12", "ab" * 32
SPINE = tuple(square(slot, 120, 400 - 60 * slot, 40) for slot in range(4))


def write_drafted(to: Path, kind: str, names: Sequence[str], digest: str = DIGEST) -> None:
    """Write the drafts of a model that found S1 to L3 on each film, and placed no inferior corner of S1."""
    drafts, slots = [], SlotRange(0, 5)
    corners = slots.corners(SPINE)
    corners[0, 2:] = np.nan
    (to / "images").mkdir(parents=True)
    for seed, name in enumerate(names):
        film = plain_film(name, None, SIZE_HW)
        film = replace(film, facing=Facing.LEFT, patient=f"patient {seed}", spacing=Spacing(0.5, 0.25, "header"))
        prediction = FilmPrediction(name, slots, corners, np.full((5, 4), 0.75), np.array([1.0] * 4 + [0.1]))
        draft = draft_of(film, prediction, MODEL_NAME, 0.5, digest)
        path = to / draft.placed.image
        cv2.imwrite(str(path), np.random.default_rng(seed).integers(0, 255, SIZE_HW, dtype=np.uint8))
        on_disk = replace(draft.placed.film, image=FileImage(path, name))
        drafts.append(replace(draft, placed=replace(draft.placed, film=on_disk)))
    write_drafts(drafts, kind, to)


def edited(film: Film) -> Film:
    """The film as a person corrects it: a corner moved, a level renamed, one vertebra removed and one added."""
    s1, l5, _, l3 = film.vertebrae or ()
    corners = l5.corners_xy.copy()
    corners[1] += (3, 4)
    added = square(6, 120, 40, 40)
    return replace(film, vertebrae=(s1, replace(l5, corners_xy=corners), Vertebra(5, l3.corners_xy), added))
