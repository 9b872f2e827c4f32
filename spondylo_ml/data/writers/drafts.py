"""Write predictions as drafts, to be corrected in a labelling tool.

Each format holds the model's name and the confidence of each corner in its own place; what a tool keeps nowhere is text
that it shows. All but Slicer's hold the model's digest. The film's reader is `draft of <model>`, until a person's name
takes its place: readers of labels warn of films that still have it. `drafts.json` records all drafts, whatever the
format (`data.draft_record`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from spondylo_ml.data.draft_record import DRAFT_RECORD, DraftedFilm, DraftedVertebra, DraftRecord
from spondylo_ml.data.readers.remarks import DRAFT_OF
from spondylo_ml.data.writers.base import PlacedFilm
from spondylo_ml.data.writers.coco import CocoWriter
from spondylo_ml.data.writers.cvat import write_annotations
from spondylo_ml.data.writers.films_table import known_cells, write_films_csv
from spondylo_ml.data.writers.label_studio import TASKS, results_of, task_data, write_config
from spondylo_ml.data.writers.labelme import write_label
from spondylo_ml.data.writers.slicer import write_markups
from spondylo_ml.landmarks import Film, FilmPrediction, FloatArray, Vertebra

UNCORRECTED = ("labelled", "levels_from")
"""Columns that hold for labels, not for drafts."""


@dataclass(frozen=True)
class Draft:
    """A film with the predicted vertebrae as its own.

    Attributes:
        scores: by slot, (4,) confidence of each corner, 0 to 1.
        model: name of the model.
        digest: SHA-256 of the model's manifest; empty if unknown.
    """

    placed: PlacedFilm
    scores: Mapping[int, FloatArray]
    model: str
    digest: str = ""

    @property
    def vertebrae(self) -> Sequence[Vertebra]:
        """The predicted vertebrae."""
        return self.placed.film.vertebrae or ()

    @property
    def cells(self) -> dict[str, str]:
        """What is known about the film."""
        return {name: cell for name, cell in known_cells(self.placed.film).items() if name not in self.unknown}

    @property
    def unknown(self) -> set[str]:
        """Columns that say nothing: a film that is its own patient has an unknown one, which may be stated later."""
        film = self.placed.film
        return {*UNCORRECTED, *(["patient"] if film.patient == film.film_id else [])}

    @property
    def origin(self) -> dict[str, str]:
        """The model's name and, if known, its digest."""
        return {"model": self.model, **({"model_digest": self.digest} if self.digest else {})}

    @property
    def descriptions(self) -> dict[int, list[str]]:
        """By slot, a text for each corner."""
        return {slot: [f"{self.model}: {score:.2f}" for score in scores] for slot, scores in self.scores.items()}


def draft_of(film: Film, prediction: FilmPrediction, model: str, least_presence: float, digest: str = "") -> Draft:
    """The draft of a film, without corners outside it; without vertebrae if the model refused to read it.

    Args:
        least_presence: presence from which a vertebra is drafted.
        digest: see `Draft`.
    """
    vertebrae, scores = [], {}
    for index, slot in enumerate(range(prediction.slots.first, prediction.slots.first + prediction.slots.count)):
        corners = _inside(prediction.corners_xy[index], film.size_hw)
        if prediction.refusal or prediction.presence[index] < least_presence or np.isnan(corners).all():
            continue
        vertebrae.append(Vertebra(slot, corners))
        scores[slot] = np.nan_to_num(prediction.corner_score[index])
    drafted = replace(film, vertebrae=tuple(vertebrae), reader=f"{DRAFT_OF}{model}")
    return Draft(PlacedFilm(drafted, PurePosixPath("images") / f"{film.film_id}.png"), scores, model, digest)


def _inside(corners_xy: FloatArray, size_hw: tuple[int, int]) -> FloatArray:
    """(4, 2) corners, NaN where they lie outside the film: tools neither show nor keep those."""
    x, y = corners_xy.T
    outside = (x < 0) | (x > size_hw[1] - 1) | (y < 0) | (y > size_hw[0] - 1)
    return np.where(outside[:, None], np.nan, corners_xy)


def write_drafts(drafts: Sequence[Draft], kind: str, to: Path) -> None:
    """Write the drafts of one model in the format `kind`, and their record; the films must lie in `to` already."""
    WRITERS_OF_DRAFTS[kind](drafts, to)
    record = DraftRecord(
        model=drafts[0].model, model_digest=drafts[0].digest, tool=kind, films=tuple(map(_recorded, drafts))
    )
    (to / DRAFT_RECORD).write_text(record.model_dump_json(indent=1), encoding="utf-8")


def _recorded(draft: Draft) -> DraftedFilm:
    film = draft.placed.film
    vertebrae = tuple(
        DraftedVertebra.model_validate(
            {
                "slot": vertebra.slot,
                "corners_xy_px": [None if np.isnan(xy).any() else tuple(map(float, xy)) for xy in vertebra.corners_xy],
                "scores": tuple(map(float, draft.scores[vertebra.slot])),
            }
        )
        for vertebra in draft.vertebrae
    )
    return DraftedFilm(
        film=film.film_id,
        image=draft.placed.image.as_posix(),
        size_hw_px=film.size_hw,
        known=draft.cells,
        vertebrae=vertebrae,
    )


def _label_studio(drafts: Sequence[Draft], to: Path) -> None:
    tasks = []
    for draft in drafts:
        data = {name: cell for name, cell in task_data(draft.placed).items() if name not in {*draft.unknown, "reader"}}
        data |= draft.origin
        scores = {slot: of_corners.tolist() for slot, of_corners in draft.scores.items()}
        results = results_of(draft.vertebrae, draft.placed.film.size_hw, scores)
        mean = float(np.mean(list(draft.scores.values()))) if draft.scores else 0.0
        tasks.append({"data": data, "predictions": [{"model_version": draft.model, "score": mean, "result": results}]})
    (to / TASKS).write_text(json.dumps(tasks, indent=1), encoding="utf-8")
    write_config(to)


def _cvat(drafts: Sequence[Draft], to: Path) -> None:
    films = []
    for draft in drafts:
        confidence = "; ".join(
            f"{v.level} {' '.join(f'{score:.2f}' for score in draft.scores[v.slot])}" for v in draft.vertebrae
        )
        films.append((draft.placed, draft.vertebrae, {**draft.cells, **draft.origin, "confidence": confidence}))
    write_annotations(films, to, "auto")


def _labelme(drafts: Sequence[Draft], to: Path) -> None:
    for draft in drafts:
        write_label(draft.placed, draft.vertebrae, {**draft.cells, **draft.origin}, to, draft.descriptions)


def _slicer(drafts: Sequence[Draft], to: Path) -> None:
    for draft in drafts:
        write_markups(draft.placed, draft.vertebrae, to, draft.descriptions)
    write_films_csv([draft.placed for draft in drafts], to)


def _coco(drafts: Sequence[Draft], to: Path) -> None:
    """COCO with the usual field `score`, and `keypoint_scores` in the order of the keypoints."""
    CocoWriter().write_labels([draft.placed for draft in drafts], to)
    path = to / "annotations.json"
    tree = json.loads(path.read_text(encoding="utf-8"))
    for image, draft in zip(tree["images"], drafts, strict=True):
        for name in draft.unknown:
            image.pop(name, None)
        image |= draft.origin
    tree["info"] = {"description": ", ".join(sorted({f"{DRAFT_OF}{draft.model}" for draft in drafts}))}
    scores = [draft.scores[vertebra.slot] for draft in drafts for vertebra in draft.vertebrae]
    for annotation, of_corners in zip(tree["annotations"], scores, strict=True):
        annotation |= {"score": float(of_corners.mean()), "keypoint_scores": of_corners.tolist()}
    path.write_text(json.dumps(tree), encoding="utf-8")


WRITERS_OF_DRAFTS: dict[str, Callable[[Sequence[Draft], Path], None]] = {
    "label-studio": _label_studio,
    "cvat": _cvat,
    "labelme": _labelme,
    "slicer": _slicer,
    "coco": _coco,
}
