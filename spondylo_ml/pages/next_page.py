"""The page of the films to label first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from spondylo_ml.active_learning.ranking import RankedFilm, State
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.render import jpeg_uri, render_page

LISTED = 300
"""Most rows of a list on the page; next.csv has all."""

BESIDES = (State.REFUSED, State.UNREADABLE, State.UNKNOWN, State.LABELLED, State.REPEATED)
"""States that the page lists with their reasons, most urgent first."""

HEAD = ("number", "film", "grade wrong", "level", "levels to refer", "moves, px512", "in one reading only",
        "from labelled, SD", "from chosen, SD", "mean rank")  # fmt: skip


@dataclass(frozen=True)
class NextPage:
    """What the page shows.

    Attributes:
        facts: counts and the model, as label and value.
        remarks: what the ranks do not include.
        ranked: all films, the chosen ones first in order.
        pictures: of chosen films, by name.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    remarks: Sequence[str]
    ranked: Sequence[RankedFilm]
    pictures: Mapping[str, Picture]


def next_page(page: NextPage) -> str:
    """HTML: films without a rank, pictures of the chosen films with the reasons, and a table of all chosen."""
    chosen = [one for one in page.ranked if one.state is State.CHOSEN]
    besides = [one for state in BESIDES for one in page.ranked if one.state is state]
    shown = [one for one in chosen if one.film.film_id in page.pictures]
    return render_page(
        "next.html",
        title=page.title,
        facts=page.facts,
        remarks=page.remarks,
        films=[(one, jpeg_uri(page.pictures[one.film.film_id]), reasons(one)) for one in shown],
        chosen=[list(HEAD), *map(_row, chosen[:LISTED])],
        n_chosen=len(chosen),
        besides=[
            ["film", "state", "reason"],
            *([one.film.film_id, one.state.value, one.reason] for one in besides[:LISTED]),
        ],
        n_besides=len(besides),
        listed=LISTED,
    )


def reasons(one: RankedFilm) -> list[str]:
    """Why a film was chosen: its values in words; those that are unknown are named as such."""
    doubt, shift = one.film.doubt, one.film.shift
    grade = (
        "doubt about grades: unknown"
        if math.isnan(doubt.probability)
        else f"{doubt.level}: grade wrong with probability {100 * doubt.probability:.0f} %"
    )
    moves = "mirrored: unknown" if math.isnan(shift.px512) else f"mirrored: corners move by {shift.px512:.1f} px512"
    if shift.n_one_sided:
        moves += f", {shift.n_one_sided} {_bodies(shift.n_one_sided)} in one reading only"
    distances = [
        f"{distance:.2f} SD from the nearest {what} film"
        for distance, what in ((one.nearest_labelled_sd, "labelled"), (one.nearest_chosen_sd, "chosen"))
        if not math.isnan(distance)
    ]
    return [grade, moves, *distances]


def _row(one: RankedFilm) -> list[str]:
    doubt, shift = one.film.doubt, one.film.shift
    return [
        str(one.number),
        one.film.film_id,
        _text(100 * doubt.probability, "{:.0f} %"),
        doubt.level or "unknown",
        f"{doubt.n_refer} of {doubt.n_levels}",
        _text(shift.px512, "{:.1f}"),
        str(shift.n_one_sided),
        _text(one.nearest_labelled_sd, "{:.2f}"),
        "none before" if one.number == 1 else _text(one.nearest_chosen_sd, "{:.2f}"),
        _text(one.mean_rank, "{:.2f}"),
    ]


def _bodies(count: int) -> str:
    return "body" if count == 1 else "bodies"


def _text(value: float, form: str) -> str:
    return "unknown" if math.isnan(value) else form.format(value)
