"""Comparisons of one patient's films, which `predict` writes beside the results of each film.

    changes.csv                     one row per level of each pair of films, and one per film that is in no pair
    changes/<first>_<second>.html   the page of a pair

Patients, like films, go by their pseudonyms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from spondylo_ml.clinical.change import Change, FilmChange, LevelChange, MeasuredFilm, film_change
from spondylo_ml.clinical.instability import Instability, instability
from spondylo_ml.data.follow_up import FilmOfPatient, FilmPair, FilmPairs, PairKind
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.slips import measured_vertebrae
from spondylo_ml.film_report.report import film_key
from spondylo_ml.landmarks import Facing, GreyImage
from spondylo_ml.nan import finite_or_none
from spondylo_ml.pages.change_page import ChangePage, PairedFilm, change_page, pair_verdict
from spondylo_ml.pages.figures.aligned_picture import AlignedPicture, ShownFilm, aligned_picture
from spondylo_ml.pages.gallery_page import ComparedPair
from spondylo_ml.serving.film_model import FilmModel
from spondylo_ml.serving.film_result import FilmResult

CHANGES = "changes"
MEASURES = ("slip", "slip_mm", "segmental_angle")
UNITS = {"slip": ("percent", "points"), "slip_mm": ("mm", "mm"), "segmental_angle": ("deg", "deg")}
PAIR_COLUMNS = ("kind", "patient", "first_film", "second_film", "first_visit", "second_visit", "first_position",
                "second_position", "level", "upper_slot", "lower_slot")  # fmt: skip
VALUE_COLUMNS = tuple(
    f"{name}_{part}"
    for measure in MEASURES
    for name in [measure.removesuffix("_mm")]
    for part in (
        *(f"{film}_{UNITS[measure][0]}" for film in ("first", "second")),
        *(f"change_{part}{UNITS[measure][1]}" for part in ("", "low_", "high_")),
        f"change_{UNITS[measure][1]}_withheld",
    )
)
COLUMNS = (*PAIR_COLUMNS, *VALUE_COLUMNS, "coverage", "instability", "reason")


@dataclass(frozen=True)
class _KeptFilm:
    """What is kept of a film until its pairs are compared; its pixels are read again."""

    result: FilmResult
    measured: MeasuredFilm
    read: Callable[[], GreyImage]


class Changes:
    """Compares films as soon as all results are there; keeps no pixels in memory.

    Attributes:
        wanted: films that are in a pair.
    """

    def __init__(self, root: Path, model: FilmModel, pairs: FilmPairs, pages: bool = True) -> None:
        self._root, self._model, self._pairs, self._pages = root, model, pairs, pages
        self.wanted = frozenset(film.film_id for pair in pairs.pairs for film in (pair.before, pair.after))
        self._kept: dict[str, _KeptFilm] = {}

    def add(self, result: FilmResult, read: Callable[[], GreyImage]) -> None:
        """Keep the measurements of a film that is to be compared.

        Args:
            read: reads its pixels once more.
        """
        if result.film_id not in self.wanted:
            return
        if result.film is None or result.prediction is None or result.measurement is None:
            return
        measured = MeasuredFilm(
            result.measurement,
            measured_vertebrae(result.prediction, result.film.size_hw),
            result.film.spacing,
            self._model.level_errors(result),
        )
        # Without the film and the prediction, whose arrays are large.
        kept = FilmResult(result.film_id, film_key=result.film_key, measurement=result.measurement)
        self._kept[result.film_id] = _KeptFilm(kept, measured, read)

    def write(self) -> tuple[ComparedPair, ...]:
        """Write the table and the pages; returns the pairs for the page of all films."""
        if not (self._pairs.pairs or self._pairs.not_compared):
            return ()
        rows: list[dict[str, object]] = []
        listed = []
        for pair in self._pairs.pairs:
            change, verdicts = self._compare(pair)
            rows += _rows(pair, change, verdicts, self._coverage)
            listed.append(self._listed(pair, change, verdicts))
        rows += [{"first_film": film.film_id, "reason": film.reason} for film in self._pairs.not_compared]
        table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
        table.to_csv(self._root / "changes.csv", index=False)
        return tuple(listed)

    @property
    def _coverage(self) -> float | None:
        uncertainty = self._model.bundle.uncertainty
        return uncertainty.coverage if uncertainty else None

    def _compare(self, pair: FilmPair) -> tuple[FilmChange, Mapping[int, Instability] | None]:
        films = (pair.before, pair.after)
        missing = [film.film_id for film in films if film.film_id not in self._kept]
        if missing:
            return FilmChange(f"no result of {' and '.join(missing)}", ()), None
        if len({self._kept[film.film_id].result.film_key for film in films}) == 1:
            return FilmChange("both files hold the same film", ()), None
        change = film_change(*(self._kept[film.film_id].measured for film in films))
        if pair.kind is not PairKind.FLEXION_EXTENSION:
            return change, None
        rules = self._model.bundle.config.clinical
        return change, {level.upper_slot: instability(level, rules) for level in change.levels}

    def _listed(self, pair: FilmPair, change: FilmChange, verdicts: Mapping[int, Instability] | None) -> ComparedPair:
        title, verdict = _title(pair), pair_verdict(verdicts, change)
        films = (pair.before, pair.after)
        if not self._pages or any(film.film_id not in self._kept for film in films):
            return ComparedPair(title, verdict)
        name = f"{CHANGES}/{pair.before.film_id}_{pair.after.film_id}.html"
        (self._root / CHANGES).mkdir(exist_ok=True)
        page = ChangePage(
            title=title,
            model=self._model.name,
            films=(self._shown(pair.before), self._shown(pair.after)),
            change=change,
            rules=self._model.bundle.config.clinical,
            verdicts=verdicts,
            pictures=self._pictures(pair, change),
            coverage=self._coverage,
        )
        (self._root / name).write_text(change_page(page), encoding="utf-8")
        return ComparedPair(title, verdict, name)

    def _shown(self, film: FilmOfPatient) -> PairedFilm:
        warnings = self._kept[film.film_id].result.warnings
        return PairedFilm(film.film_id, str(film), f"../reports/{film.film_id}.html", warnings)

    def _pictures(self, pair: FilmPair, change: FilmChange) -> dict[int, AlignedPicture]:
        shown = [level for level in change.levels if not level.slip.value.reason]
        if not shown:
            return {}
        before, after = (_shown_film(self._kept[film.film_id]) for film in (pair.before, pair.after))
        return {level.upper_slot: aligned_picture(before, after, level.upper_slot, level.lower_slot) for level in shown}


def _title(pair: FilmPair) -> str:
    before, after = pair.before, pair.after
    if pair.kind is PairKind.FLEXION_EXTENSION:
        visit = "" if before.visit is None else f" at visit {before.visit}"
        return f"Patient {before.patient}: extension to flexion{visit}"
    position = f", {before.position}" if before.position else ""
    return f"Patient {before.patient}: visit {before.visit} to visit {after.visit}{position}"


def _shown_film(kept: _KeptFilm) -> ShownFilm:
    pixels, measurement = kept.read(), kept.measured.measurement
    if film_key(pixels) != kept.result.film_key:
        raise DataError(f"film {kept.result.film_id} has changed since it was measured: predict again")
    return ShownFilm(
        pixels,
        {v.slot: v.corners_xy for v in kept.measured.vertebrae},
        Facing(measurement.facing),
        measurement.pixel_aspect or float("nan"),
    )


def _rows(
    pair: FilmPair, change: FilmChange, verdicts: Mapping[int, Instability] | None, coverage: float | None
) -> list[dict[str, object]]:
    """The rows of a pair; a single one with the reason where the change is withheld."""
    before, after = pair.before, pair.after
    common: dict[str, object] = {
        "kind": pair.kind.value,
        "patient": before.patient,
        "first_film": before.film_id,
        "second_film": after.film_id,
        "first_visit": before.visit,
        "second_visit": after.visit,
        "first_position": before.position.value,
        "second_position": after.position.value,
    }
    if change.withheld:
        return [{**common, "reason": change.withheld}]
    return [
        {
            **common,
            "level": level.name,
            "upper_slot": level.upper_slot,
            "lower_slot": level.lower_slot,
            **_values(level),
            "coverage": coverage,
            "instability": verdicts[level.upper_slot].verdict.value if verdicts else "",
            "reason": "; ".join(change.warnings),
        }
        for level in change.levels
    ]


def _values(level: LevelChange) -> dict[str, object]:
    cells: list[object] = []
    for name in MEASURES:
        change: Change = getattr(level, name)
        numbers = [getattr(film, name).value if film else float("nan") for film in (level.before, level.after)]
        numbers += [change.value.value, change.low, change.high]
        cells += [*map(finite_or_none, numbers), change.value.reason]
    return dict(zip(VALUE_COLUMNS, cells, strict=True))
