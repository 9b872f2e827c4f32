"""How a run ended if it did not finish: the reason, as a tag and as the first line of its description."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from traceback import extract_tb

from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from spondylo_ml.errors import SpondyloError
from spondylo_ml.termination import cause_of

log = logging.getLogger(__name__)

ERROR_TAG, STOPPED_TAG = "error", "stopped_by"
"""Why a run failed or was stopped; what stopped it, which an error did not."""

OLD_ERROR_TAG = "failure"
"""What the tag was called before; runs of older stores have it."""

LONGEST_TAG = 500
RED = "🔴 **"
OPEN = ("RUNNING", "SCHEDULED")
"""Statuses of a run that can be written to."""


def red_line(text: str) -> str:
    """The first line of a description in MLflow, whose Markdown has no colours but those of symbols."""
    return f"{RED}{text}**\n"


def end_status(error: BaseException) -> str:
    """The status in which an error, Ctrl-C or SIGTERM ends a run."""
    return "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"


def record_end(run_id: str, error: BaseException, how_to_resume: Callable[[str], str] = lambda run_id: "") -> None:
    """Record why a run ends. If that fails, it is only logged: the error itself matters more.

    Args:
        error: the error, Ctrl-C or SIGTERM that ends it.
        how_to_resume: a sentence on how to go on with the run of this id. It is also added to the error, for the
            terminal; errors of our own say themselves what to do.
    """
    try:
        advice = "" if isinstance(error, SpondyloError) else how_to_resume(run_id)
        if advice:
            error.add_note(advice)
        if isinstance(error, KeyboardInterrupt):
            cause = cause_of(error)
            _record(run_id, f"stopped by {cause}", advice)
            MlflowClient().set_tag(run_id, STOPPED_TAG, cause)
        else:
            _record(run_id, failure_text(error)[:LONGEST_TAG], advice)
    except Exception as failure:
        log.warning(
            "run %s does not say why it ended: the store failed (%s: %s)", run_id, type(failure).__name__, failure
        )


def record_reason(run_id: str, reason: str) -> None:
    """Record in words why a run failed."""
    _record(run_id, reason[:LONGEST_TAG], "")


def error_of(run: Run) -> str:
    """Why a run failed or was stopped; empty if it was neither."""
    return str(run.data.tags.get(ERROR_TAG) or run.data.tags.get(OLD_ERROR_TAG, ""))


def clear_outcome(run_id: str) -> None:
    """Remove what a former attempt recorded, before the run goes on."""
    client = MlflowClient()
    tags = client.get_run(run_id).data.tags
    for name in (ERROR_TAG, OLD_ERROR_TAG, STOPPED_TAG):
        if name in tags:
            client.delete_tag(run_id, name)
    description = tags.get(MLFLOW_RUN_NOTE, "")
    if ERROR_TAG in tags and description.startswith(RED):
        client.set_tag(run_id, MLFLOW_RUN_NOTE, description.partition("\n\n")[2])


def failure_text(error: BaseException) -> str:
    """The text of an error for a run: the message of our own errors, otherwise its type and the place in our code.

    Messages of other libraries may contain paths of films; only the terminal shows those.
    """
    name = type(error).__name__
    if isinstance(error, SpondyloError):
        return f"{name}: {error.in_run()}"
    package = Path(__file__).resolve().parents[1]
    frames = [frame for frame in extract_tb(error.__traceback__) if _is_ours(Path(frame.filename), package)]
    if not frames:
        return name
    return f"{name} in {Path(frames[-1].filename).relative_to(package).as_posix()}, line {frames[-1].lineno}"


def _is_ours(file: Path, package: Path) -> bool:
    """Whether the file is in this package; not the module that opens runs, which every error of a run passes."""
    return file.is_relative_to(package) and file != package / "tracking" / "store.py"


def _record(run_id: str, reason: str, advice: str) -> None:
    client = MlflowClient()
    description = client.get_run(run_id).data.tags.get(MLFLOW_RUN_NOTE, "")
    sentence = f"{reason}. {advice}" if advice else reason
    client.set_tag(run_id, ERROR_TAG, sentence)
    client.set_tag(run_id, MLFLOW_RUN_NOTE, "\n\n".join(filter(None, [red_line(sentence).rstrip(), description])))
