"""Whether two films of one patient name the same bodies alike: a body keeps its shape in any posture.

A film whose levels are named one too high or too low shows, under each name, the body next to it. The shapes then fit
better if its levels are counted one differently.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from spondylo_ml.clinical.alignment import similarity_between
from spondylo_ml.clinical.patient_frame import superior_endplate
from spondylo_ml.landmarks import FloatArray

FEWEST_BODIES = 3
"""Bodies with all corners on both films, in either reading, that a comparison of shapes needs."""

CLEARLY_BETTER = 0.8
"""A reading one level higher or lower is preferred if its misfit is below this share of that of the names. Of 300
synthetic pairs with names one level off, 93 % are found with corner errors of 1 % of a body's depth, 77 % with 2 %,
60 % with 3 %; of the same pairs with the right names, 0.3 %, 0.7 % and 2.3 % are doubted."""


def better_shift(before: Mapping[int, FloatArray], after: Mapping[int, FloatArray]) -> int:
    """How many levels higher the second film's bodies would have to be named to fit the first's; 0 if the names fit.

    Args:
        before: (4, 2) bodies in the patient's frame, with square pixels, by slot.
        after: the same of the second film.
    """
    misfits = {shift: shape_misfit(before, after, shift) for shift in (0, -1, 1)}
    other = min((-1, 1), key=lambda shift: np.inf if np.isnan(misfits[shift]) else misfits[shift])
    return other if misfits[other] < CLEARLY_BETTER * misfits[0] else 0


def too_few_to_compare(before: Mapping[int, FloatArray], after: Mapping[int, FloatArray]) -> bool:
    """Whether `better_shift` has too few bodies to compare."""
    return bool(np.isnan([shape_misfit(before, after, shift) for shift in (0, -1, 1)]).any())


def shape_misfit(before: Mapping[int, FloatArray], after: Mapping[int, FloatArray], shift: int) -> float:
    """Misfit of the shapes with the second film's names raised by `shift`; NaN with fewer than `FEWEST_BODIES`.

    Root mean square distance of the corners after the best alignment of each body, in its depths; the median over the
    bodies, so that a fracture or a misplaced corner does not decide.
    """
    pairs = [(before[slot + shift], body) for slot, body in after.items() if slot + shift in before]
    complete = [pair for pair in pairs if np.isfinite(pair).all()]
    if len(complete) < FEWEST_BODIES:
        return float("nan")
    return float(np.median([_body_misfit(*pair) for pair in complete]))


def _body_misfit(before: FloatArray, after: FloatArray) -> float:
    distance = np.linalg.norm(similarity_between(after, before)(after) - before, axis=-1)
    return float(np.sqrt((distance**2).mean()) / np.linalg.norm(superior_endplate(before)))
