"""Check for mirrored films: facing that differs from most films, or contradicts the film's corners."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from spondylo_ml.clinical.facing import CONTRADICTION, infer_facing
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.landmarks import Facing, Film

SIDES = (Facing.LEFT, Facing.RIGHT)


def known_facing(film: Film, least_confidence: float = ClinicalConfig().least_facing_confidence) -> Facing:
    """The labelled facing, else the one inferred from the corners, else unknown."""
    if film.facing is not Facing.UNKNOWN:
        return film.facing
    inferred = infer_facing(film.vertebrae or ())
    return inferred.facing if inferred.confidence >= least_confidence else Facing.UNKNOWN


def check_mirrored(films: Sequence[Film]) -> list[AuditFinding]:
    """A warning if label and corners disagree on the facing; a remark if the film faces the less common side."""
    sides = [known_facing(film) for film in films]
    counts = Counter(side for side in sides if side in SIDES)
    (most, most_count), *_ = counts.most_common() or [(Facing.UNKNOWN, 0)]
    findings = []
    for film, side in zip(films, sides, strict=True):
        inferred = infer_facing(film.vertebrae or ())
        if film.facing in SIDES and inferred.facing is not film.facing and inferred.confidence >= CONTRADICTION:
            message = (
                f"labelled as facing {film.facing}, but its corners are those of a film that faces {inferred.facing} "
                f"(confidence {inferred.confidence:.2f}): a slip would have the wrong sign"
            )
            findings.append(AuditFinding(Severity.WARNING, "mirrored_film", (film.film_id,), message))
        elif side in SIDES and side is not most and counts[side] < most_count:
            source = "labelled" if film.facing in SIDES else "inferred from its corners"
            message = f"faces {side} ({source}); {most_count} of {counts.total()} films face {most}"
            findings.append(AuditFinding(Severity.REMARK, "mirrored_film", (film.film_id,), message))
    return findings
