"""Run all checks of the audit."""

from __future__ import annotations

from collections.abc import Sequence

from spondylo_ml.data.audit.bodies import Bodies
from spondylo_ml.data.audit.duplicates import SamePair, check_duplicates
from spondylo_ml.data.audit.exposure import check_exposure
from spondylo_ml.data.audit.facing import check_mirrored
from spondylo_ml.data.audit.findings import Audit, AuditFinding, in_order
from spondylo_ml.data.audit.image_facts import ImageFacts
from spondylo_ml.data.audit.order import check_neighbours, check_overlaps, check_vertebra_order
from spondylo_ml.data.audit.outlines import check_corner_order
from spondylo_ml.data.audit.reading import check_patients, check_reading, check_slots
from spondylo_ml.data.audit.shapes import check_shapes
from spondylo_ml.data.audit.sizes import check_body_sizes, check_film_sizes, check_spacing, check_stretch
from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.data.left_out import without_impossible_corners


def audit_films(
    films: FilmSet, facts: Sequence[ImageFacts | None] | None = None, same: Sequence[SamePair] = ()
) -> Audit:
    """Audit a dataset that has been split.

    Args:
        films: every film has a split.
        facts: facts about each film's pixels; if None, only labels are checked.
        same: pairs of films of the same exposure, from `find_same`.
    """
    findings = [*check_reading(films), *check_slots(films), *check_patients(films.films), *check_labels(films)]
    if facts is not None:
        findings += [*check_duplicates(films.films, same), *check_exposure(films.films, facts)]
    return Audit(in_order(findings), digest(films.films, films.slots), facts is not None, films.terminal_names())


def check_labels(films: FilmSet) -> list[AuditFinding]:
    """Run the checks that need only corners and sizes."""
    # Impossible corners would distort the medians.
    bodies = Bodies.of([without_impossible_corners(film) for film in films.films])
    return [
        *check_corner_order(films.films),
        *check_vertebra_order(films.films),
        *check_overlaps(films.films),
        *check_mirrored(films.films),
        *check_neighbours(bodies),
        *check_shapes(bodies),
        *check_film_sizes(films.films),
        *check_body_sizes(bodies),
        *check_spacing(bodies),
        *check_stretch(bodies),
    ]
