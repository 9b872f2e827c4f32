"""Measures the intervals of changes between two films of one patient, and how often names that disagree are found.

Each synthetic film is predicted twice with the simulated errors of `referral.py`, so that the true change is 0. One
film in 33 is predicted one level too high or too low.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.referral import LONG_SIDE_PX, predicted, simulate
from spondylo_ml.clinical.change import Change, FilmChange, MeasuredFilm, film_change
from spondylo_ml.clinical.meyerding import DEFAULT_RULES
from spondylo_ml.config import UncertaintyConfig
from spondylo_ml.data.synthetic import SLOTS, phantom_films
from spondylo_ml.evaluation.level_errors import level_errors
from spondylo_ml.evaluation.slips import measure_prediction, predicted_vertebrae
from spondylo_ml.evaluation.uncertainty import UncertaintyModel, calibrate
from spondylo_ml.landmarks import Film, FilmPrediction


def measured(film: Film, prediction: FilmPrediction, model: UncertaintyModel, seed_name: str) -> MeasuredFilm:
    """A predicted film with the errors of its levels."""
    measurement = measure_prediction(film, prediction, DEFAULT_RULES)
    errors = level_errors(film, prediction, model, DEFAULT_RULES, measurement=measurement, seed_name=seed_name)
    return MeasuredFilm(measurement, predicted_vertebrae(prediction), film.spacing, errors)


def shifted(film: Film, prediction: FilmPrediction) -> bool:
    """Whether the prediction is one level too high or too low, by the bodies' distance from their true places."""
    present = prediction.presence >= 0.5
    distance = np.linalg.norm(prediction.corners_xy - SLOTS.corners(film.vertebrae or ()), axis=-1).mean(axis=-1)
    depth = np.linalg.norm(prediction.corners_xy[:, 0] - prediction.corners_xy[:, 1], axis=-1)
    return bool(np.nanmedian(distance[present] / depth[present]) > 0.5)


def summary(pairs: Sequence[tuple[bool, FilmChange]]) -> str:
    """Coverage of the true change of 0, and shares withheld; each pair with whether its names disagree."""
    alike = [change for disagree, change in pairs if not disagree]
    others = [change for disagree, change in pairs if disagree]
    levels = [level for change in alike for level in change.levels]
    lines = [
        f"{name}: {share_held([getattr(level, name) for level in levels])}" for name in ("slip", "segmental_angle")
    ]
    doubted, found = (sum("disagree" in change.withheld for change in changes) for changes in (alike, others))
    lines += [f"names alike: {doubted} of {len(alike)} withheld", f"names one off: {found} of {len(others)} withheld"]
    return "\n".join(lines) + "\n"


def share_held(changes: Sequence[Change]) -> str:
    """Share of the intervals that hold 0, with their number and median half-width."""
    known = [change for change in changes if not np.isnan(change.half_width) and not change.value.reason]
    share = np.mean([change.low <= 0 <= change.high for change in known])
    return f"{share:.1%} of {len(known)}, median half-width {np.median([c.half_width for c in known]):.1f}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Calibrate on films of one seed, and print what changes between two readings of others look like."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=300, help="to calibrate on, and as many pairs to measure on")
    parser.add_argument("--corner_error", type=float, default=2.0, help="percent of an endplate")
    parser.add_argument("--samples", type=int, default=300, help="Monte Carlo samples")
    options = parser.parse_args(arguments)
    calibration = simulate(options.films, 1, "clinic", options.corner_error)
    model = calibrate(calibration, DEFAULT_RULES, UncertaintyConfig(samples=options.samples)).model
    rng = np.random.default_rng(2)
    pairs = []
    for film in phantom_films(options.films, 2, LONG_SIDE_PX).films:
        predictions = [predicted(film, rng, options.corner_error) for _ in range(2)]
        films = [measured(film, one, model, f"{film.film_id} {i}") for i, one in enumerate(predictions)]
        disagree = shifted(film, predictions[0]) != shifted(film, predictions[1])
        pairs.append((disagree, film_change(films[0], films[1])))
    sys.stdout.write(summary(pairs))


if __name__ == "__main__":
    main()
