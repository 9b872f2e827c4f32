"""Adds up the time that calls take within a larger piece of work, so that shares come from one run."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock


class Stopwatch:
    """Seconds by label."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def watching(
        self, owner: object, name: str, label: str | Callable[[], str], clock: Callable[[], float] = time.perf_counter
    ) -> Iterator[None]:
        """Add the time of each call of the owner's attribute `name`, calls within it included.

        Args:
            label: or a function that returns it, called before each call.
            clock: such as `time.thread_time` for processor time alone.
        """
        original = getattr(owner, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            key, started = label() if callable(label) else label, clock()
            try:
                return original(*arguments, **named)
            finally:
                self.seconds[key] += clock() - started

        with mock.patch.object(owner, name, timed):
            yield
