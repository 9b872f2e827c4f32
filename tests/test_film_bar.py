"""Work on many films announces itself in a log file, where there is no terminal for a bar."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from spondylo_ml.film_bar import MANY_FILMS, film_bar, with_film_bar


def test_many_films_are_announced_in_a_line_and_few_are_not(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "spondylo_ml")
    with film_bar("reading films", MANY_FILMS):
        pass
    assert caplog.messages == []
    with film_bar("reading films", MANY_FILMS + 1):
        pass
    assert caplog.messages == ["reading films: 501"]


def test_the_items_come_through_in_order_and_one_at_a_time() -> None:
    taken: list[int] = []

    def items() -> Iterator[object]:
        for number in range(3):
            taken.append(number)
            yield number

    passed = with_film_bar(items(), "reading films", 3)
    assert next(passed) == 0
    assert taken == [0]
    assert list(passed) == [1, 2]


def test_an_error_of_an_item_is_raised() -> None:
    def items() -> Iterator[object]:
        yield "a film"
        raise OSError("no film")

    passed = with_film_bar(items(), "reading films", 2)
    assert next(passed) == "a film"
    with pytest.raises(OSError, match="no film"):
        next(passed)
