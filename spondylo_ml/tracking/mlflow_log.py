"""A `RunLog` that sends to MLflow and survives outages of the store."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import mlflow
from mlflow.entities import Metric
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient

from spondylo_ml.evaluation.headline import epoch_headline
from spondylo_ml.training.run_log import ColourImage, FolderRunLog

QUEUE_SIZE = 1000
RETRY_SECONDS = 5.0
OUTAGE_TAG = "tracking_outage"
VALIDATION_ERROR = "val/mre_px512"

Call = Callable[[], object]


class MlflowRunLog:
    """Sends the headline metrics in the background, in order, and keeps a copy of all metrics on disk.

    Failed calls are retried until `close`. Calls that were not sent by then are counted; their content is in the folder
    (`metrics.jsonl`, one epoch per line, and `images/`).
    """

    def __init__(
        self, run_id: str, folder: Path, system_metrics: bool = False, retry_seconds: float = RETRY_SECONDS
    ) -> None:
        self._run_id, self._copy, self._retry_seconds = run_id, FolderRunLog(folder), retry_seconds
        self._monitor: SystemMetricsMonitor | None = None
        if system_metrics:
            self._monitor = SystemMetricsMonitor(run_id, resume_logging=True)  # type: ignore[no-untyped-call]
        self._first_epoch = True
        self._client = MlflowClient()
        self._queue: queue.Queue[Call | None] = queue.Queue(QUEUE_SIZE)
        self._closing = threading.Event()
        self._outage = False
        self.dropped = 0
        self._worker = threading.Thread(target=self._send_all, name="mlflow-log", daemon=True)
        self._worker.start()

    def metrics(self, values: Mapping[str, float], epoch: int) -> None:
        """See `RunLog`."""
        self._copy.metrics(values, epoch)
        if self._first_epoch:
            # MLflow's page that compares runs opens with the metric that was logged first.
            self._first_epoch = False
            error = {name: value for name, value in values.items() if name == VALIDATION_ERROR}
            values = {name: value for name, value in values.items() if name not in error}
            self._put(lambda: self._client.log_batch(self._run_id, metrics=_metrics(error, epoch)))
            if self._monitor is not None:
                self._put(self._monitor.start)
        others = values
        self._put(lambda: self._client.log_batch(self._run_id, metrics=_metrics(others, epoch)))

    def image(self, image: ColourImage, key: str, epoch: int) -> None:
        """See `RunLog`."""
        self._copy.image(image, key, epoch)
        self._put(lambda: self._client.log_image(self._run_id, image, key=key, step=epoch))

    def restore(self, history: list[dict[str, Any]]) -> None:
        """See `RunLog`."""
        if not history:
            return
        self._copy.restore(history)

        def send() -> None:
            logged = {m.step for m in self._client.get_metric_history(self._run_id, VALIDATION_ERROR)}
            for row in history:
                if row["epoch"] not in logged:
                    values = {name: value for name, value in row.items() if name != "epoch"}
                    self._client.log_batch(self._run_id, metrics=_metrics(values, row["epoch"]))

        self._put(send)

    def close(self, timeout_s: float = 60.0) -> int:
        """Wait until everything is sent; return the number of calls that could not be, or were not until now.

        What waits goes on to be sent in the background, so that a second call may return fewer.
        """
        if not self._closing.is_set():
            self._closing.set()
            self._put(None)
        self._worker.join(timeout_s)
        if self._monitor is not None:
            self._monitor.finish()  # type: ignore[no-untyped-call]
            self._monitor = None
        return self.dropped + self._queue.qsize()

    def _put(self, call: Call | None) -> None:
        try:
            # The queue is full only after a long outage; its content and this call are also on disk.
            self._queue.put_nowait(call)
        except queue.Full:
            self.dropped += 1

    def _send_all(self) -> None:
        while (call := self._queue.get()) is not None:
            while not self._sent(call):
                self._outage = True
                if self._closing.is_set():
                    self.dropped += 1
                    break
                time.sleep(self._retry_seconds)
            else:
                self._tag_outage()

    def _sent(self, call: Call) -> bool:
        try:
            call()
        except Exception:
            # Training continues after any error of the client; the tag and the count record it.
            return False
        return True

    def _tag_outage(self) -> None:
        if self._outage and self._sent(lambda: self._client.set_tag(self._run_id, OUTAGE_TAG, "true")):
            self._outage = False


def _metrics(values: Mapping[str, float], epoch: int) -> list[Metric]:
    now = int(time.time() * 1000)
    # NaN stands for "nothing to measure" and is left out: MLflow's charts would draw it as a point.
    return [Metric(name, value, now, epoch) for name, value in epoch_headline(values).items()]


def log_params(values: Mapping[str, object], prefix: str = "config.") -> None:
    """Log values of the configuration under the prefix `config.`: `mlflow run` logs plain names as strings.

    Parameters that the run already has are kept: MLflow does not allow changing them, and a resumed run may use another
    tracking store or number of workers.
    """
    named = {f"{prefix}{name}": value for name, value in values.items()}
    run = mlflow.active_run()
    logged = mlflow.get_run(run.info.run_id).data.params if run else {}
    mlflow.log_params({name: value for name, value in named.items() if name not in logged})
