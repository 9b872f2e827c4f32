"""Check the order of corners: outlines that cross themselves, exchanged left and right or top and bottom."""

from __future__ import annotations

from collections.abc import Sequence

from spondylo_ml.clinical.outlines import outline_faults
from spondylo_ml.data.audit.findings import AuditFinding, LeftOut, Severity
from spondylo_ml.landmarks import Film


def check_corner_order(films: Sequence[Film]) -> list[AuditFinding]:
    """One error for a film with all corners in another order; else one for each impossible body."""
    return [
        AuditFinding(
            Severity.ERROR,
            "corner_order",
            (film.film_id,),
            str(fault),
            fault.slots,
            LeftOut.NOTHING if fault.whole else LeftOut.CORNERS,
        )
        for film in films
        for fault in outline_faults(film.vertebrae or ())
    ]
