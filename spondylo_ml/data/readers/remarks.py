"""Remarks of a reader on a label: assumptions, decisions and faults."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spondylo_ml.data.films import FileFinding

DRAFT_OF = "draft of "
"""Beginning of the reader's name of a draft; the model's name follows."""

MISNAMED = "a field with a name like '{0}' is not read: call it {0}"
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


def misnamed_remarks(given: Iterable[str], known: Sequence[str]) -> list[Remark]:
    """A doubt for each known field that is not given, but one whose name begins alike: `patient_id`, `Level`."""
    names = {_letters(name): name for name in known}
    unread = [_letters(name) for name in given if name not in known]
    missing = [letters for letters, name in names.items() if name not in set(given)]
    alike = [at for at in missing if any(other.startswith(at) or at.startswith(other) for other in unread if other)]
    return [Remark(MISNAMED.format(names[at]), doubt=True) for at in alike]


def _letters(name: str) -> str:
    return re.sub(r"[^a-z]", "", name.casefold())


def draft_remarks(reader: str) -> list[Remark]:
    """A doubt if the corners were placed by a model, as their reader's name says."""
    return [Remark(UNCORRECTED, doubt=True)] if reader.startswith(DRAFT_OF) else []
