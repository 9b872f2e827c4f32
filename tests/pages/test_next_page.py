"""The page of the films to label first: reasons in words, order, and nothing left out."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from spondylo_ml.active_learning.film_scores import GradeDoubt, MirrorShift
from spondylo_ml.active_learning.ranking import NO_DOUBT, NO_SHIFT, RankedFilm, ScoredFilm, State
from spondylo_ml.pages.next_page import NextPage, next_page, reasons

FILM = ScoredFilm("film-1", "k", GradeDoubt(0.43, "L4/L5", 5, 2), MirrorShift(6.21, 2))
FIRST = RankedFilm(FILM, State.CHOSEN, "", 1, 0.75, 1.5, math.nan)


def test_reasons_are_values_in_words_and_unknown_ones_are_named_so() -> None:
    assert reasons(FIRST) == [
        "L4/L5: grade wrong with probability 43 %",
        "mirrored: corners move by 6.2 px512, 2 bodies in one reading only",
        "1.50 SD from the nearest labelled film",
    ]
    assert reasons(replace(FIRST, film=replace(FILM, shift=MirrorShift(1.0, 1))))[1].endswith(
        "1 body in one reading only"
    )
    unknown = replace(FIRST, film=replace(FILM, doubt=NO_DOUBT, shift=NO_SHIFT), nearest_labelled_sd=math.nan)
    assert reasons(unknown) == ["doubt about grades: unknown", "mirrored: unknown"]


def test_films_without_a_rank_come_first_then_the_chosen_ones_in_order() -> None:
    second = replace(FIRST, film=replace(FILM, film_id="film-2"), number=2, nearest_chosen_sd=0.8)
    others = [
        RankedFilm(ScoredFilm("copy"), State.REPEATED, "the pixels of film-1"),
        RankedFilm(ScoredFilm("left"), State.LEFT),
        RankedFilm(ScoredFilm("odd"), State.REFUSED, "not a lateral lumbar film"),
    ]
    page = next_page(
        NextPage(
            "next", [("films", "5")], ["note"], [FIRST, second, *others], {"film-1": np.zeros((4, 4, 3), np.uint8)}
        )
    )
    places = [page.index(text) for text in ("note", "not a lateral lumbar film", "the pixels of film-1", "1. film-1")]
    assert places == sorted(places)
    assert page.count("data:image/jpeg") == 1
    assert "<td>0.80</td>" in page
    assert page.count("<td>none before</td>") == 1
    assert ">left<" not in page, "films that were ranked and not chosen are in the list only"
