"""`list` on runs that were put into a store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from commands import environment
from mlflow.tracking import MlflowClient
from stores import add_run

from spondylo_ml.cli.summaries.store import list_summary
from spondylo_ml.config import ListConfig
from spondylo_ml.errors import ConfigError, TrackingError
from spondylo_ml.workflows.list_store import list_store

STUDY_TAGS = {"git_commit": "c", "study": "s", "study_state": "finished"}
TRIAL_TAGS = {"git_commit": "c", "study": "s", "trial": "1"}


def test_runs_are_listed_newest_first_or_best_first(client: MlflowClient) -> None:
    worse = add_run(client, "worse", metrics={"val_best/mre_px512": 20.0, "val_best/sdr_24px": 50.0}, days_old=1)
    better = add_run(client, "better", metrics={"val_best/mre_px512": 10.25}, days_old=3)
    failed = add_run(client, "failed", days_old=2, status="FAILED")
    rows = list_store(ListConfig()).rows
    assert rows[0] == ("run", "name", "command", "state", "MRE px512", "SDR@24 %", "started")
    assert [row[0] for row in rows[1:]] == [worse[:8], failed[:8], better[:8]]
    assert rows[1][1:6] == ("worse", "train", "finished", "20.00", "50.0")
    assert rows[2][1:6] == ("failed", "train", "failed", "", "")
    best_first = list_store(ListConfig(by="val_best/mre_px512", count=1))
    assert [row[1] for row in best_first.rows[1:]] == ["better"]
    assert list_summary(best_first).endswith("and 1 more: --count 2")
    assert [row[1] for row in list_store(ListConfig(models=("resnet50",))).rows[1:]] == []


def test_parts_of_a_study_are_listed_only_if_asked_for(client: MlflowClient) -> None:
    study = add_run(client, "study s", STUDY_TAGS, {"trials/complete": 3, "trials/fail": 1, "val_best/mre_px512": 7.5})
    add_run(client, "trial 001", TRIAL_TAGS, parent=study)
    add_run(client, "evaluate", {"git_commit": "c", "judged_run": "x"}, {"eval/mre_px512": 8.0}, days_old=5)
    assert [row[1] for row in list_store(ListConfig()).rows[1:]] == ["evaluate", "study s"]
    assert {row[1] for row in list_store(ListConfig(parts=True)).rows[1:]} == {"evaluate", "study s", "trial 001"}
    assert [row[1:5] for row in list_store(ListConfig(command="evaluate")).rows[1:]] == [
        ("evaluate", "evaluate", "finished", "8.00")
    ]
    (_, row) = list_store(ListConfig(what="studies")).rows
    assert row[1:6] == ("study s", "study", "finished", "3 complete, 1 fail", "MRE px512 7.50")


def test_registered_models_are_listed_with_their_aliases(client: MlflowClient) -> None:
    run_id = add_run(client)
    client.create_registered_model("landmarks")
    client.create_model_version("landmarks", f"runs:/{run_id}/model", run_id, tags={"model": "unet", "status": "new"})
    client.set_registered_model_alias("landmarks", "champion", "1")
    (_, row) = list_store(ListConfig(what="models")).rows
    assert row[:6] == ("landmarks", "1", "champion", "unet", "new", run_id[:8])


def test_an_empty_list_says_what_is_missing_and_bad_requests_are_errors(client: MlflowClient) -> None:
    assert list_summary(list_store(ListConfig())).startswith("no such run in sqlite:///")
    assert list_summary(list_store(ListConfig(what="models"))).startswith("no registered model in sqlite:///")
    assert list_summary(list_store(ListConfig(what="studies"))).startswith("no study and no benchmark in sqlite:///")
    add_run(client, metrics={"val_best/mre_px512": 20.0})
    with pytest.raises(TrackingError, match=r"no run in .* has 'val_best/sdr_6px'\. unknown metric"):
        list_store(ListConfig(by="val_best/sdr_6px"))
    with pytest.raises(TrackingError, match=r"unknown command 'trian'\. Did you mean 'train'\?"):
        list_store(ListConfig(command="trian"))
    with pytest.raises(TrackingError, match=r"unknown experiment 'other'"):
        list_store(ListConfig(experiment="other"))
    with pytest.raises(ConfigError, match="neither lower nor higher values of 'best/trial' are better"):
        list_store(ListConfig(by="best/trial"))


@pytest.mark.slow
def test_list_and_clean_import_no_torch(client: MlflowClient, tmp_path: Path) -> None:
    add_run(client, "tiny", days_old=100)
    code = (
        "import sys; from spondylo_ml.cli import main\nprint(main(['list']), main(['clean']), 'torch' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True
    )
    assert "tiny" in process.stdout, process.stderr
    assert process.stdout.splitlines()[-1] == "0 0 False"
