"""Check for blank films, poor contrast, and films that are negatives of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.image_facts import ImageFacts
from spondylo_ml.data.audit.robust import robust_z
from spondylo_ml.landmarks import Film

INVERTED_Z = -4.0
LEAST_CONTRAST_SD = 0.05


def check_exposure(films: Sequence[Film], facts: Sequence[ImageFacts | None]) -> list[AuditFinding]:
    """Findings on blank films, films with little contrast or almost all black or white, and negatives."""
    contrast = np.array([fact.bone_contrast if fact else np.nan for fact in facts])
    usual = float(np.nanmedian(contrast)) if np.isfinite(contrast).any() else np.nan
    inverted = (contrast * np.sign(usual) < 0) & (robust_z(contrast, LEAST_CONTRAST_SD) * np.sign(usual) < INVERTED_Z)
    findings = []
    for film, fact, negative in zip(films, facts, inverted, strict=True):
        problem = _problem(fact)
        if problem is None and fact is not None and negative:
            message = (
                f"bodies are {-fact.bone_contrast:.0%} of the grey range darker than their surroundings, "
                f"{usual:.0%} brighter is usual: a negative?"
            )
            problem = Severity.WARNING, "inverted_film", message
        if problem is not None:
            severity, check, message = problem
            findings.append(AuditFinding(severity, check, (film.film_id,), message))
    return findings


def _problem(fact: ImageFacts | None) -> tuple[Severity, str, str] | None:
    """Severity, check and message; None for a well exposed film."""
    if fact is None:
        return Severity.ERROR, "bad_file", "its pixels cannot be read"
    if fact.exposure.blank:
        return Severity.ERROR, "blank_film", fact.exposure.blank
    return (Severity.WARNING, "exposure", fact.exposure.poor) if fact.exposure.poor else None
