"""Films that show nothing, too little, or the negative of the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.audit.image_facts import ImageFacts
from spondylo_ml.data.audit.robust import robust_z
from spondylo_ml.landmarks import Film

BLANK_RANGE, FLAT_RANGE = 10, 40
"""Grey levels between the 1st and 99th percentile: a film with less is blank, or has hardly any contrast."""

ALMOST_ALL = 0.85
"""Share of pixels from which on a film is almost all black, or white."""

INVERTED_Z = -4.0
LEAST_CONTRAST_SD = 0.05


def check_exposure(films: Sequence[Film], facts: Sequence[ImageFacts | None]) -> list[AuditFinding]:
    """Blank films, films with hardly any contrast, almost all black or white, and negatives."""
    contrast = np.array([fact.bone_contrast if fact else np.nan for fact in facts])
    usual = float(np.nanmedian(contrast)) if np.isfinite(contrast).any() else np.nan
    inverted = (contrast * np.sign(usual) < 0) & (robust_z(contrast, LEAST_CONTRAST_SD) * np.sign(usual) < INVERTED_Z)
    findings = []
    for film, fact, negative in zip(films, facts, inverted, strict=True):
        told = _tell(fact)
        if told is None and fact is not None and negative:
            message = (
                f"bodies are {-fact.bone_contrast:.0%} of the grey range darker than what lies beside them, "
                f"{usual:.0%} brighter is usual: a negative?"
            )
            told = Severity.WARNING, "inverted_film", message
        if told is not None:
            severity, check, message = told
            findings.append(AuditFinding(severity, check, (film.film_id,), message))
    return findings


def _tell(fact: ImageFacts | None) -> tuple[Severity, str, str] | None:
    if fact is None:
        return Severity.ERROR, "bad_file", "its pixels cannot be read"
    if fact.range_grey < BLANK_RANGE:
        return Severity.ERROR, "blank_film", f"only {fact.range_grey:.0f} grey levels are used: nothing can be seen"
    if fact.dark_share > ALMOST_ALL:
        return Severity.WARNING, "exposure", f"{fact.dark_share:.0%} of the film is black"
    if fact.bright_share > ALMOST_ALL:
        return Severity.WARNING, "exposure", f"{fact.bright_share:.0%} of the film is white"
    if fact.range_grey < FLAT_RANGE:
        return Severity.WARNING, "exposure", f"only {fact.range_grey:.0f} of 256 grey levels are used"
    return None
