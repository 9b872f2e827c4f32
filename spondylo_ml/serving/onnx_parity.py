"""Result of comparing a network in ONNX with the original on films, and the limits it must meet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from spondylo_ml.nan import finite_or_none

TENSOR_LIMIT = 1e-3
"""Largest difference of a tensor, as a share of its largest value: a hundred times that of rounding."""

CORNER_LIMIT_PX = 0.05
NEAR_A_LIMIT_POINTS = 0.2
"""A slip this close to a limit between grades may fall on either side of it."""


@dataclass(frozen=True)
class TensorDifference:
    """One output of the network, over all films."""

    largest_difference: float
    largest_value: float

    @property
    def relative(self) -> float:
        """The difference as a share of the largest value."""
        return self.largest_difference / self.largest_value if self.largest_value else self.largest_difference


@dataclass(frozen=True)
class LevelPair:
    """One level of a film as both backends measure it; None if a backend has no grade or slip there.

    Attributes:
        points_to_limit: distance from the slip by torch to the nearest limit between grades, percentage points.
    """

    film_id: str
    level: str
    torch_grade: int | None
    onnx_grade: int | None
    torch_slip_percent: float | None
    onnx_slip_percent: float | None
    points_to_limit: float | None

    @property
    def differs(self) -> bool:
        """Whether the grades differ."""
        return self.torch_grade != self.onnx_grade

    @property
    def near_a_limit(self) -> bool:
        """Whether the slip is so close to a limit that another grade, though not a missing one, is accepted."""
        if self.torch_grade is None or self.onnx_grade is None:
            return False
        return self.points_to_limit is not None and self.points_to_limit <= NEAR_A_LIMIT_POINTS

    @property
    def difference_points(self) -> float:
        """Difference of the slips, percentage points; 0 if one is missing."""
        if self.torch_slip_percent is None or self.onnx_slip_percent is None:
            return 0.0
        return abs(self.torch_slip_percent - self.onnx_slip_percent)


@dataclass(frozen=True)
class FilmPair:
    """One film as both backends predict it.

    Attributes:
        corners: number of corners compared: four of each vertebra that torch predicts present.
        largest_px: largest distance between the two predictions of a corner, px of the film; NaN counts as infinite.
        where: the corner with that distance.
        absent_px: largest distance over the slots predicted absent, whose maps have no definite peak.
        seen_by_one: levels that only one backend predicts present.
    """

    film_id: str
    corners: int
    largest_px: float
    where: str
    absent_px: float
    seen_by_one: tuple[str, ...]
    levels: tuple[LevelPair, ...]


@dataclass(frozen=True)
class Parity:
    """Result of the comparison."""

    tensors: Mapping[str, TensorDifference]
    films: tuple[FilmPair, ...]

    @property
    def levels(self) -> tuple[LevelPair, ...]:
        """The levels of all films."""
        return tuple(level for film in self.films for level in film.levels)

    @property
    def graded(self) -> tuple[LevelPair, ...]:
        """Levels that at least one backend grades."""
        return tuple(one for one in self.levels if one.torch_grade is not None or one.onnx_grade is not None)

    @property
    def other_grades(self) -> tuple[LevelPair, ...]:
        """Levels with different grades that are not close to a limit."""
        return tuple(level for level in self.levels if level.differs and not level.near_a_limit)

    def problems(self) -> tuple[str, ...]:
        """Reasons why the network must not be used; empty if it may be."""
        problems = [
            f"{name} differ by {one.relative:.2g} of their largest value (limit {TENSOR_LIMIT:g})"
            for name, one in self.tensors.items()
            if not one.relative <= TENSOR_LIMIT
        ]
        worst = max(self.films, key=lambda film: film.largest_px)
        if not worst.largest_px <= CORNER_LIMIT_PX:
            problems.append(
                f"corners differ by up to {worst.largest_px:.3g} px (limit {CORNER_LIMIT_PX} px): "
                f"{worst.where} of film {worst.film_id}"
            )
        if alone := [(film, film.seen_by_one[0]) for film in self.films if film.seen_by_one]:
            problems.append(
                f"on {len(alone)} film(s) one of them sees a vertebra that the other does not: "
                f"{alone[0][1]} of film {alone[0][0].film_id}"
            )
        if other := self.other_grades:
            problems.append(f"{len(other)} of {len(self.graded)} levels have another grade: {_in_words(other[0])}")
        if not self.graded:
            problems.append(
                f"nothing to compare: this model finds no level to grade on {len(self.films)} synthetic film(s), so "
                "that they cannot show whether the network is right"
            )
        return tuple(problems)

    def to_json(self) -> dict[str, Any]:
        """All numbers, with their limits."""
        worst = max(self.films, key=lambda film: film.largest_px)
        graded = self.graded
        return {
            "passed": not self.problems(),
            "limits": {
                "tensor_share": TENSOR_LIMIT,
                "corner_px": CORNER_LIMIT_PX,
                "near_a_limit_points": NEAR_A_LIMIT_POINTS,
            },
            "tensors": {
                name: {
                    "largest_difference": finite_or_none(one.largest_difference),
                    "largest_value": finite_or_none(one.largest_value),
                    "relative": finite_or_none(one.relative),
                }
                for name, one in self.tensors.items()
            },
            "corners": {
                "compared": sum(film.corners for film in self.films),
                "largest_difference_px": finite_or_none(worst.largest_px),
                "film": worst.film_id,
                "corner": worst.where,
                "largest_difference_of_absent_px": finite_or_none(max(film.absent_px for film in self.films)),
                "vertebrae_said_by_one": sum(len(film.seen_by_one) for film in self.films),
            },
            "grades": {
                "compared": len(graded),
                "by_grade": dict(sorted(Counter(str(level.torch_grade) for level in graded).items())),
                "without_a_grade_in_both": len(self.levels) - len(graded),
                "near_a_limit": sum(level.near_a_limit for level in graded),
                "different_near_a_limit": [asdict(one) for one in graded if one.differs and one.near_a_limit],
                "different": [asdict(one) for one in self.other_grades],
                "largest_slip_difference_points": max((level.difference_points for level in graded), default=0.0),
            },
        }


def _in_words(one: LevelPair) -> str:
    slips = " and ".join(
        "no slip" if s is None else f"{s:.2f} %" for s in (one.torch_slip_percent, one.onnx_slip_percent)
    )
    grades = " and ".join("none" if g is None else str(g) for g in (one.torch_grade, one.onnx_grade))
    return f"{one.level} of film {one.film_id} has {grades} (slips of {slips})"
