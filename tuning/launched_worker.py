"""The job of a worker that `tuning.launch` starts: a module of its own, so that the job finds it by its name."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.cli import main as tune


def work(arguments: Sequence[str]) -> None:
    """The job of a worker.

    Raises:
        SystemExit: with the exit code of `tune` if it is not 0, so that the job counts as failed.
    """
    code = tune(arguments)
    if code:
        raise SystemExit(code)
