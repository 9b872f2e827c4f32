"""Check the chain of vertebrae: its direction, overlapping bodies, and gaps between adjacent bodies."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from spondylo_ml.clinical.outlines import impossible_slots, runs_down
from spondylo_ml.clinical.plausibility import shared_of_smaller
from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.findings import AuditFinding, LeftOut, Severity
from spondylo_ml.data.audit.robust import FEWEST_FILMS, group_medians
from spondylo_ml.data.overlaps import IMPOSSIBLE, overlaps
from spondylo_ml.landmarks import Film, FloatArray, Vertebra, level_name

NOTABLE_OVERLAP = 0.10
"""Adjacent bodies that share more than this part of the smaller one get a warning."""

BACKWARD = 0.25
"""A vertebra is in the wrong order if it lies below the previous one by more than this share of the usual step."""

BESIDE = 0.6
"""Smallest sideways offset, as a share of the usual step, of a vertebra that slipped off the one below."""

WIDE_STEP, NARROW_STEP = 1.6, 0.5
"""Limits of the step between centres relative to the expected one; beyond, a vertebra is missing or labelled twice."""


def check_vertebra_order(films: Sequence[Film]) -> list[AuditFinding]:
    """Findings on slots that do not run from the sacrum up, and on levels missing between two labelled ones."""
    findings = []
    for film in films:
        labelled = [v for v in film.vertebrae or () if v.present.any()]
        if len(labelled) < 2:
            continue
        centres = np.array([np.nanmean(v.corners_xy, axis=0) for v in labelled])
        steps = np.diff(centres, axis=0)
        if runs_down(centres):
            message = f"the slots run from the head down: {labelled[0].level} lies above {labelled[-1].level}"
            findings.append(_finding(Severity.ERROR, "vertebra_order", film, message, labelled))
        else:
            along = np.median(steps, axis=0)
            findings += [
                _below(film, lower, upper, beside=_beside(step, along))
                for (lower, upper), step in zip(pairwise(labelled), steps, strict=True)
                if step @ along < -BACKWARD * (along @ along)
            ]
        findings += _levels_left_out(film)
    return findings


def _below(film: Film, lower: Vertebra, upper: Vertebra, beside: bool) -> AuditFinding:
    """Finding on a vertebra below the one it should be above; if it is also beside it, it may have slipped off."""
    message = f"{upper.level} lies below {lower.level}"
    if beside:
        message = f"{message} and beside it: spondyloptosis, or a wrong order"
        return _finding(Severity.WARNING, "vertebra_order", film, message, (lower, upper))
    return _finding(Severity.ERROR, "vertebra_order", film, message, (lower, upper), LeftOut.FILM)


def _beside(step: FloatArray, along: FloatArray) -> bool:
    """Whether a step leads sideways, away from the direction of the spine."""
    across = abs(step[0] * along[1] - step[1] * along[0])
    return bool(across > BESIDE * (along @ along))


def check_overlaps(films: Sequence[Film]) -> list[AuditFinding]:
    """Errors for bodies of a film, adjacent or not, that overlap more than bones can."""
    return [
        AuditFinding(
            Severity.ERROR,
            "overlap",
            (film.film_id,),
            str(overlap),
            (overlap.lower, overlap.upper),
            LeftOut.FILM,
            excess=overlap.share,
        )
        for film in films
        for overlap in overlaps(film.vertebrae or (), impossible_slots(film.vertebrae or ()))
    ]


def check_neighbours(bodies: Bodies) -> list[AuditFinding]:
    """Warnings for adjacent bodies that overlap slightly, and for unusually long or short steps between them."""
    low = bodies.lower_of_pairs
    ratios = _step_ratios(bodies)
    findings = []
    for index, ratio in zip(low, ratios, strict=True):
        share = shared_of_smaller(bodies.corners_xy[index], bodies.corners_xy[index + 1])
        slots = (int(bodies.slot[index]), int(bodies.slot[index + 1]))
        lower, upper = map(level_name, slots)
        if share > IMPOSSIBLE:
            continue  # reported by check_overlaps or check_corner_order
        if share > NOTABLE_OVERLAP:
            check, message = "overlap", f"{upper} and {lower} share {share:.0%} of the smaller one"
        elif ratio > WIDE_STEP:
            check, message = "gap", f"{upper} lies {ratio:.2f} of the usual step above {lower}: a vertebra missed?"
        elif ratio < NARROW_STEP:
            check, message = (
                "gap",
                f"{upper} lies {ratio:.2f} of the usual step above {lower}: one body labelled twice?",
            )
        else:
            continue
        excess = share if check == "overlap" else abs(float(np.log(ratio)))
        findings.append(
            AuditFinding(Severity.WARNING, check, (bodies.film_id(int(index)),), message, slots, excess=excess)
        )
    return findings


def _step_ratios(bodies: Bodies) -> FloatArray:
    """(P,) length of each step relative to that expected from its level and the film's other steps."""
    low = bodies.lower_of_pairs
    length = np.log(np.maximum(np.linalg.norm(bodies.step_px, axis=1), 1e-6))
    usual = group_medians(length - _film_median(bodies, length), bodies.slot[low], FEWEST_FILMS)
    relative = length - np.nan_to_num(usual)
    return np.asarray(np.exp(relative - _film_median(bodies, relative)))


def _film_median(bodies: Bodies, values: FloatArray) -> FloatArray:
    return group_medians(values, bodies.film[bodies.lower_of_pairs])


def _levels_left_out(film: Film) -> list[AuditFinding]:
    return [
        _finding(
            Severity.WARNING,
            "vertebra_order",
            film,
            f"no level between {lower.level} and {upper.level}",
            (lower, upper),
        )
        for lower, upper in pairwise(film.vertebrae or ())
        if upper.slot - lower.slot > 1
    ]


def _finding(
    severity: Severity,
    check: str,
    film: Film,
    message: str,
    vertebrae: Sequence[Vertebra],
    left_out: LeftOut = LeftOut.NOTHING,
) -> AuditFinding:
    return AuditFinding(severity, check, (film.film_id,), message, tuple(v.slot for v in vertebrae), left_out)
