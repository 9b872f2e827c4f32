"""`drafts.json`: which model drafted which corners on which films, beside the files of the labelling tool.

A tool changes or drops what a model wrote into its file. This record stays as it is, so that corrections can be found
with it whichever tool was used, even where the corrected file has replaced the draft.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spondylo_ml.data.films import FileImage
from spondylo_ml.data.readers.film_row import parse_row
from spondylo_ml.errors import DataError
from spondylo_ml.landmarks import Film, Vertebra
from spondylo_ml.spacing import resolve_pixel_aspect

DRAFT_RECORD = "drafts.json"
MOST_SHOWN = 3


class DraftedVertebra(BaseModel):
    """A drafted vertebra.

    Attributes:
        slot: level, counted from the sacrum up.
        corners_xy_px: in the order of `CORNERS`, px of the film; null where none was drafted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: int
    corners_xy_px: tuple[
        tuple[float, float] | None, tuple[float, float] | None, tuple[float, float] | None, tuple[float, float] | None
    ]
    scores: tuple[float, float, float, float]


class DraftedFilm(BaseModel):
    """A film with its draft.

    Attributes:
        image: path of the film's file within the folder of the drafts.
        known: what is known about the film, by the columns of `films.csv`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    film: str
    image: str
    size_hw_px: tuple[int, int]
    known: dict[str, str]
    vertebrae: tuple[DraftedVertebra, ...]


class DraftRecord(BaseModel):
    """The content of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["spondylo_ml drafts 1"] = "spondylo_ml drafts 1"
    model: str
    model_digest: str = Field(pattern=r"^([0-9a-f]{64})?$")
    tool: str
    films: tuple[DraftedFilm, ...]


@dataclass(frozen=True)
class DraftSet:
    """The drafts of one model.

    Attributes:
        model: name of the model.
        digest: SHA-256 of its manifest; empty if the drafts do not state it.
        tools: formats in which the drafts were written.
        films: with the drafted vertebrae as their labels.
    """

    model: str
    digest: str
    tools: tuple[str, ...]
    films: tuple[Film, ...]


def record_file(folder: Path) -> Path:
    """The record of drafts in a folder: that of `predict`, or its `drafts/`.

    Raises:
        DataError: there is none.
    """
    for path in (folder / DRAFT_RECORD, folder / "drafts" / DRAFT_RECORD):
        if path.is_file():
            return path
    raise DataError(
        f"{folder} has no {DRAFT_RECORD}: give the folder that predict --format wrote, or the drafts/ in it. Versions "
        "before this one wrote no record of their drafts: write them anew with predict, by the same model"
    )


def read_drafts(folders: Sequence[Path]) -> DraftSet:
    """The drafts in these folders, all of one model.

    Raises:
        DataError: no record, a damaged one, drafts of several models, or two films of one name.
    """
    files = [record_file(folder) for folder in folders]
    records = [_read(path) for path in files]
    models = {(record.model_digest or record.model): record.model for record in records}
    if len(models) > 1:
        raise DataError(f"the drafts are of {len(models)} models ({'; '.join(models.values())}): give those of one")
    films = [_film(film, path) for record, path in zip(records, files, strict=True) for film in record.films]
    names = [film.film_id for film in films]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(
            f"{len(repeated)} film(s) were drafted twice, such as {', '.join(repeated[:MOST_SHOWN])}: give one folder "
            "with each film"
        )
    newest = records[-1]
    tools = tuple(dict.fromkeys(record.tool for record in records))
    return DraftSet(newest.model, newest.model_digest, tools, tuple(films))


def _read(path: Path) -> DraftRecord:
    try:
        return DraftRecord.model_validate_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read ({type(error).__name__})") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"{path} is not a record of drafts, or is damaged: {where}: {first['msg']}") from None


def _film(drafted: DraftedFilm, path: Path) -> Film:
    row = parse_row(drafted.known, path.name, f"film {drafted.film}")
    aspect, aspect_given = resolve_pixel_aspect(row.pixel_aspect, row.spacing)
    image = path.parent / drafted.image
    if not image.is_file():
        raise DataError(f"{path} names the film {drafted.image}, which is missing: keep images/ beside it")
    return Film(
        film_id=drafted.film,
        image=FileImage(image, drafted.film),
        size_hw=drafted.size_hw_px,
        vertebrae=tuple(map(_vertebra, drafted.vertebrae)),
        facing=row.facing,
        patient=row.patient or drafted.film,
        source="own",
        spacing=row.spacing,
        sex=row.sex,
        age_years=row.age_years,
        pixel_aspect=aspect,
        aspect_given=aspect_given,
        path=image,
        reader=row.reader,
    )


def _vertebra(drafted: DraftedVertebra) -> Vertebra:
    corners = [(np.nan, np.nan) if xy is None else xy for xy in drafted.corners_xy_px]
    return Vertebra(drafted.slot, np.array(corners, dtype=np.float64))
