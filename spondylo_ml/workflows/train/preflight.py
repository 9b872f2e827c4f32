"""The checks before the first epoch, logged to the training run."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence

import mlflow

from spondylo_ml.config import Config
from spondylo_ml.data.prepare import PreparedFilm
from spondylo_ml.diagnosis.preflight import run_checks
from spondylo_ml.diagnosis.results import CheckResult, failed, inapplicable, require_passed, summary_line
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.training.device import Compute

log = logging.getLogger(__name__)

TAG, FILE = "preflight", "preflight.json"


def check_before_training(
    model: LandmarkModel, config: Config, compute: Compute, films: Mapping[str, Sequence[PreparedFilm]]
) -> None:
    """Run the checks and log the results to the active run; does nothing if `training.preflight` is off.

    Raises:
        PreflightError: a check failed; the message says what to change.
    """
    if not config.training.preflight:
        mlflow.set_tag(TAG, "off")
        return
    started = time.monotonic()
    results = run_checks(model, config, compute, films["train"], films["val"], len(films["train"])).results
    mlflow.log_text(json.dumps([result.to_json() for result in results], indent=1), FILE)
    mlflow.set_tag(TAG, _in_words(results))
    log.info("checks before training (%.1f s): %s", time.monotonic() - started, summary_line(results))
    require_passed(results)


def _in_words(results: Sequence[CheckResult]) -> str:
    """The failed checks; if none failed, "passed" with the checks that were not applicable."""
    if failures := failed(results):
        return "failed: " + ", ".join(result.name for result in failures)
    missing = ", ".join(result.name for result in inapplicable(results))
    return f"passed; not applicable: {missing}" if missing else "passed"
