"""Remarks of a reader on a label: assumptions, decisions and faults."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spondylo_ml.data.films import FileFinding

DRAFT_OF = "draft of "
"""Beginning of the reader's name of a draft; the model's name follows."""

UNCORRECTED = "its corners are a model's draft: correct them, and name yourself as the film's reader"


@dataclass(frozen=True)
class Remark:
    """A remark that is not yet attached to a file.

    Attributes:
        reason: names no film and quotes no label.
        doubt: whether the reader's decision may be wrong; the audit then warns.
    """

    reason: str
    doubt: bool = False


def as_findings(file: str, remarks: Iterable[Remark]) -> tuple[FileFinding, ...]:
    """The remarks as findings on a file."""
    return tuple(FileFinding(file, remark.reason, doubt=remark.doubt) for remark in remarks)


def draft_remarks(reader: str) -> list[Remark]:
    """A doubt if the corners were placed by a model, as their reader's name says."""
    return [Remark(UNCORRECTED, doubt=True)] if reader.startswith(DRAFT_OF) else []
