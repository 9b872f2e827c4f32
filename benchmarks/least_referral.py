"""Computes the least share of levels that must be referred if corners have independent normal errors of a known size.

No other rule on the measured slip and endplate refers fewer: a linear program decides for each of their bins which
share is referred and which grade the rest is given, so that 90 % of the levels of each true grade are referred or
graded correctly, and 95 % of those not referred are graded correctly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from spondylo_ml.clinical.meyerding import grades
from spondylo_ml.clinical.patient_frame import patient_frame
from spondylo_ml.clinical.slip import endplate_length, slip_percent
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.evaluation.slip_set import GRADE_OF_SIGNED, HIGHEST
from spondylo_ml.landmarks import FloatArray

COVERAGE, KEPT_ACCURACY = 0.9, 0.95
SLIP_BIN_PERCENT, ENDPLATE_BINS = 0.5, 5
CHOICES = 3
"""Number of most frequent grades of a bin that its levels may be given."""

REPEATS = 12


def true_levels(count: int, slips: str) -> tuple[FloatArray, FloatArray]:
    """(N, 4, 2) upper and lower bodies in mm of all levels of the films."""
    pairs = []
    for film in phantom_films(count, 7, 256, slips=slips).films:
        if film.spacing is None:
            continue
        size_mm = (film.spacing.x_mm, film.spacing.y_mm)
        body = {v.slot: patient_frame(v.corners_xy, film.facing, size_mm) for v in film.vertebrae or ()}
        pairs += [(body[slot + 1], body[slot]) for slot in body if slot + 1 in body]
    upper, lower = zip(*pairs, strict=True)
    return np.array(upper), np.array(lower)


def measured(
    upper: FloatArray, lower: FloatArray, error_percent: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """(N,) slips and endplates in mm, measured at corners with errors."""
    sigma = error_percent / 100 * endplate_length(lower)[:, None, None]
    noisy_upper, noisy_lower = (body + sigma * rng.normal(size=body.shape) for body in (upper, lower))
    return slip_percent(noisy_upper, noisy_lower), endplate_length(noisy_lower)


def signed_grade_index(slip: FloatArray, endplate_mm: FloatArray) -> NDArray[np.int64]:
    """(N,) index into `SIGNED_GRADES`."""
    grade = grades(slip, slip_mm=slip / 100 * endplate_mm)
    return np.asarray(HIGHEST + np.sign(slip) * grade, dtype=np.int64)


def least_referral(bins: NDArray[np.int64], true: NDArray[np.int64]) -> tuple[float, float]:
    """Share of the levels referred, and share of the others graded correctly."""
    _, row = np.unique(bins, return_inverse=True)
    share = np.zeros((row.max() + 1, len(GRADE_OF_SIGNED)))
    np.add.at(share, (row, true), 1 / len(row))
    mass = share.sum(axis=1)
    choices = np.argsort(-share, axis=1)[:, :CHOICES]
    # wrong[b, k, g]: share of bin b that has the signed grade g but is given its k-th choice
    wrong = np.repeat((share / mass[:, None])[:, None], CHOICES, axis=1)
    np.put_along_axis(wrong, choices[..., None], 0, axis=2)
    of_grade = [wrong[..., GRADE_OF_SIGNED == grade].sum(axis=-1).ravel() for grade in range(HIGHEST + 1)]
    limits = [(1 - COVERAGE) * share[:, GRADE_OF_SIGNED == grade].sum() for grade in range(HIGHEST + 1)]
    inaccurate = wrong.sum(axis=-1).ravel() - (1 - KEPT_ACCURACY)
    of_bin = sparse.kron(sparse.eye(len(mass)), np.ones((1, CHOICES)))
    constraints = sparse.vstack([sparse.csr_matrix(np.array([*of_grade, inaccurate])), of_bin])
    kept = linprog(-np.ones(mass.size * CHOICES), constraints, np.concatenate([limits, [0.0], mass])).x
    return max(0.0, 1 - kept.sum()), 1 - wrong.sum(axis=-1).ravel() @ kept / kept.sum()


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the least referral for each distribution of slips and each size of the errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--films", type=int, default=3000, help="number of synthetic films")
    parser.add_argument("--corner_errors", type=float, nargs="+", default=[1, 1.5, 2, 3, 4], help="percent of endplate")
    options = parser.parse_args(arguments)
    sys.stdout.write("| slips | corner error | grade right | referred at least | grade right if not referred |\n")
    sys.stdout.write("| --- " * 5 + "|\n")
    for slips in ("clinic", "even"):
        upper, lower = true_levels(options.films, slips)
        true = signed_grade_index(slip_percent(upper, lower), endplate_length(lower))
        for error in options.corner_errors:
            rng = np.random.default_rng(0)
            draws = [measured(upper, lower, error, rng) for _ in range(REPEATS)]
            slip, endplate = (np.concatenate(values) for values in zip(*draws, strict=True))
            repeated, known = np.tile(true, REPEATS), ~np.isnan(slip)
            slip, endplate, repeated = slip[known], endplate[known], repeated[known]
            edges = np.quantile(endplate, np.arange(1, ENDPLATE_BINS) / ENDPLATE_BINS)
            bins = np.rint(slip / SLIP_BIN_PERCENT).astype(int) * ENDPLATE_BINS + np.digitize(endplate, edges)
            right = (signed_grade_index(slip, endplate) == repeated).mean()
            referred, kept_right = least_referral(bins, repeated)
            sys.stdout.write(f"| {slips} | {error:g} % | {right:.1%} | {referred:.1%} | {kept_right:.1%} |\n")


if __name__ == "__main__":
    main()
