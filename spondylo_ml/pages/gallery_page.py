"""The page of a folder of predictions: each film as a card, and a filter for those that a person must read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spondylo_ml.clinical.measurement import LOWEST_VISIBLE
from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.clinical.rounding import rounded_beside, slip_limits_percent
from spondylo_ml.pages.film_report_content import MINUS
from spondylo_ml.pages.render import jpeg_uri, render_page

THUMBNAIL_HEIGHT_PX = 240
MOST_THUMBNAILS = 300
"""About 3 MB of pictures; the films after these have none."""
LIMITS_PERCENT = slip_limits_percent(DEFAULT_RULES.model_dump())
"""Limits of the usual grades, which a slip beside them must not seem to reach."""


@dataclass(frozen=True)
class ComparedPair:
    """Two films of one patient that were compared.

    Attributes:
        address: of their page relative to the gallery; empty if there is none.
    """

    title: str
    verdict: str
    address: str = ""


@dataclass(frozen=True)
class GalleryFilm:
    """One film of a gallery.

    Attributes:
        name: pseudonym of the film.
        error: why it has no result; empty if it has one.
        slip_percent: the largest of its slips by size, with its sign; NaN if none is measurable.
        slip_text: this slip with its level and grade.
        width_percent: width of its widest slip interval; infinite if a level has none, NaN without levels.
        refer: levels that a person must read, by their verdicts.
        n_warnings: number of warnings.
        report: address of its report relative to the page; empty if there is none.
        thumbnail: data URI; empty if there is none.
    """

    name: str
    error: str = ""
    slip_percent: float = math.nan
    slip_text: str = ""
    width_percent: float = math.nan
    refer: tuple[str, ...] = ()
    n_warnings: int = 0
    report: str = ""
    thumbnail: str = ""

    @property
    def by_uncertainty(self) -> tuple[bool, float]:
        """Sorts the least certain films first, and those without a result before all."""
        return not self.error, -math.inf if math.isnan(self.width_percent) else -self.width_percent


NO_LEVEL = "no level was found: refer the film"


def gallery_film(row: Mapping[str, Any], report: str = "", thumbnail: str = "") -> GalleryFilm:
    """The film of a row of `predictions.json`."""
    if row["error"]:
        return GalleryFilm(row["film"], error=row["error"])
    levels = row["slips"] or ()
    widths = [
        math.inf if level["low_percent"] is None else level["high_percent"] - level["low_percent"] for level in levels
    ]
    largest = max(
        (level for level in levels if level["slip_percent"] is not None),
        key=lambda level: abs(level["slip_percent"]),
        default=None,
    )
    slip = f"{rounded_beside(largest['slip_percent'], 1, LIMITS_PERCENT, '+')} %".replace("-", MINUS) if largest else ""
    return GalleryFilm(
        name=row["film"],
        slip_percent=largest["slip_percent"] if largest else math.nan,
        slip_text=f"{largest['level']} {slip}, {largest['grade_name']}" if largest else "no slip is measurable",
        width_percent=max(widths, default=math.nan),
        refer=_referred(levels) or (() if levels else (NO_LEVEL,)),
        n_warnings=len(row["warnings"] or ()),
        report=report,
        thumbnail=thumbnail,
    )


def _referred(levels: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """The levels that a person must read, one text for each verdict; levels without a name are counted."""
    by_verdict: dict[str, list[str]] = {}
    for level in levels:
        if level["refer"]:
            by_verdict.setdefault(level["verdict"], []).append(level["level"])
    return tuple(f"{_levels_text(names)}: {verdict}" for verdict, names in by_verdict.items())


def _levels_text(names: Sequence[str]) -> str:
    if len(names) > 1 and any(name.startswith(LOWEST_VISIBLE) for name in names):
        return f"{len(names)} unnamed levels"
    return ", ".join(names)


def headline(n_films: int, n_refer: int, n_failed: int) -> str:
    """The result of all films in a sentence."""
    films = f"{n_films} film{'' if n_films == 1 else 's'}"
    refer = f"{n_refer} of {films} {'has' if n_refer == 1 else 'have'}" if n_refer else "No film has"
    return f"{refer} a level to refer.{f' {n_failed} without a result.' if n_failed else ''}"


def gallery_page(films: Sequence[GalleryFilm], model: str, compared: Sequence[ComparedPair] = ()) -> str:
    """HTML of the films, the least certain first; all pictures are in the page, only the reports are other files.

    Args:
        compared: pairs of films of one patient.
    """
    ordered = sorted(films, key=lambda film: (film.by_uncertainty, film.name))
    return render_page(
        "gallery.html",
        title=f"Slips on {len(films)} film{'' if len(films) == 1 else 's'}",
        headline=headline(len(films), sum(bool(film.refer) for film in films), sum(bool(film.error) for film in films)),
        model=model,
        films=ordered,
        compared=compared,
        n_refer=sum(bool(film.refer) for film in films),
        n_without_picture=sum(not film.thumbnail and not film.error for film in films),
        sizes={film.name: 0.0 if math.isnan(film.slip_percent) else abs(film.slip_percent) for film in films},
    )


def thumbnail_of(path: Path) -> str:
    """Data URI of a small copy of a picture file; empty if there is none."""
    picture = cv2.imread(str(path))
    if picture is None:
        return ""
    scale = THUMBNAIL_HEIGHT_PX / picture.shape[0]
    size = (max(1, round(picture.shape[1] * scale)), THUMBNAIL_HEIGHT_PX)
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return jpeg_uri(np.asarray(small[..., ::-1], dtype=np.uint8))
