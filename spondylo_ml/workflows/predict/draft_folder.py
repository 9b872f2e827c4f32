"""The folder of drafts for a labelling tool: films as PNG, and the corners that a model predicted on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2

from spondylo_ml.data.films import FileImage
from spondylo_ml.data.writers.drafts import Draft, draft_of, write_drafts
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.matching import PRESENCE_THRESHOLD
from spondylo_ml.landmarks import Film, FilmPrediction
from spondylo_ml.serving.film_model import FilmModel

DRAFTS = "drafts"


class DraftFolder:
    """Writes the pictures of films one by one, then the drafts of all; keeps no pixels in memory.

    Args:
        root: the drafts go to its subfolder `DRAFTS`.
        kind: format of the drafts, see `data.writers.drafts`.
    """

    def __init__(self, root: Path, model: FilmModel, kind: str) -> None:
        self._folder, self._model, self._kind = root / DRAFTS, model, kind
        self._drafts: list[Draft] = []

    def add(self, film: Film, prediction: FilmPrediction) -> None:
        """Write the film's picture, and keep its corners for the drafts of all films."""
        draft = draft_of(film, prediction, self._model.name, PRESENCE_THRESHOLD, self._model.digest)
        path = self._folder / draft.placed.image
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(film.image.read(), path)
        on_disk = replace(draft.placed.film, image=FileImage(path, film.film_id))
        self._drafts.append(replace(draft, placed=replace(draft.placed, film=on_disk)))

    def write(self) -> None:
        """Write the drafts in the order in which they were added; nothing if there are none."""
        if self._drafts:
            write_drafts(self._drafts, self._kind, self._folder)


def write_png(picture: Any, path: Path) -> None:
    """Write a grey picture, or one with its colours in the order of OpenCV.

    Raises:
        DataError: it cannot be encoded.
    """
    encoded, png = cv2.imencode(".png", picture)
    if not encoded:
        raise DataError(f"a picture of {picture.shape} cannot be written as PNG")
    path.write_bytes(png.tobytes())
