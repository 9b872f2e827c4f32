"""Exclusion of vertebrae and films with wrong labels from training."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import plain_film
from spines import stacked

from spondylo_ml.data.audit.checks import audit_films
from spondylo_ml.data.audit.findings import require_no_errors
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.left_out import leave_out, without_impossible_corners
from spondylo_ml.data.loading import impossible_labels, require_usable_corner
from spondylo_ml.errors import DataError, NoUsableCornerError
from spondylo_ml.landmarks import Film, SlotRange, Vertebra

SLOTS = SlotRange(0, 10)
SIZE_HW = (400, 300)


def film(name: str, split: str, *changed: tuple[int, tuple[int, ...]]) -> Film:
    """Five bodies above one another; in `changed` slots the corners are in another order."""
    orders = dict(changed)
    bodies = [
        Vertebra(v.slot, (v.corners_xy * 0.6 + [0, 200])[list(orders.get(v.slot, (0, 1, 2, 3)))])
        for v in stacked(0, 0, 0, 0)
    ]
    return replace(plain_film(name, tuple(bodies), SIZE_HW), split=split)


def doubled(name: str, split: str) -> Film:
    first, second, *others = film(name, split).vertebrae or ()
    repeated = Vertebra(1, first.corners_xy + 1.0)
    return replace(film(name, split), vertebrae=(first, repeated, Vertebra(2, second.corners_xy), *others[1:]))


def film_set(*films: Film) -> FilmSet:
    return FilmSet("made", "made", films, SLOTS)


CROSSED = (2, (0, 1, 3, 2))
WHOLE = tuple((slot, (0, 1, 3, 2)) for slot in range(5))


def test_an_impossible_body_is_excluded_from_training_but_counts_in_validation() -> None:
    films = film_set(film("a", "train", CROSSED), film("b", "val", CROSSED), film("c", "train"))
    audit = audit_films(films)
    with pytest.raises(DataError, match=r"found 2 error\(s\).*(?s:.*)data\.on_audit_error set_aside"):
        require_no_errors(audit, "error", "films")
    for how in ("set_aside", "continue"):
        require_no_errors(audit, how, "films")
        used = leave_out(films, audit, how)
        a, b, c = used.films.films
        assert [bool(v.present.any()) for v in a.vertebrae or ()] == [True, True, False, True, True]
        assert [v.slot for v in a.vertebrae or ()] == [0, 1, 2, 3, 4], "known to be there"
        assert b == films.films[1]
        assert c == films.films[2]
        assert (used.vertebrae, used.whole_films) == (1, 0)
        assert [finding.reason for finding in used.findings] == [
            "corners of L4 left out of the training: impossible",
            "L4: impossible, but counted as labelled",
        ]


def test_a_film_with_unknown_levels_is_excluded_only_under_set_aside() -> None:
    films = film_set(doubled("a", "train"), doubled("b", "val"), film("c", "train"))
    audit = audit_films(films)
    require_no_errors(audit, "set_aside", "films")
    used = leave_out(films, audit, "set_aside")
    assert [f.film_id for f in used.films.films] == ["b", "c"]
    assert (used.vertebrae, used.whole_films) == (0, 1)
    assert used.findings[0].reason.startswith("left out of the training: L5 and S1 share")
    assert used.findings[1].reason.endswith("; counted as labelled")
    assert [f.film_id for f in leave_out(films, audit, "continue").films.films] == ["a", "b", "c"]


def test_a_label_with_all_corners_in_another_order_stops_under_set_aside_and_is_not_trained_on_under_continue() -> None:
    films = film_set(film("a", "train", *WHOLE), film("b", "val"))
    audit = audit_films(films)
    with pytest.raises(DataError, match="the whole label has its corners in another order"):
        require_no_errors(audit, "set_aside", "films")
    used = leave_out(films, audit, "continue")
    assert used.vertebrae == 5
    with pytest.raises(NoUsableCornerError, match=r"no usable corner in the train part \(1 labelled film\(s\)\)"):
        require_usable_corner(used.films.part("train"), "train", SLOTS)
    with pytest.raises(NoUsableCornerError, match="in the val part"):
        require_usable_corner([film("b", "val", *WHOLE)], "val", SLOTS)
    require_usable_corner(used.films.part("val"), "val", SLOTS)


def test_vertebrae_without_a_slot_are_no_usable_corner() -> None:
    with pytest.raises(NoUsableCornerError, match="in the train part"):
        require_usable_corner([film("a", "train")], "train", SlotRange(7, 3))


def test_valid_films_are_used_unchanged() -> None:
    films = film_set(film("a", "train"), film("b", "val"))
    used = leave_out(films, audit_films(films), "error")
    assert used.films == films
    assert (used.vertebrae, used.whole_films, used.findings) == (0, 0, ())
    assert without_impossible_corners(films.films[0]) is films.films[0]


def test_impossible_labels_of_evaluated_films_are_listed() -> None:
    result = impossible_labels([film("a", "val", CROSSED), doubled("b", "val"), film("c", "val")])
    assert [(one.file, one.reason.split(";")[-1]) for one in result] == [
        ("a", " counted as labelled"),
        ("b", " counted as labelled"),
    ]
    assert "L4: its outline crosses itself" in result[0].reason
    assert "L5 and S1 share" in result[1].reason
