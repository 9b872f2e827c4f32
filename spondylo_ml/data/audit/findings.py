"""What an audit finds: how bad, by which check, on which films, in words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from spondylo_ml.errors import NamedFilmsError


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"  # a training on these films would be wrong, or its result dishonest
    WARNING = "warning"  # look at it: probably a wrong label or an unusual film
    REMARK = "remark"  # worth knowing


class LeftOut(StrEnum):
    """What a training leaves out for an error under `data.on_audit_error=set_aside`."""

    NOTHING = "nothing"  # the error stops it
    CORNERS = "corners"  # of the vertebrae concerned
    FILM = "film"  # the whole film: its levels are not known


SEVERITIES = tuple(Severity)
LISTED = 20


@dataclass(frozen=True)
class AuditFinding:
    """One thing found.

    Attributes:
        check: name of the check, such as `duplicate`.
        films: ids of the films, or the name of a file that is no film.
        message: what is wrong, what was expected.
        slots: the vertebrae concerned, on the first film.
        left_out: what a training can leave out for it.
    """

    severity: Severity
    check: str
    films: tuple[str, ...]
    message: str
    slots: tuple[int, ...] = ()
    left_out: LeftOut = LeftOut.NOTHING

    def __str__(self) -> str:
        return f"{self.check}: {', '.join(self.films)}: {self.message}"

    def to_json(self) -> dict[str, object]:
        """Plain values, as logged."""
        return {
            "severity": self.severity.value,
            "check": self.check,
            "films": list(self.films),
            "slots": list(self.slots),
            "message": self.message,
        }


@dataclass(frozen=True)
class Audit:
    """All findings on one dataset, worst first.

    Attributes:
        data_digest: of the films on which they were found.
        images_checked: whether pixels were looked at too, or labels alone.
        names: what the terminal calls a film, by its id, where it is a pseudonym; never part of a run.
    """

    findings: tuple[AuditFinding, ...]
    data_digest: str
    images_checked: bool
    names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the findings and the data, whatever the order in which they were found."""
        rows = [json.dumps(finding.to_json(), sort_keys=True) for finding in in_order(self.findings)]
        head = [self.data_digest, f"images_checked={self.images_checked}"]
        return hashlib.sha256("\n".join([*head, *rows]).encode()).hexdigest()

    def on_terminal(self, finding: AuditFinding) -> str:
        """A finding as the terminal says it: the films by file and pseudonym."""
        return str(replace(finding, films=tuple(self.names.get(film, film) for film in finding.films)))

    def of(self, severity: Severity) -> tuple[AuditFinding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def counts(self) -> dict[str, int]:
        """Number of findings by severity, and by check."""
        by_severity = {f"{severity.value}s": len(self.of(severity)) for severity in SEVERITIES}
        by_check = Counter(finding.check for finding in self.findings)
        return by_severity | {f"check/{check}": count for check, count in sorted(by_check.items())}


def in_order(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """Worst first, then by check, film and message."""
    rank = {severity: place for place, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda f: (rank[f.severity], f.check, f.films, f.slots, f.message)))


def require_no_errors(audit: Audit, on_audit_error: str, where: object) -> None:
    """Stop on errors of the audit unless training is to go on with them.

    Raises:
        DataError: errors under `error`, or under `set_aside` errors for which nothing can be left out; lists them and
            says what to do.
    """
    if on_audit_error == "continue":
        return
    errors = audit.of(Severity.ERROR)
    if on_audit_error == "set_aside":
        errors = tuple(finding for finding in errors if finding.left_out is LeftOut.NOTHING)
    if not errors:
        return
    on_terminal, in_run = (
        "\n".join(f"  {tell(finding)}" for finding in errors[:LISTED]) for tell in (audit.on_terminal, str)
    )
    more = f"\n  and {len(errors) - LISTED} more" if len(errors) > LISTED else ""
    raise NamedFilmsError(
        *(
            f"the audit of {where} found {len(errors)} error(s), with which a training would be wrong or its result "
            f"dishonest:\n{listed}{more}\n"
            f"Correct the films or labels (the command audit shows a picture of each){_or_else(errors)}"
            for listed in (on_terminal, in_run)
        )
    )


def _or_else(errors: Sequence[AuditFinding]) -> str:
    """What else can be done about errors."""
    ways = ["train on the films as they are: --data.on_audit_error continue"]
    if any(finding.left_out is not LeftOut.NOTHING for finding in errors):
        ways.insert(0, "leave out single vertebrae and films with such labels: --data.on_audit_error set_aside")
    return ", or " + ", or ".join(ways)
