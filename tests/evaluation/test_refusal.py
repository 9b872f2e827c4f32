"""Which films are refused as not being lateral lumbar films, and at which rate."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from builders import plain_film, prediction_of, square
from hypothesis import given, settings
from hypothesis import strategies as st

from spondylo_ml.evaluation.definite_vertebrae import definite_vertebrae
from spondylo_ml.evaluation.refusal import NOT_LUMBAR, Refusal
from spondylo_ml.landmarks import Facing, Film, FilmPrediction, SlotRange

SLOTS = SlotRange(0, 4)
LUMBAR = plain_film("lumbar", (square(0, 30, 70), square(1, 30, 30)), (100, 100))


def seen(vertebrae: float) -> FilmPrediction:
    """A prediction of one vertebra, as definite as given."""
    prediction = prediction_of(LUMBAR, SLOTS, presence=(1, 0, 0, 0))
    return replace(prediction, heat_share=np.full((4, 4), vertebrae))


def pairs(*values: float) -> list[tuple[Film, FilmPrediction]]:
    return [(LUMBAR, seen(value)) for value in values]


def test_definite_vertebrae_are_worked_out_by_hand() -> None:
    """Presence .9 with shares of .4 on average, and 1 with .2; presence .4 does not count."""
    share = np.array([[0.2, 0.4, 0.4, 0.6], [0.2] * 4, [1.0] * 4, [np.nan] * 4])
    prediction = replace(prediction_of(LUMBAR, SLOTS, presence=(0.9, 1.0, 0.4, 0.8)), heat_share=share)
    assert definite_vertebrae(prediction) == pytest.approx(0.9 * 0.4 + 0.2)
    assert definite_vertebrae(replace(prediction, heat_share=None)) == pytest.approx(0.9 + 1.0 + 0.8)
    assert definite_vertebrae(replace(prediction, presence=np.zeros(4))) == 0


def test_the_limit_is_the_second_lowest_of_240_films() -> None:
    """2 of 241 is the largest share below 1 %; below the second lowest lies one film."""
    fitted = Refusal.fit(pairs(*np.linspace(0.01, 2.4, 240)), 0.01)
    assert fitted is not None
    assert fitted.least_vertebrae == pytest.approx(0.02)
    assert (fitted.n_films, fitted.n_refused) == (240, 1)
    assert fitted.of(seen(0.015)) == NOT_LUMBAR
    assert fitted.of(seen(0.02)) == ""
    assert fitted.in_words == "below 0.02 definite vertebrae: 1 of 240 validation films"


def test_too_few_films_promise_no_rate() -> None:
    """With 99 films, the share below the lowest is 1 of 100 at most, which is not less than 1 %."""
    assert Refusal.fit(pairs(*[1.0] * 99), 0.01) is None
    assert Refusal.fit(pairs(*[1.0] * 100), 0.01) is not None
    assert Refusal.fit(pairs(*[1.0] * 5000), 0.0) is None


def test_the_limit_lies_midway_between_others_and_lumbar_films() -> None:
    fitted = Refusal.fit(pairs(*[2.0] * 100), 0.01, [seen(value) for value in (*[0.0] * 10, *[1.0] * 10)])
    assert fitted is not None
    assert fitted.least_vertebrae == pytest.approx(1.5)
    assert (fitted.n_refused, fitted.n_others, fitted.n_others_refused) == (0, 20, 20)
    assert fitted.in_words.endswith("20 of 20 films without a lateral lumbar spine")


def test_others_that_look_like_lumbar_films_do_not_raise_the_rate() -> None:
    fitted = Refusal.fit(pairs(*[2.0] * 100), 0.01, [seen(9.0)] * 20)
    assert fitted is not None
    assert (fitted.least_vertebrae, fitted.n_refused, fitted.n_others_refused) == (2.0, 0, 0)


def test_films_without_vertebrae_or_from_the_front_do_not_count() -> None:
    empty, unlabelled = replace(LUMBAR, vertebrae=()), replace(LUMBAR, vertebrae=None)
    frontal = replace(LUMBAR, facing=Facing.NONE)
    others = [(film, seen(0.0)) for film in (empty, unlabelled, frontal)]
    fitted = Refusal.fit([*pairs(*[1.0] * 120), *others], 0.01)
    assert fitted is not None
    assert (fitted.n_films, fitted.least_vertebrae) == (120, 1.0)
    assert Refusal.fit([(frontal, seen(1.0))] * 200, 0.01) is None


@settings(max_examples=30)
@given(st.lists(st.floats(0, 10), min_size=100, max_size=300), st.lists(st.floats(0, 10), max_size=20))
def test_fewer_than_the_allowed_share_of_the_films_is_refused(values: list[float], others: list[float]) -> None:
    fitted = Refusal.fit(pairs(*values), 0.01, [seen(value) for value in others])
    assert fitted is not None
    assert fitted.n_refused < 0.01 * len(values)
