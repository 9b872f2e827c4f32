"""`diagnose` as a user runs it on a finished training run."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from builders import mendeley_folder
from commands import artifacts_of, client_of, run, runs_of, start
from mlflow.entities import Run


@pytest.fixture(scope="module")
def diagnosis(tiny_run: tuple[Path, Run, str]) -> tuple[Path, Run, Run, str]:
    """The folder, the training run, the run of its diagnosis, and the output of the command."""
    folder, tiny, _ = tiny_run
    output = run(folder, "diagnose", "--run_id", tiny.info.run_id, "--films", "3", "--resamples", "100")
    return folder, tiny, next(r for r in runs_of(folder) if "diagnosed_run" in r.data.tags), output


def test_a_diagnosis_is_logged_to_its_own_run_which_names_the_model(diagnosis: tuple[Path, Run, Run, str]) -> None:
    folder, tiny, diagnosis_run, _ = diagnosis
    assert diagnosis_run.info.run_id != tiny.info.run_id
    assert diagnosis_run.info.run_name == "diagnose tiny on phantom-0-24x256px"
    tags = diagnosis_run.data.tags
    assert (tags["diagnosed_run"], tags["model"], tags["command"]) == (tiny.info.run_id, "unet", "diagnose")
    assert tags["data_digest.val"] == tiny.data.tags["data_digest.val"]
    assert diagnosis_run.data.metrics["diagnosis/checks_failed"] == 0
    error = tiny.data.metrics["val_best/mre_px512"]
    assert diagnosis_run.data.metrics["diagnosis/mre_px512"] == pytest.approx(error, abs=0.005)
    assert {"diagnosis.json", "index.html"} <= set(artifacts_of(folder, diagnosis_run.info.run_id))
    assert tiny.data.metrics == client_of(folder).get_run(tiny.info.run_id).data.metrics


def test_the_terminal_prints_checks_causes_and_advice(diagnosis: tuple[Path, Run, Run, str]) -> None:
    _, _, diagnosis_run, output = diagnosis
    for name in ("gradients", "oracle", "inputs", "first rate", "flip", "memory"):
        assert re.search(rf"check {name} +passed: ", output), output
    assert re.search(r"error is +\w+ \d+ %", output)
    assert re.search(r"dead channels +\d+ of \d+", output)
    assert "To do: " in output
    assert "other films" not in output
    assert diagnosis_run.info.run_id in output
    assert output.rstrip().endswith("Research software, not a medical device.")


def test_the_json_holds_the_whole_diagnosis(diagnosis: tuple[Path, Run, Run, str]) -> None:
    folder, tiny, diagnosis_run, _ = diagnosis
    path = client_of(folder).download_artifacts(diagnosis_run.info.run_id, "diagnosis.json")
    tree = json.loads(Path(path).read_text(encoding="utf-8"))
    assert tree["run_id"] == tiny.info.run_id
    assert [check["outcome"] for check in tree["checks"]] == ["passed"] * 6
    shares = [row["share_of_error_percent"] for row in tree["anatomy"].values()]
    assert sum(shares) == pytest.approx(100)
    metrics = diagnosis_run.data.metrics
    assert tree["anatomy"]["missed"]["share_of_error_percent"] == pytest.approx(metrics["diagnosis/share_missed"])
    channels = tree["dead_channels"]
    assert channels["channels"] == sum(layer["channels"] for layer in channels["layers"]) > 1000
    assert channels["dead"] == sum(len(layer["zero"]) + len(layer["constant"]) for layer in channels["layers"])
    assert tree["parameters"]["without_path"] == []
    assert tree["findings"]


def test_the_page_is_self_contained(diagnosis: tuple[Path, Run, Run, str]) -> None:
    folder, _, diagnosis_run, _ = diagnosis
    path = client_of(folder).download_artifacts(diagnosis_run.info.run_id, "index.html")
    html = Path(path).read_text(encoding="utf-8")
    assert "Diagnosis of tiny" in html
    assert "Synthetic films." in html
    assert "not a medical device" in html
    assert "data:image/jpeg;base64," in html
    assert not re.search(r"(src|href)=[\"']?https?:", html)
    assert "the first step has learning rates from" in html


@pytest.mark.slow
def test_films_other_than_those_of_training_are_diagnosed_with_a_remark(
    tiny_run: tuple[Path, Run, str], tmp_path: Path
) -> None:
    folder, tiny, _ = tiny_run
    root = mendeley_folder(tmp_path / "lateral", train=4, val=3, test=0)
    output = run(
        folder,
        "diagnose",
        "--run_id",
        tiny.info.run_id,
        "--data",
        str(root),
        "--data.on_audit_error",
        "continue",
        "--resamples",
        "100",
    )
    assert "other films: The films are not those of the run" in output


def test_an_unknown_run_is_reported(tiny_run: tuple[Path, Run, str]) -> None:
    folder, _, _ = tiny_run
    process = start(folder, "diagnose", "--run_id", "nowhere")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "no run 'nowhere' in" in output
