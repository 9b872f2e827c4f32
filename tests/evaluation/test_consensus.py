"""Consensus of readers: medians by hand, majorities, other bodies of the same name, and the spread of known noise."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, square
from hypothesis import given
from hypothesis import strategies as st
from simulated_readers import reader_of

from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.evaluation.consensus import Consensus, consensus_of
from spondylo_ml.landmarks import LEVELS_LABELLED, Film, Vertebra


def read_by(*labels: tuple[Vertebra, ...]) -> tuple[Film, ...]:
    film = plain_film()
    return tuple(replace(film, vertebrae=vertebrae) for vertebrae in labels)


def consensus(*labels: tuple[Vertebra, ...]) -> Consensus:
    return consensus_of([read_by(*labels)])


def test_each_corner_is_the_median_and_its_spread_is_kept() -> None:
    result = consensus((square(1, 20, 60),), (square(1, 21, 60),), (square(1, 23, 63),))
    (vertebra,) = result.films[0].vertebrae or ()
    assert vertebra.corners_xy.tolist() == square(1, 21, 60).corners_xy.tolist()
    row = result.spread.iloc[0]
    assert (row["level"], row["corner"], row["n_readers"]) == ("L5", "superior_left", 3)
    assert row["sd_x_px"] == pytest.approx(math.sqrt(((4 / 3) ** 2 + (1 / 3) ** 2 + (5 / 3) ** 2) / 2))
    assert row["sd_y_px"] == pytest.approx(math.sqrt(3))
    assert row["farthest_px"] == pytest.approx(math.hypot(2, 3))
    assert len(result.spread) == 4
    assert result.open_levels.empty


def test_two_readers_meet_in_the_middle() -> None:
    (vertebra,) = consensus((square(1, 20, 60),), (square(1, 22, 64),)).films[0].vertebrae or ()
    assert vertebra.corners_xy.tolist() == square(1, 21, 62).corners_xy.tolist()


@pytest.mark.parametrize(
    ("n_labelled", "n_readers", "settled"), [(1, 2, False), (2, 3, True), (2, 4, False), (1, 1, True)]
)
def test_a_level_needs_more_than_half_of_the_readers(n_labelled: int, n_readers: int, settled: bool) -> None:
    labels = [(square(1, 20, 60),)] * n_labelled + [()] * (n_readers - n_labelled)
    result = consensus(*labels)
    assert bool(result.films[0].vertebrae) is settled
    if not settled:
        (row,) = result.open_levels.to_dict("records")
        assert (row["level"], row["n_labelled"], row["n_readers"]) == ("L5", n_labelled, n_readers)
        assert row["reason"] == "not labelled by more than half of the readers"


def test_two_bodies_of_one_name_are_not_averaged() -> None:
    result = consensus((square(1, 20, 60),), (square(1, 20, 40),))
    assert result.films[0].vertebrae == ()
    assert result.open_levels["reason"].tolist() == ["the readers give this name to different bodies"]
    outvoted = consensus((square(1, 20, 40),), (square(1, 20, 60),), (square(1, 22, 60),))
    (vertebra,) = outvoted.films[0].vertebrae or ()
    assert vertebra.corners_xy.tolist() == square(1, 21, 60).corners_xy.tolist()
    assert outvoted.spread["n_readers"].tolist() == [2] * 4


def test_a_corner_that_a_minority_placed_is_absent() -> None:
    without = square(1, 20, 60).corners_xy.copy()
    without[3] = np.nan
    (vertebra,) = (
        consensus((square(1, 20, 60),), (Vertebra(1, without),), (Vertebra(1, without),)).films[0].vertebrae or ()
    )
    assert vertebra.present.tolist() == [True, True, True, False]


def test_a_corner_is_visible_if_most_of_those_who_placed_it_saw_it() -> None:
    corners = square(1, 20, 60).corners_xy
    hidden = Vertebra(1, corners, np.array([False, True, False, True]))
    other = Vertebra(1, corners, np.array([False, True, True, True]))
    (vertebra,) = consensus((hidden,), (other,), (square(1, 20, 60),)).films[0].vertebrae or ()
    assert vertebra.visible.tolist() == [False, True, True, True]


def test_readers_of_known_noise_have_that_spread() -> None:
    films = phantom_films(40, 6, 512).films
    result = consensus_of(list(zip(*(reader_of(films, 2.0, seed) for seed in range(3)), strict=True)))
    assert len(result.spread) > 1000
    for name in ("sd_x_px", "sd_y_px"):
        assert math.sqrt((result.spread[name] ** 2).mean()) == pytest.approx(2.0, rel=0.06)
    # The median of three normal values has 0.4487 times their variance.
    errors = np.concatenate(
        [
            np.linalg.norm(mine.corners_xy - true.corners_xy, axis=1)
            for film, truth in zip(result.films, films, strict=True)
            for mine, true in zip(film.vertebrae or (), truth.vertebrae or (), strict=True)
        ]
    )
    assert errors.mean() == pytest.approx(2.0 * math.sqrt(0.4487) * math.sqrt(math.pi / 2), rel=0.06)


@given(st.permutations(range(5)))
def test_the_order_of_the_readers_does_not_matter(order: list[int]) -> None:
    labels = [(square(1, 20 + dx, 60 + dx % 3),) for dx in range(5)]
    shuffled = consensus(*(labels[index] for index in order)).films[0].vertebrae or ()
    assert [v.corners_xy.tolist() for v in shuffled] == [square(1, 22, 61).corners_xy.tolist()]


ASSUMED = "assumed: the lowest labelled vertebra is S1"


def levels_from(*labels: tuple[str, tuple[Vertebra, ...]]) -> str:
    readings = [replace(plain_film(), vertebrae=vertebrae, levels_from=source) for source, vertebrae in labels]
    return consensus_of([readings]).films[0].levels_from


def test_names_that_the_majority_only_assumed_stay_assumed() -> None:
    assumed = (ASSUMED, (square(0, 20, 80), square(1, 20, 60)))
    labelled = (LEVELS_LABELLED, (square(0, 20, 80), square(1, 20, 60)))
    one_off = (LEVELS_LABELLED, (square(1, 20, 80), square(2, 20, 60)))
    assert levels_from(one_off, assumed, assumed) == ASSUMED, "the one who named the lowest body says L5"
    assert levels_from(labelled, assumed, assumed) == LEVELS_LABELLED, "confirmed by the one who named them"
    assert levels_from(labelled, labelled) == LEVELS_LABELLED
    half = (LEVELS_LABELLED, (square(0, 20, 80),))
    assert levels_from(half, assumed, assumed) == ASSUMED, "nobody named L5"


def test_a_consensus_that_rests_on_an_uncorrected_draft_keeps_its_mark() -> None:
    person = replace(plain_film(), vertebrae=(square(1, 20, 60),), reader="ott")
    draft = replace(person, reader="draft of unet")
    assert consensus_of([(person, draft)]).films[0].reader == "draft of unet"
    assert consensus_of([(person, person)]).films[0].reader == "consensus"
