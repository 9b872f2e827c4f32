"""The run that `mlflow run` opens before a command starts gets a name, and the reason if the command ends early."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def explained_in_run(command: str) -> Iterator[None]:
    """Name the run that `mlflow run` opened, and record the block's error in it, if the block does not open it."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        _end_unopened_run(command, error)
        raise
    _end_unopened_run(command, None)


def _end_unopened_run(command: str, error: BaseException | None) -> None:
    if "MLFLOW_RUN_ID" not in os.environ:
        return

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)

    from mlflow.exceptions import MlflowException

    from spondylo_ml.tracking.unopened_run import end_unopened_run

    try:
        end_unopened_run(command, error)
    except (MlflowException, OSError) as store_error:  # the block's own error is the one that matters
        sys.stderr.write(f"the run of mlflow run was not named: {type(store_error).__name__}\n")
