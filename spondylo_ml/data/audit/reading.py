"""Findings of the reader, and checks of slots and patients."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from spondylo_ml.data.audit.findings import AuditFinding, Severity
from spondylo_ml.data.films import FileFinding, FilmSet
from spondylo_ml.landmarks import Film


def check_reading(films: FilmSet) -> list[AuditFinding]:
    """Bad files as errors, the reader's doubts as warnings, and its other notes as remarks."""
    bad = [AuditFinding(Severity.ERROR, "bad_file", _named(f), f.reason) for f in films.bad_files]
    notes = [
        AuditFinding(Severity.WARNING, "reader_doubt", _named(f), f.reason)
        if f.doubt
        else AuditFinding(Severity.REMARK, "reader_remark", _named(f), f.reason)
        for f in films.notes
    ]
    return bad + notes


def check_slots(films: FilmSet) -> list[AuditFinding]:
    """Warnings for vertebrae outside the slots of the dataset, for which a model has no channel."""
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
    """Errors for patients with films in two splits, on whom a network would be both trained and evaluated."""
    by_patient: dict[str, list[Film]] = defaultdict(list)
    for film in films:
        by_patient[film.patient].append(film)
    return [
        AuditFinding(
            Severity.ERROR,
            "patient_in_two_parts",
            tuple(sorted(film.film_id for film in patient_films)),
            f"films of one patient are in {_and(parts)}: put them into one part",
        )
        for patient_films in by_patient.values()
        if len(parts := sorted({str(film.split) for film in patient_films})) > 1
    ]


def _named(finding: FileFinding) -> tuple[str]:
    """Name of a finding's file in the audit, which is logged to runs."""
    return (finding.alias or finding.file,)


def _and(names: Iterable[str]) -> str:
    return " and ".join(names)
