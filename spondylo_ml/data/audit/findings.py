"""Findings of an audit: severity, check, films and message."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from spondylo_ml.errors import NamedFilmsError


class Severity(StrEnum):
    """Severity of a finding."""

    ERROR = "error"  # training on these films would be wrong, or its evaluation biased
    WARNING = "warning"  # probably a wrong label or an unusual film: look at it
    REMARK = "remark"  # worth knowing


class LeftOut(StrEnum):
    """What training leaves out because of an error, with `data.on_audit_error=set_aside`."""

    NOTHING = "nothing"  # the error stops training
    CORNERS = "corners"  # the corners of the vertebrae concerned
    FILM = "film"  # the whole film, since its levels are unknown


SEVERITIES = tuple(Severity)
LISTED = 20


@dataclass(frozen=True)
class AuditFinding:
    """One finding.

    Attributes:
        severity: how serious it is.
        check: name of the check, such as `duplicate`.
        films: ids of the films, or the name of a file that is not a film.
        message: what is wrong and what was expected.
        slots: the vertebrae concerned, on the first film.
        left_out: what training can leave out because of it.
        excess: how far the film is off, comparable within one check only; 0 where that is not measured.
    """

    severity: Severity
    check: str
    films: tuple[str, ...]
    message: str
    slots: tuple[int, ...] = ()
    left_out: LeftOut = LeftOut.NOTHING
    excess: float = field(default=0.0, compare=False)

    def __str__(self) -> str:
        return f"{self.check}: {', '.join(self.films)}: {self.message}"

    def to_json(self) -> dict[str, object]:
        """The finding as logged to a run."""
        return {
            "severity": self.severity.value,
            "check": self.check,
            "films": list(self.films),
            "slots": list(self.slots),
            "message": self.message,
        }


@dataclass(frozen=True)
class Audit:
    """All findings on one dataset.

    Attributes:
        findings: most severe first.
        data_digest: digest of the films.
        images_checked: whether pixels were checked, or labels only.
        names: for films under a pseudonym, the name shown on the terminal by film id; never part of a run.
    """

    findings: tuple[AuditFinding, ...]
    data_digest: str
    images_checked: bool
    names: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)

    @property
    def digest(self) -> str:
        """SHA-256 over the findings and the data; does not depend on the order of the findings."""
        rows = [json.dumps(finding.to_json(), sort_keys=True) for finding in in_order(self.findings)]
        head = [self.data_digest, f"images_checked={self.images_checked}"]
        return hashlib.sha256("\n".join([*head, *rows]).encode()).hexdigest()

    def on_terminal(self, finding: AuditFinding) -> str:
        """A finding as shown on the terminal, with file names and pseudonyms."""
        return str(replace(finding, films=tuple(self.names.get(film, film) for film in finding.films)))

    def of(self, severity: Severity) -> tuple[AuditFinding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity is severity)

    def with_warnings_as_remarks(self) -> Audit:
        """The same findings, of which those that are unusual rather than wrong are only worth knowing."""
        findings = [
            replace(finding, severity=Severity.REMARK) if finding.severity is Severity.WARNING else finding
            for finding in self.findings
        ]
        return replace(self, findings=in_order(findings))

    def counts(self) -> dict[str, int]:
        """Number of findings by severity, and by check."""
        by_severity = {f"{severity.value}s": len(self.of(severity)) for severity in SEVERITIES}
        by_check = Counter(finding.check for finding in self.findings)
        return by_severity | {f"check/{check}": count for check, count in sorted(by_check.items())}


def in_order(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """The findings sorted by severity, then by check, film and message."""
    rank = {severity: index for index, severity in enumerate(SEVERITIES)}
    return tuple(sorted(findings, key=lambda f: (rank[f.severity], f.check, f.films, f.slots, f.message)))


def worst_first(findings: Iterable[AuditFinding]) -> tuple[AuditFinding, ...]:
    """The findings sorted by severity, then the worst of each check, then the second worst of each check, and so on."""
    places: Counter[tuple[Severity, str]] = Counter()
    ranked = []
    for finding in sorted(in_order(findings), key=lambda f: -f.excess):
        key = (finding.severity, finding.check)
        ranked.append((SEVERITIES.index(finding.severity), places[key], finding.check, finding))
        places[key] += 1
    return tuple(finding for *_, finding in sorted(ranked, key=lambda entry: entry[:3]))


def require_no_errors(audit: Audit, on_audit_error: str, where: object) -> None:
    """Stop on errors of the audit, unless the configuration allows training to continue.

    Args:
        on_audit_error: `error`, `set_aside` or `continue`.
        where: name of the dataset, for the message.

    Raises:
        DataError: with `error` on any error; with `set_aside` on errors for which nothing can be left out.
    """
    if on_audit_error == "continue":
        return
    errors = audit.of(Severity.ERROR)
    if on_audit_error == "set_aside":
        errors = tuple(finding for finding in errors if finding.left_out is LeftOut.NOTHING)
    if not errors:
        return
    on_terminal, in_run = (
        "\n".join(f"  {as_text(finding)}" for finding in errors[:LISTED]) for as_text in (audit.on_terminal, str)
    )
    more = f"\n  and {len(errors) - LISTED} more" if len(errors) > LISTED else ""
    raise NamedFilmsError(
        *(
            f"the audit of {where} found {len(errors)} error(s), with which training would be wrong or its evaluation "
            f"biased:\n{details}{more}\n"
            f"Correct the films or labels (the command audit shows a picture of each){_alternatives(errors)}"
            for details in (on_terminal, in_run)
        )
    )


def _alternatives(errors: Sequence[AuditFinding]) -> str:
    """Other ways to deal with the errors, as the end of a sentence."""
    options = ["train on the films as they are: --data.on_audit_error continue"]
    if any(finding.left_out is not LeftOut.NOTHING for finding in errors):
        options.insert(0, "leave out single vertebrae and films with such labels: --data.on_audit_error set_aside")
    return ", or " + ", or ".join(options)
