"""What a training leaves out of films whose labels have errors: impossible corners, and films of unknown levels.

Only films of the training part change. Films to validate on keep every labelled corner, right or wrong: a result on the
corners that are easy to believe would be better than the truth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from spondylo_ml.clinical.outlines import impossible_slots, without_corners
from spondylo_ml.data.audit.findings import Audit, AuditFinding, LeftOut, Severity
from spondylo_ml.data.films import FileFinding, FilmSet, finding_on
from spondylo_ml.landmarks import Film, level_name


@dataclass(frozen=True)
class TrainingFilms:
    """The films as a training uses them.

    Attributes:
        films: those left out whole are gone; the corners left out are absent.
        vertebrae: how many have their corners left out.
        whole_films: how many films are left out.
        findings: what was left out, and what counts as labelled although it cannot be right.
    """

    films: FilmSet
    vertebrae: int
    whole_films: int
    findings: tuple[FileFinding, ...]


def leave_out(films: FilmSet, audit: Audit, on_audit_error: str) -> TrainingFilms:
    """The films without what no training may learn from.

    Corners that cannot be those of a body are left out whatever `on_audit_error` says; films whose levels are not
    known, under `set_aside` alone.

    Args:
        audit: of these films.
    """
    of_film = _errors_by_film(audit)
    kept: list[Film] = []
    findings: list[FileFinding] = []
    vertebrae = 0
    for film in films.films:
        slots = impossible_slots(film.vertebrae or ()) if film.film_id in of_film else frozenset()
        unknown = next((f for f in of_film.get(film.film_id, []) if f.left_out is LeftOut.FILM), None)
        if film.split != "train":
            kept.append(film)
            if slots:
                findings.append(finding_on(film, f"{_levels(slots)}: impossible, but counted as labelled"))
            if unknown:
                findings.append(finding_on(film, f"{unknown.message}; counted as labelled"))
            continue
        if unknown and on_audit_error == "set_aside":
            findings.append(finding_on(film, f"left out of the training: {unknown.message}"))
            continue
        if slots:
            film = believed(film)
            findings.append(finding_on(film, f"corners of {_levels(slots)} left out of the training: impossible"))
            vertebrae += len(slots)
        kept.append(film)
    whole = len(films.films) - len(kept)
    return TrainingFilms(replace(films, films=tuple(kept)), vertebrae, whole, tuple(findings))


def believed(film: Film) -> Film:
    """The film without corners that cannot be those of a body; itself where all can be."""
    slots = impossible_slots(film.vertebrae or ())
    return replace(film, vertebrae=without_corners(film.vertebrae or (), slots)) if slots else film


def _errors_by_film(audit: Audit) -> Mapping[str, list[AuditFinding]]:
    found: dict[str, list[AuditFinding]] = {}
    for finding in audit.of(Severity.ERROR):
        for name in finding.films:
            found.setdefault(name, []).append(finding)
    return found


def _levels(slots: frozenset[int]) -> str:
    return ", ".join(level_name(slot) for slot in sorted(slots))
