"""A small store, written as the commands write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from mlflow.tracking import MlflowClient
from sample_pages import PAGES

from spondylo_ml.promotion.decision import Decision, Verdict
from spondylo_ml.promotion.registry_pages import version_page
from spondylo_ml.tracking.addresses import page_link
from spondylo_ml.tracking.store import COMMAND_TAG, DESCRIPTION_TAG, PARENT_TAG, experiment_id

EXPERIMENT = "spondylo-landmarks"
ERRORS = {"unet lr4e-3 #1": 15.51, "maht_net #1": 5.31, "hrnet_w32 s2.5 #1": 9.2}
"""Validation error of each training run, px512."""

SETTINGS = {"unet lr4e-3 #1": "lr4e-3", "maht_net #1": "as the recipe", "hrnet_w32 s2.5 #1": "s2.5"}
STEPS = (0, 1, 2, 3)
CHAMPION, REGISTERED_MODEL = "maht_net #1", "spondylo-landmarks"
WHY = "better than version 1 (unet): MRE -10.20 px512 [-11.31, -9.08] on 180 synthetic test films"


@dataclass(frozen=True)
class WalkedStore:
    """A store, and what the walk must find in it.

    Attributes:
        run_ids: by the name of the run.
        errors: validation error of each training run, px512, by its name.
        steps: of the pictures of the training runs.
        why: the beginning of the reason why it is champion.
        more_pages: of other runs, as (name of the run, path of the page among its artefacts).
    """

    run_ids: Mapping[str, str]
    errors: Mapping[str, float]
    champion: str
    steps: tuple[int, ...]
    why: str
    more_pages: tuple[tuple[str, str], ...] = ()


def make_small_store() -> WalkedStore:
    """Write runs and a champion into the current store, without training anything."""
    client = MlflowClient()
    run_ids = write_small_store(client)
    register_champion(client, run_ids[CHAMPION])
    return WalkedStore(run_ids, ERRORS, CHAMPION, STEPS, WHY)


def write_small_store(client: MlflowClient) -> dict[str, str]:
    """Write three training runs, an evaluation of each, a study and a comparison; the id of each run by its name."""
    run_ids = {name: _training_run(client, name, error) for name, error in ERRORS.items()}
    for name, error in ERRORS.items():
        tags = {"judged_run": run_ids[name], PARENT_TAG: run_ids[name], **_films(name)}
        numbers = {"mre_px512": error + 1, "sdr_6px": 89 - error, "grade_accuracy_all": 88 - error, "n_labelled": 180.0}
        run_ids[f"evaluate {name}"] = _run(client, f"evaluate {name}", "evaluate", tags, _metrics("eval/", numbers))
    study = _run(client, "study unet-space", "tune", {"study": "unet-space"}, {})
    for number in (0, 1):
        tags = {"study": "unet-space", "trial": str(number), "trial_state": "COMPLETE", PARENT_TAG: study}
        _run(client, f"trial {number:03d}", "trial", tags, {"val_best/mre_px512": 20.0 - number})
    _run(client, "compare 2 runs", "compare", {"compared_runs": "a,b", "models": "unet,maht_net"}, {})
    return run_ids


def register_champion(client: MlflowClient, run_id: str) -> None:
    """Register the model of a run and make it the champion, with the description that `promote` writes."""
    client.create_registered_model(REGISTERED_MODEL)
    version = client.create_model_version(REGISTERED_MODEL, f"runs:/{run_id}/model", run_id)
    decision = Decision(Verdict.CHAMPION, (), (WHY,))
    facts = [("films", "phantom-0-1800x256px, test part"), ("model", "maht_net, 6,012,345 parameters")]
    client.update_model_version(REGISTERED_MODEL, version.version, version_page(decision, "2026-01-02", facts, "run"))
    client.set_registered_model_alias(REGISTERED_MODEL, "champion", version.version)


def _training_run(client: MlflowClient, name: str, error: float) -> str:
    tags = {"preset": "quick", "settings": SETTINGS[name], **_films(name)}
    run_id = _run(client, name, "train", tags, {})
    for step in STEPS:
        panel = np.full((160, 240, 3), 40, dtype=np.uint8)
        panel[40:120, 40 : 80 + 40 * step] = (255, 0, 255)
        client.log_image(run_id, panel, key="val/panel", step=step)
        if step:
            for metric in ("val/mre_px512", "val/sdr_6px", "train/loss", "learning_rate"):
                client.log_metric(run_id, metric, round(error * 4 / step, 2), step=step)
    numbers = {"mre_px512": error, "sdr_6px": 90 - error, "sdr_24px": 99 - error, "grade_accuracy_all": 89 - error}
    numbers |= {"slip_mae_percent": error / 2, "detection_f1": 95.0}
    for metric, value in (_metrics("val_best/", numbers) | {"time/training_s": 480.0}).items():
        client.log_metric(run_id, metric, value)
    client.log_param(run_id, "config.training.learning_rate", 0.004)
    client.log_image(run_id, np.full((200, 600, 3), 90, dtype=np.uint8), "examples.png")
    picture = f"![best, median and worst validation film](get-artifact?path=examples.png&run_uuid={run_id})"
    client.set_tag(
        run_id, DESCRIPTION_TAG, f"**{name}** {page_link('Open the page of this run', run_id=run_id)}\n\n{picture}\n"
    )
    client.log_text(run_id, PAGES["run"](name), "index.html")
    return run_id


def _metrics(prefix: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": round(value, 2) for name, value in values.items()}


def _films(name: str) -> dict[str, str]:
    return {"model": name.split()[0], "dataset": "phantom-0-1800x256px"}


def _run(client: MlflowClient, name: str, command: str, tags: Mapping[str, str], metrics: Mapping[str, float]) -> str:
    run = client.create_run(experiment_id(EXPERIMENT), run_name=name, tags={COMMAND_TAG: command, **tags})
    run_id = str(run.info.run_id)
    for metric, value in metrics.items():
        client.log_metric(run_id, metric, value)
    client.set_terminated(run_id)
    return run_id
