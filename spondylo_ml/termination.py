"""SIGTERM as an exception, so that a program cleans up after it as after Ctrl-C.

A cluster, `timeout`, a container or a service manager ends a program by this signal.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


def cause_of(interrupt: KeyboardInterrupt) -> str:
    """What interrupted the program, in a word: SIGTERM or Ctrl-C."""
    return "SIGTERM" if isinstance(interrupt, Terminated) else "Ctrl-C"


@contextmanager
def raise_on_sigterm() -> Iterator[None]:
    """Raise `Terminated` in the main thread on the first SIGTERM; later ones must not interrupt the cleanup."""
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    received = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal received
        if not received:
            received = True
            raise Terminated

    previous = signal.signal(signal.SIGTERM, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if previous is None else previous)
