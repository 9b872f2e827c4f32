"""The progress bar of work on many films."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

log = logging.getLogger(__name__)

MANY_FILMS = 500
"""More films than these take so long that a line announces the work where there is no terminal for a bar."""


def film_bar(doing: str, count: int, delay_s: float = 0) -> tqdm[Any]:
    """A progress bar over `count` films; in a log file, one line if they are many.

    Args:
        doing: the work, such as "reading films"; the bar begins with it.
        delay_s: the bar appears after this time.
    """
    bar = tqdm(total=count, desc=doing, unit="film", delay=delay_s, disable=None)
    if bar.disable and count > MANY_FILMS:
        log.info("%s: %d", doing, count)
    return bar


def with_film_bar(items: Iterable[Item], doing: str, count: int) -> Iterator[Item]:
    """The same items, one per film, with `film_bar`."""
    with film_bar(doing, count) as bar:
        for item in items:
            yield item
            bar.update()
