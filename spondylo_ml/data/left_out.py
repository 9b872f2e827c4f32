"""What training leaves out because of label errors: impossible corners, and films of unknown levels.

Only films of the training part change. Validation films keep every labelled corner, right or wrong: a result on the
plausible corners alone would be too good.
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
    """The films as training uses them.

    Attributes:
        films: without the films that are left out; corners that are left out are absent.
        vertebrae: number of vertebrae whose corners are left out.
        whole_films: number of films that are left out.
        findings: the films and labels left out, and labels that are kept although they cannot be right.
    """

    films: FilmSet
    vertebrae: int
    whole_films: int
    findings: tuple[FileFinding, ...]


def leave_out(films: FilmSet, audit: Audit, on_audit_error: str) -> TrainingFilms:
    """The films without labels that training must not learn from.

    Corners that cannot be those of a body are always left out; films of unknown levels only if `on_audit_error` is
    `set_aside`.

    Args:
        audit: the audit of these films.
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
            film = without_impossible_corners(film)
            findings.append(finding_on(film, f"corners of {_levels(slots)} left out of the training: impossible"))
            vertebrae += len(slots)
        kept.append(film)
    whole = len(films.films) - len(kept)
    return TrainingFilms(replace(films, films=tuple(kept)), vertebrae, whole, tuple(findings))


def without_impossible_corners(film: Film) -> Film:
    """The film without corners that cannot be those of a body; the film itself if there are none."""
    slots = impossible_slots(film.vertebrae or ())
    return replace(film, vertebrae=without_corners(film.vertebrae or (), slots)) if slots else film


def _errors_by_film(audit: Audit) -> Mapping[str, list[AuditFinding]]:
    errors: dict[str, list[AuditFinding]] = {}
    for finding in audit.of(Severity.ERROR):
        for name in finding.films:
            errors.setdefault(name, []).append(finding)
    return errors


def _levels(slots: frozenset[int]) -> str:
    return ", ".join(level_name(slot) for slot in sorted(slots))
