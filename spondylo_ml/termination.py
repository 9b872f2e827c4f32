"""SIGTERM as an exception, so that a program cleans up after it as after Ctrl-C; both are raised where that is safe.

A cluster, `timeout`, a container or a service manager ends a program by this signal.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

UNSAFE_LIBRARIES = ("sqlalchemy", "weakref")
"""An exception in the midst of a database call, as in a commit, may leave a connection that locks the database for the
whole process: the run could not be ended any more. In the callback of a weak reference it is lost."""

UNSAFE_FUNCTIONS = ("__del__", "start_run", "end_run")
"""In `__del__` an exception is lost. MLflow's `start_run` writes a run before it keeps it as the active one, and
`end_run` forgets it before it writes that it has ended: with an exception between the two it would stay RUNNING."""

POSTPONED_S, LONGEST_S = 0.02, 30.0
"""Seconds until a signal that came at such a place is sent again, and for how long it is postponed at most."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end by SIGTERM."""


def cause_of(interrupt: KeyboardInterrupt) -> str:
    """What interrupted the program, in a word: SIGTERM or Ctrl-C."""
    return "SIGTERM" if isinstance(interrupt, Terminated) else "Ctrl-C"


class _AtSafePlaces:
    """Handler of a signal that acts at once, or when the main thread has left a place where it must not."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._timer: threading.Timer | None = None
        self._since: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self._since = now if self._since is None else self._since
        if _unsafe(frame) and now - self._since < LONGEST_S:
            main = threading.main_thread().ident
            self._timer = threading.Timer(POSTPONED_S, signal.pthread_kill, (main, number))
            self._timer.daemon = True
            self._timer.start()
        else:
            self._since = None
            self._act()

    def forget(self) -> None:
        """Let no postponed signal come any more."""
        if self._timer is not None:
            self._timer.cancel()


def _unsafe(frame: FrameType | None) -> bool:
    while frame is not None:
        library = str(frame.f_globals.get("__name__", "")).partition(".")[0]
        if library in UNSAFE_LIBRARIES or frame.f_code.co_name in UNSAFE_FUNCTIONS:
            return True
        frame = frame.f_back
    return False


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Raise `Terminated` in the main thread on the first SIGTERM; later ones must not interrupt the cleanup.

    Ctrl-C raises `KeyboardInterrupt` each time, as it does in Python. In a call of a database, and while MLflow starts
    or ends a run, both wait for its end.
    """
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in the main thread only
        yield
        return
    received = False

    def terminate() -> None:
        nonlocal received
        if not received:
            received = True
            raise Terminated

    def interrupt() -> None:
        raise KeyboardInterrupt

    handlers = {signal.SIGTERM: _AtSafePlaces(terminate)}
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # otherwise whoever set it decides
        handlers[signal.SIGINT] = _AtSafePlaces(interrupt)
    previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            handler.forget()
            before = previous[number]
            signal.signal(number, signal.SIG_DFL if before is None else before)
