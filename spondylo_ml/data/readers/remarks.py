"""What a reader remarks on a label: what it assumed, decided or saw to be wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spondylo_ml.data.films import FileFinding


@dataclass(frozen=True)
class Remark:
    """One remark, not yet on a file.

    Attributes:
        reason: names no film and quotes no label.
        doubt: what the reader decided may be wrong; the audit warns of it.
    """

    reason: str
    doubt: bool = False


def as_findings(file: str, remarks: Iterable[Remark]) -> tuple[FileFinding, ...]:
    """The remarks as findings on a file."""
    return tuple(FileFinding(file, remark.reason, doubt=remark.doubt) for remark in remarks)
