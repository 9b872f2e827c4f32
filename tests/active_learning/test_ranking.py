"""What becomes of each film: chosen, left, or set aside with the reason; nothing is dropped."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from spondylo_ml.active_learning.film_scores import GradeDoubt, MirrorShift
from spondylo_ml.active_learning.ranking import (
    NO_DOUBT,
    NO_FEATURES,
    NO_SHIFT,
    LabelledFilms,
    ScoredFilm,
    State,
    rank_films,
)


def scored(name: str, doubt: float, place: float, key: str = "") -> ScoredFilm:
    return ScoredFilm(name, key or name, GradeDoubt(doubt, "L4/L5", 5, 1), MirrorShift(1.0, 0), np.array([place, 2.0]))


FILMS = [scored("c", 0.3, 8.0), scored("a", 0.9, 0.0), scored("b", 0.6, 4.0)]


def test_chosen_films_come_first_with_their_numbers_and_distances() -> None:
    ranked = rank_films(FILMS, LabelledFilms(), 2)
    assert [(one.film.film_id, one.state, one.number) for one in ranked] == [
        ("a", State.CHOSEN, 1), ("b", State.CHOSEN, 2), ("c", State.LEFT, None)
    ]  # fmt: skip
    deviation = np.std([0.0, 4.0, 8.0])
    assert [one.nearest_chosen_sd for one in ranked[1:]] == pytest.approx([4 / deviation] * 2)
    assert math.isnan(ranked[0].nearest_chosen_sd)
    assert all(math.isnan(one.nearest_labelled_sd) for one in ranked)


def test_distances_from_labelled_films_count() -> None:
    """With one labelled film at 0, a is like it: b and c come first."""
    labelled = LabelledFilms(np.array([[0.0, 2.0]]), {"other": "x"})
    ranked = rank_films(FILMS, labelled, 3)
    assert [one.film.film_id for one in ranked][-1] == "a"
    assert ranked[-1].nearest_labelled_sd == 0.0


def test_films_that_cannot_be_chosen_are_listed_with_the_reason() -> None:
    films = [
        *FILMS,
        scored("d", 1.0, 9.0, key="a"),
        scored("e", 1.0, 9.0, key="known"),
        ScoredFilm("f", set_aside=State.UNREADABLE, reason="not an image"),
        replace(scored("g", 1.0, 9.0), set_aside=State.REFUSED, reason="not a lateral lumbar film"),
    ]
    ranked = rank_films(films, LabelledFilms(np.array([[0.0, 2.0]]), {"known": "x"}), 10)
    assert {one.film.film_id: (one.state, one.reason) for one in ranked[3:]} == {
        "d": (State.REPEATED, "the pixels of a"),
        "e": (State.LABELLED, "the pixels of x, which has labels"),
        "f": (State.UNREADABLE, "not an image"),
        "g": (State.REFUSED, "not a lateral lumbar film"),
    }
    assert len(ranked) == len(films)
    assert all(one.number is None and math.isnan(one.mean_rank) for one in ranked[3:])


def test_a_film_about_which_nothing_is_known_is_listed_and_not_chosen() -> None:
    films = [replace(film, features=NO_FEATURES) for film in FILMS]
    films.append(replace(films[0], film_id="d", film_key="d", doubt=NO_DOUBT, shift=NO_SHIFT))
    for count in (4, 3):
        ranked = rank_films(films, LabelledFilms(), count)
        assert [one.state for one in ranked] == [State.CHOSEN] * 3 + [State.UNKNOWN]
        assert ranked[-1].reason.startswith("no grade probabilities")
    states = {one.film.film_id: one.state for one in rank_films(films, LabelledFilms(), 2)}
    assert states == {"a": State.CHOSEN, "b": State.CHOSEN, "c": State.LEFT, "d": State.UNKNOWN}


def test_no_film_at_all() -> None:
    broken = ScoredFilm("f", set_aside=State.UNREADABLE, reason="not an image")
    assert [one.state for one in rank_films([broken], LabelledFilms(), 5)] == [State.UNREADABLE]
