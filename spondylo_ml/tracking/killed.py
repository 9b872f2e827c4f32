"""The state of a run whose process was killed before it could end the run."""

from __future__ import annotations

from mlflow.entities import Run
from mlflow.tracking import MlflowClient


def set_killed(run: Run) -> None:
    """Set the state of a run to KILLED, with the last time that is known of it as its end."""
    MlflowClient().set_terminated(run.info.run_id, "KILLED", end_time=last_known_ms(run))


def last_known_ms(run: Run) -> int | None:
    """When the run logged its last metric, in ms since 1970, or else when it started; None if it does not say."""
    times = [metric.timestamp for metric in run.data.to_proto().metrics]
    return max([*times, run.info.start_time or 0]) or None
