"""Which films are chosen: ranks and choices by hand; no film twice, none like another, in whatever order they come."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from spondylo_ml.active_learning.choice import (
    Choice,
    choose,
    mean_rank,
    nearest,
    percentile_ranks,
    standardised,
)
from spondylo_ml.landmarks import FloatArray

NAN = math.nan
UNKNOWN = np.full(4, NAN)


def test_ranks_are_the_share_below_with_ties_counted_half_and_nan_without_a_rank() -> None:
    assert_allclose(percentile_ranks(np.array([3.0, 1.0, 2.0])), [5 / 6, 1 / 6, 3 / 6])
    assert_allclose(percentile_ranks(np.array([1.0, NAN, 1.0, 9.0])), [1 / 3, NAN, 1 / 3, 5 / 6])
    assert_allclose(percentile_ranks(np.array([NAN, NAN])), [NAN, NAN])
    assert percentile_ranks(np.array([7.0])).tolist() == [0.5]


def test_a_mean_rank_is_that_of_the_ranks_that_a_film_has() -> None:
    assert_allclose(mean_rank([np.array([0.2, NAN, NAN]), np.array([0.6, 0.5, NAN])]), [0.4, 0.5, NAN])


def test_distances_are_in_standard_deviations_over_all_films() -> None:
    # The first feature has a standard deviation of 2, the second is constant.
    features, labelled = standardised(np.array([[0.0, 7.0], [4.0, 7.0]]), np.array([[4.0, 7.0], [0.0, 7.0]]))
    assert_allclose(nearest(features, labelled[:1]), [2.0, 0.0])
    assert_allclose(nearest(features, labelled), [0.0, 0.0])
    assert_allclose(nearest(features, labelled[:0]), [NAN, NAN])
    nothing, _ = standardised(np.full((2, 3), 5.0), np.zeros((0, 3)))
    assert nothing.shape == (2, 0)
    assert_allclose(nearest(nothing, nothing), [NAN, NAN])


def test_films_drawn_at_random_are_about_the_square_root_of_2_apart() -> None:
    features, _ = standardised(np.random.default_rng(0).normal(3, 5, (60, 400)), np.zeros((0, 400)))
    distances = np.linalg.norm(features[:30] - features[30:], axis=1)
    assert distances.mean() == pytest.approx(math.sqrt(2), abs=0.02)


def test_a_choice_worked_out_by_hand() -> None:
    """Four films on a line, at 0, 1, 10 and 10.5, with doubts that fall from the first to the last.

    First nothing is labelled: the doubt alone chooses the first. Then b, c and d have the ranks 5/6, 3/6, 1/6 by doubt
    and 1/6, 3/6, 5/6 by their distance from a: all have the mean 1/2, and b is the first by name. Of c and d, one has
    the rank 3/4 by doubt and 1/4 by distance, the other the reverse: c is the first by name.
    """
    line = np.array([[0.0], [1.0], [10.0], [10.5]])
    doubts = np.array([[0.9], [0.8], [0.7], [0.6]])
    chosen = list(choose("abcd", doubts, line, UNKNOWN, 4))
    assert [one.index for one in chosen] == [0, 1, 2, 3]
    assert_allclose([one.mean_rank for one in chosen], [7 / 8, 1 / 2, 1 / 2, 1 / 2])
    assert_allclose([one.nearest_chosen_sd for one in chosen], [NAN, 1, 9, 0.5])


def test_without_doubts_the_farthest_film_from_all_others_comes_next() -> None:
    line = np.array([[0.0], [1.0], [10.0], [5.0]])
    chosen = list(choose("abcd", np.full((4, 1), NAN), line, np.array([0.5, 1.5, 10.5, 5.5]), 3))
    assert [one.index for one in chosen] == [2, 3, 1]
    assert chosen[0] == Choice(2, 7 / 8, pytest.approx(NAN, nan_ok=True))


def test_a_film_like_a_labelled_or_chosen_one_comes_after_all_others() -> None:
    line, doubts = np.array([[0.0], [0.0], [10.0], [20.0]]), np.array([[0.9], [0.8], [0.2], [0.7]])
    assert [one.index for one in choose("abcd", doubts, line, UNKNOWN, 4)] == [0, 3, 2, 1]
    from_labelled = np.array([0.0, 5.0, 5.0, 5.0])
    assert [one.index for one in choose("abcd", doubts, line, from_labelled, 4)][-1] in (0, 1)


def test_a_film_without_any_rank_is_not_chosen() -> None:
    doubts = np.array([[0.1], [NAN], [0.3], [NAN]])
    assert [one.index for one in choose("abcd", doubts, np.zeros((4, 0)), UNKNOWN, 4)] == [2, 0]
    assert list(choose("", np.zeros((0, 2)), np.zeros((0, 3)), np.zeros(0), 5)) == []


@st.composite
def pools(draw: st.DrawFn) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Doubts, some unknown and many equal; raw features of the films, some the same; and of labelled films."""
    n, m = draw(st.integers(1, 9)), draw(st.integers(0, 3))
    doubt = st.sampled_from([NAN, 0.0, 0.25, 0.5, 1.0])
    doubts = draw(st.lists(st.tuples(doubt, doubt), min_size=n, max_size=n))
    point = st.tuples(st.integers(0, 3), st.integers(0, 3))
    rows = [draw(st.lists(point, min_size=count, max_size=count)) for count in (n, m)]
    features, labelled = (np.array(one, dtype=np.float64).reshape(-1, 2) for one in rows)
    return np.array(doubts), features, labelled


def chosen_of(names: str, doubts: FloatArray, raw: FloatArray, raw_labelled: FloatArray) -> list[Choice]:
    features, labelled = standardised(raw, raw_labelled)
    return list(choose(names, doubts, features, nearest(features, labelled), len(names)))


@settings(max_examples=60)
@given(pools(), st.randoms(use_true_random=False))
def test_the_order_of_the_films_does_not_change_the_choice(
    pool: tuple[FloatArray, FloatArray, FloatArray], random: object
) -> None:
    doubts, features, labelled = pool
    names = "abcdefghi"[: len(features)]
    before = chosen_of(names, doubts, features, labelled)
    order = list(range(len(names)))
    random.shuffle(order)  # type: ignore[attr-defined]
    after = chosen_of("".join(names[i] for i in order), doubts[order], features[order], labelled[::-1])
    assert [names[one.index] for one in before] == [names[order[one.index]] for one in after]
    assert_allclose([one.mean_rank for one in before], [one.mean_rank for one in after])


@settings(max_examples=60)
@given(pools())
def test_no_film_is_chosen_twice_and_none_like_a_chosen_one_before_all_others(
    pool: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    doubts, features, labelled = pool
    chosen = chosen_of("abcdefghi"[: len(features)], doubts, features, labelled)
    indices = [one.index for one in chosen]
    assert len(set(indices)) == len(indices)
    assert all(0 < one.mean_rank < 1 for one in chosen)
    # A film without a doubt has no rank either before something else is chosen, or if all films are the same.
    ranked = {i for i in range(len(features)) if not np.isnan(doubts[i]).all()}
    assert ranked <= set(indices)
    seen = {tuple(row) for row in labelled}
    if len({tuple(row) for row in (*features, *labelled)}) < 2:
        return
    repeats = []
    for index in indices:
        repeats.append(tuple(features[index]) in seen)
        seen.add(tuple(features[index]))
    assert repeats == sorted(repeats), "all films that are like none before come first"
