"""Corrections of drafts: worked out by hand, at the limits, and known moves found again."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, square
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.corrected_drafts import MODEL, NOBODY, PERSON
from spondylo_ml.errors import DataError
from spondylo_ml.evaluation.correction_rates import correction_rates, rates_by_level
from spondylo_ml.evaluation.corrections import Corrections, corrections_of
from spondylo_ml.landmarks import Facing, Film, Vertebra
from spondylo_ml.spacing import Spacing

SIZE_HW = (1024, 600)
MOVED_PX = 0.05


def spine(levels: int = 5) -> tuple[Vertebra, ...]:
    """S1, L5, ...: bodies of 60 px, 90 px apart."""
    return tuple(square(slot, 200, 800 - 90 * slot, 60) for slot in range(levels))


def film(name: str, *vertebrae: Vertebra, patient: str = "", **changes: object) -> Film:
    made = plain_film(name, tuple(sorted(vertebrae, key=lambda v: v.slot)), SIZE_HW)
    return replace(made, patient=patient or name, **changes)  # type: ignore[arg-type]


def moved(vertebra: Vertebra, corner: int, x_px: float, y_px: float) -> Vertebra:
    corners = vertebra.corners_xy.copy()
    corners[corner] += (x_px, y_px)
    return replace(vertebra, corners_xy=corners)


def of_one(draft: Film, corrected: Film, signature: str = PERSON) -> Corrections:
    return corrections_of([draft], [corrected], [signature], MOVED_PX)


def test_a_corner_moved_by_3_and_4_px_moved_by_5() -> None:
    spacing = Spacing(0.5, 0.75, "stated")
    first, *others = spine()
    found = of_one(
        film("a", first, *others),
        film("a", moved(first, 1, 3, -4), *others, spacing=spacing, facing=Facing.RIGHT),
    )
    (corner,) = found.corners[found.corners["change"] == "moved"].to_dict("records")
    assert (corner["level"], corner["corner"], corner["patient_corner"]) == (
        "S1",
        "superior_right",
        "superior_anterior",
    )
    assert corner["distance_px"] == 5.0
    assert corner["distance_px512"] == 2.5, "the film is 1024 px high"
    assert corner["distance_mm"] == pytest.approx(math.hypot(1.5, 3.0))
    assert (corner["x_px"] - corner["draft_x_px"], corner["y_px"] - corner["draft_y_px"]) == (3.0, -4.0)
    assert found.corners["change"].tolist().count("kept") == 19
    assert found.bodies["change"].tolist() == ["moved", "kept", "kept", "kept", "kept"]
    assert found.bodies["largest_px"].tolist() == [5.0, 0.0, 0.0, 0.0, 0.0]
    (row,) = found.films.to_dict("records")
    assert (row["corrected"], row["reviewed"], row["corners_moved"], row["largest_px512"]) == (True, True, 1, 2.5)


def test_one_level_renamed_one_added_one_removed() -> None:
    s1, l5, l4, l3, l2 = spine()
    draft = film("a", s1, l5, l4, l3)
    corrected = film("a", s1, l5, replace(l3, slot=6), replace(l2, slot=7))
    found = of_one(draft, corrected)
    changes = {(row.draft_level, row.level): row.change for row in found.bodies.itertuples()}
    assert changes == {
        ("S1", "S1"): "kept", ("L5", "L5"): "kept", ("L4", ""): "removed", ("L3", "T12"): "renamed",
        ("", "T11"): "added",
    }  # fmt: skip
    assert [found.films[name].item() for name in ("renamed", "added", "removed", "corners_moved")] == [1, 1, 1, 0]
    rates = correction_rates(found, [draft], [corrected], 100, 0)["reviewed"]
    assert rates["renamed_percent"].value == pytest.approx(100 / 3), "of three that were kept"
    assert rates["removed_percent"].value == pytest.approx(25.0), "of four that were drafted"
    assert rates["added_percent"].value == pytest.approx(25.0), "of four that are labelled"
    assert rates["detection_f1"].value == pytest.approx(75.0), "three of four on either side"
    assert rates["moved_percent"].value == 0.0
    by_level = rates_by_level(found, 100, 0)
    assert list(by_level) == ["S1", "L5", "L4", "L3", "T11"]
    assert (by_level["L4"]["removed_percent"].value, by_level["L3"]["renamed_percent"].value) == (100.0, 100.0)
    assert by_level["T11"]["added_percent"].value == 100.0


def test_all_levels_renamed_by_one_are_renamed_and_not_moved() -> None:
    draft = film("a", *spine(4))
    corrected = film("a", *(replace(v, slot=v.slot + 1) for v in spine(4)))
    found = of_one(draft, corrected)
    assert found.bodies["change"].tolist() == ["renamed"] * 4
    assert found.bodies["level"].tolist() == ["L5", "L4", "L3", "L2"]
    assert set(found.corners["change"]) == {"kept"}


def test_a_vertebra_moved_farther_than_half_its_side_is_found_by_its_level() -> None:
    s1, l5 = spine(2)
    far = replace(l5, corners_xy=l5.corners_xy + np.array([200, 0]))
    found = of_one(film("a", s1, l5), film("a", s1, far))
    assert found.bodies["change"].tolist() == ["kept", "moved"]
    assert found.bodies["largest_px"].tolist() == [0.0, 200.0]


def test_corners_that_were_added_or_removed_have_no_distance() -> None:
    s1, l5 = spine(2)
    cut = l5.corners_xy.copy()
    cut[3] = np.nan
    found = of_one(film("a", s1, l5), film("a", s1, replace(l5, corners_xy=cut)))
    assert found.bodies["corners_removed"].tolist() == [0, 1]
    back = of_one(film("a", s1, replace(l5, corners_xy=cut)), film("a", s1, l5))
    assert back.bodies["corners_added"].tolist() == [0, 1]
    for one in (found, back):
        assert one.bodies["change"].tolist() == ["kept", "moved"]
        assert one.corners["distance_px"].isna().tolist() == [False] * 7 + [True]


def test_an_untouched_film_is_reviewed_only_if_a_person_signed_it() -> None:
    names, signatures = ["a", "b", "c", "d"], [PERSON, MODEL, NOBODY, MODEL]
    drafts = [film(name, *spine()) for name in names]
    first, *others = spine()
    corrected = [*drafts[:3], film("d", moved(first, 0, 3, 4), *others)]
    found = corrections_of(drafts, corrected, signatures, MOVED_PX)
    assert found.films["corrected"].tolist() == [False, False, False, True]
    assert found.films["reviewed"].tolist() == [True, False, False, True]
    rates = correction_rates(found, drafts, corrected, 100, 0)
    assert rates["reviewed"]["films_corrected_percent"].value == 50.0
    assert rates["reviewed"]["moved_percent"].value == pytest.approx(100 / 40)
    assert rates["corrected"]["moved_percent"].value == pytest.approx(100 / 20)
    assert rates["reviewed"]["move_px512"].value == pytest.approx(2.5 / 40)
    assert rates["reviewed"]["instance_mre_px512"].value == pytest.approx(2.5 / 40)
    assert rates["reviewed"]["moved_by_px512"].value == 2.5
    assert math.isnan(rates["reviewed"]["move_mm"].value)


def test_no_reviewed_film_is_an_error_that_says_what_to_do() -> None:
    draft = film("a", *spine())
    with pytest.raises(DataError, match=r"none of the 1 films was reviewed: .* replace the reader 'draft of"):
        correction_rates(of_one(draft, draft, MODEL), [draft], [draft], 100, 0)


def test_rounding_of_a_file_is_no_correction() -> None:
    first, *others = spine()
    found = of_one(film("a", first, *others), film("a", moved(first, 0, 0.03, 0.03), *others), MODEL)
    assert (found.films["corrected"].item(), found.films["reviewed"].item()) == (False, False)


def test_films_without_vertebrae_on_one_side() -> None:
    refused, full = film("a"), film("a", *spine(2))
    assert of_one(refused, full).bodies["change"].tolist() == ["added", "added"]
    assert of_one(full, refused).bodies["change"].tolist() == ["removed", "removed"]
    empty = of_one(refused, refused)
    assert (len(empty.bodies), empty.films["corrected"].item()) == (0, False)
    rates = correction_rates(empty, [refused], [refused], 100, 0)["reviewed"]
    assert (rates["films_corrected_percent"].value, rates["moved_percent"].n) == (0.0, 0)


def test_other_films_are_an_error() -> None:
    with pytest.raises(DataError, match="the same films in the same order"):
        corrections_of([film("a")], [film("b")], [PERSON], MOVED_PX)


small = st.floats(-12, 12, allow_nan=False).filter(lambda v: abs(v) > 0.1)
MOVES = st.dictionaries(st.tuples(st.integers(0, 4), st.integers(0, 3)), st.tuples(small, small), max_size=20)


@given(MOVES, st.sets(st.integers(0, 4), max_size=4), st.integers(0, 3))
def test_known_changes_are_found_again(
    moves: dict[tuple[int, int], tuple[float, float]], removed: set[int], shift: int
) -> None:
    edited = {v.slot: v for v in spine()}
    for (slot, corner), offset in moves.items():
        edited[slot] = moved(edited[slot], corner, *offset)
    kept = [replace(v, slot=v.slot + shift) for slot, v in edited.items() if slot not in removed]
    found = of_one(film("a", *spine()), film("a", *kept))
    levels = [v.level for v in spine()]
    assert {row.draft_level for row in found.bodies.itertuples() if row.change == "removed"} == {
        levels[slot] for slot in removed
    }
    assert found.films["renamed"].item() == (len(kept) if shift else 0)
    expected = {key: offset for key, offset in moves.items() if key[0] not in removed}
    rows = found.corners[found.corners["change"] == "moved"]
    names = ("superior_left", "superior_right", "inferior_left", "inferior_right")
    got = {
        (levels.index(row.draft_level), names.index(row.corner)): (row.x_px - row.draft_x_px, row.y_px - row.draft_y_px)
        for row in rows.itertuples()
    }
    assert got.keys() == expected.keys()
    for key, offset in expected.items():
        assert got[key] == pytest.approx(offset, abs=1e-9)
    assert (
        found.bodies["largest_px"].max()
        == pytest.approx(max((math.hypot(*o) for o in expected.values()), default=0.0), abs=1e-9)
        or not kept
    )
