"""Measures coverage and referral on synthetic films whose corners are predicted with simulated errors.

Errors differ between films, vertebrae and corners; the stated covariances are too small and uncertain themselves. One
film in 33 is predicted one level too high or too low, one vertebra in 50 has errors five times as large, and one in 50
is not found.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import pandas as pd

from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.prediction_set import PredictionSet
from spondylo_ml.evaluation.uncertainty import calibrate, level_table
from spondylo_ml.landmarks import Film, FilmPrediction

SHIFTED, GROSS, NOT_FOUND = 0.03, 0.02, 0.02
GROSS_FACTOR = 5.0
STATED = 0.6
"""Median of the stated standard deviation of a corner over the true one."""

LONG_SIDE_PX = 256


def simulate(count: int, seed: int, slips: str, corner_error_percent: float) -> PredictionSet:
    """Films with predictions; the error is the median standard deviation in x and y, in percent of the endplate."""
    rng = np.random.default_rng([seed, round(100 * corner_error_percent)])
    films = phantom_films(count, seed, LONG_SIDE_PX, slips=slips).films
    return PredictionSet(films, [predicted(film, rng, corner_error_percent) for film in films])


def predicted(film: Film, rng: np.random.Generator, corner_error_percent: float) -> FilmPrediction:
    """A prediction of a labelled film with simulated errors."""
    corners = SLOTS.corners(film.vertebrae or ())
    if rng.random() < SHIFTED:
        up = rng.random() < 0.5
        corners = np.roll(corners, 1 if up else -1, axis=0)
        corners[0 if up else -1] = np.nan
    present = ~np.isnan(corners[:, 0, 0])
    endplate_px = np.linalg.norm(corners[:, 0] - corners[:, 1], axis=-1)
    gross = rng.random(SLOTS.count) < GROSS
    factor = np.exp(rng.normal(0, 0.35) + rng.normal(0, 0.3, (SLOTS.count, 1)) + rng.normal(0, 0.3, (SLOTS.count, 4)))
    factor = np.where(gross[:, None], GROSS_FACTOR * factor, factor)
    sigma_px = np.nan_to_num(corner_error_percent / 100 * endplate_px[:, None] * factor, nan=1.0)
    stated_px = np.maximum(STATED * sigma_px * np.exp(rng.normal(0, 0.3, sigma_px.shape)), 0.05)
    heat_share = np.clip(0.95 * np.exp(-0.12 * factor * np.exp(rng.normal(0, 0.3, factor.shape))), 0.02, 1)
    found = rng.random(SLOTS.count) >= NOT_FOUND
    presence = np.where(gross, rng.uniform(0.5, 1, SLOTS.count), rng.uniform(0.9, 1, SLOTS.count))
    return FilmPrediction(
        film_id=film.film_id,
        slots=SLOTS,
        corners_xy=np.nan_to_num(corners + sigma_px[..., None] * rng.normal(size=corners.shape)),
        corner_score=heat_share,
        presence=np.where(present, np.where(found, presence, 0.3 * presence), 0.0),
        covariance_px2=stated_px[..., None, None] ** 2 * np.eye(2),
        heat_share=heat_share,
    )


def summary(levels: pd.DataFrame) -> str:
    """A table of all levels with a true slip, and of each true grade."""
    levels = levels[levels["true_slip_percent"].notna()]
    groups = [("all", levels), *((f"grade {grade:.0f}", rows) for grade, rows in levels.groupby("true_grade"))]
    lines = ["| levels | n | slip in its set | grade in its set | referred | grade right if not referred |"]
    lines += ["| --- " * 6 + "|", *(_row(name, rows) for name, rows in groups)]
    graded = levels[levels["pred_grade"].notna()]
    right = (graded["pred_grade"] == graded["true_grade"]).mean()
    lines.append(f"\nNot measured: {1 - len(graded) / len(levels):.1%}; grade right of all others: {right:.1%}.\n")
    return "\n".join(lines)


def _row(name: str, rows: pd.DataFrame) -> str:
    referred = rows["refer"].astype(bool)
    kept = rows[~referred]
    shares = (
        rows["in_set"].mean(),
        rows["in_grade_set"].mean(),
        referred.mean(),
        (kept["pred_grade"] == kept["true_grade"]).mean(),
    )
    return f"| {name} | {len(rows)} | " + " | ".join(f"{share:.1%}" for share in shares) + " |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate on films of one seed, and print what the calibration gives on films of another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=700, help="to calibrate on, and as many to measure on")
    parser.add_argument("--slips", choices=["clinic", "even"], default="even", help="distribution of the slips")
    parser.add_argument("--corner_error", type=float, default=2.0, help="percent of an endplate")
    parser.add_argument("--samples", type=int, default=300, help="Monte Carlo samples")
    options = parser.parse_args(arguments)
    calibration, others = (simulate(options.films, seed, options.slips, options.corner_error) for seed in (1, 2))
    fitted = calibrate(calibration, DEFAULT_RULES, UncertaintyConfig(samples=options.samples))
    sys.stdout.write(summary(level_table(others, fitted.model, DEFAULT_RULES)))


if __name__ == "__main__":
    main()
