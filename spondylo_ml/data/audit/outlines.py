"""Corners in the wrong order: outlines that cross themselves, left and right or top and bottom exchanged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import permutations

import numpy as np

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.quadrilateral import fault, toward_head
from spondylo_ml.landmarks import CORNERS, Film, FloatArray, Vertebra, level_name

SYSTEMATIC_SHARE = 0.8
"""From this share of a film's bodies on, a fault is one of the whole label and not of single bodies."""

TURNED_COS = 0.5
"""Cosine between a body's own up and the spine's, below which the body may be labelled lying on its side."""


def check_corner_order(films: Sequence[Film]) -> list[AuditFinding]:
    """One finding a film whose corners are systematically in another order; else one a body that is impossible."""
    findings: list[AuditFinding] = []
    for film in films:
        bodies = [v for v in film.vertebrae or () if v.present.all()]
        findings += _check_film(film, bodies, spine_up(bodies)) if bodies else []
    return findings


def spine_up(bodies: Sequence[Vertebra]) -> FloatArray:
    """(V, 2) vectors toward the head at each body, whichever way the slots run: the head is up on the film."""
    up = toward_head(np.stack([v.corners_xy.mean(axis=0) for v in bodies]))
    return -up if up[:, 1].sum() > 0 else up


def _check_film(film: Film, bodies: Sequence[Vertebra], up: FloatArray) -> list[AuditFinding]:
    reasons = [fault(v.corners_xy, u) for v, u in zip(bodies, up, strict=True)]
    turned = [_own_up(v.corners_xy, u) < TURNED_COS for v, u in zip(bodies, up, strict=True)]
    wrong = np.array([reason is not None for reason in reasons])
    if len(bodies) > 1 and max(wrong.mean(), np.mean(turned)) >= SYSTEMATIC_SHARE:
        order = _order_that_fits([v.corners_xy for v in bodies], up)
        common = Counter(reason or "it lies on its side" for reason in reasons).most_common(1)[0][0]
        fits = f"; they fit when read as {', '.join(CORNERS[i] for i in order)}" if order else ""
        message = f"the whole label has its corners in another order (of most bodies, {common}){fits}"
        return [AuditFinding(Severity.ERROR, "corner_order", (film.film_id,), message, tuple(v.slot for v in bodies))]
    return [
        AuditFinding(Severity.ERROR, "corner_order", (film.film_id,), f"{level_name(v.slot)}: {reason}", (v.slot,))
        for v, reason in zip(bodies, reasons, strict=True)
        if reason is not None
    ]


def _own_up(corners_xy: FloatArray, up: FloatArray) -> float:
    """Cosine between the spine's direction and the line from the inferior to the superior edge."""
    own = corners_xy[:2].mean(axis=0) - corners_xy[2:].mean(axis=0)
    return float(own @ up / max(1e-9, np.linalg.norm(own) * np.linalg.norm(up)))


def _order_that_fits(quads: Sequence[FloatArray], up: FloatArray) -> tuple[int, ...] | None:
    """What the corners listed as `CORNERS` are in truth, or None where no single order makes sense of most bodies."""

    def score(order: tuple[int, ...]) -> float:
        sound = [
            (fault(q[list(order)], u) is None) * _own_up(q[list(order)], u) for q, u in zip(quads, up, strict=True)
        ]
        return float(np.mean(sound))

    best = max(permutations(range(4)), key=score)
    if score(best) < TURNED_COS:
        return None
    # best[c] is the place in the file where corner c lies; the message tells what lies in each place.
    return tuple(int(i) for i in np.argsort(best))
