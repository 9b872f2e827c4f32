"""What reading reported, and how the films lie in their parts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.landmarks import Film


def check_reading(films: FilmSet) -> list[AuditFinding]:
    """Bad files, what the reader assumed or saw, and what it decided in doubt."""
    bad = [AuditFinding(Severity.ERROR, "bad_file", _named(f), f.reason) for f in films.bad_files]
    notes = [
        AuditFinding(Severity.WARNING, "reader_doubt", _named(f), f.reason)
        if f.doubt
        else AuditFinding(Severity.REMARK, "reader_remark", _named(f), f.reason)
        for f in films.notes
    ]
    return bad + notes


def check_slots(films: FilmSet) -> list[AuditFinding]:
    """Vertebrae for which a model of this dataset has no channel."""
    first, last = films.slots.names[0], films.slots.names[-1]
    return [
        AuditFinding(
            Severity.WARNING,
            "slot_overflow",
            (film.film_id,),
            f"{', '.join(v.level for v in beyond)} beyond the slots {first} to {last}: counted as missed. "
            "More slots: --data.n_slots",
            tuple(v.slot for v in beyond),
        )
        for film in films.films
        if (beyond := films.slots.overflow(film.vertebrae or ()))
    ]


def check_patients(films: Sequence[Film]) -> list[AuditFinding]:
    """Patients with films in two parts: a network would be evaluated on patients that it was trained on."""
    by_patient: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        by_patient[film.patient].append(film)
    return [
        AuditFinding(
            Severity.ERROR,
            "patient_in_two_parts",
            tuple(sorted(film.film_id for film in own)),
            f"films of one patient lie in {_and(parts)}: put them into one part",
        )
        for own in by_patient.values()
        if len(parts := sorted({str(film.split) for film in own})) > 1
    ]


def _named(finding: FileFinding) -> tuple[str]:
    """What the audit, which is kept in runs, calls the file of a finding."""
    return (finding.alias or finding.file,)


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)
