"""Making the starter model: the same weights again, also after a kill; what is refused; what its files state."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from mlflow.tracking import MlflowClient
from small_models import small_bundle

import spondylo_ml
from spondylo_ml.config import ReadingConfig, resolve_config
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.serving.bundle import load_bundle, save_bundle
from spondylo_ml.serving.local_model import STARTER_FOLDER, STARTER_VARIABLE
from spondylo_ml.tracking.checkpoints import checkpoint_folder
from spondylo_ml.tracking.resume import write_run_folder
from starter.build import HARDER, evaluate_again, harder_films, rounded_and_calibrated
from starter.card import _code_text
from starter.make import FILES, _commit_of_training, _only_process, _resumable, replace_folder, require_replaceable
from starter.options import LARGEST_MB
from starter.recipe import close_up_config, require_repeatable, starter_config, without_starting_model

ROOT = Path(__file__).resolve().parents[2]


def test_the_model_of_the_package_reads_films_as_its_recipe_says() -> None:
    assert load_bundle(STARTER_FOLDER).config.reading == starter_config(smoke=False).reading


@pytest.mark.parametrize("smoke", [False, True])
def test_the_recipe_and_its_smoke_variant_are_repeatable_and_of_the_same_network(smoke: bool) -> None:
    config, whole = starter_config(smoke), starter_config(False)
    require_repeatable(config)
    assert without_starting_model(config).model == without_starting_model(whole).model
    assert config.tracking.experiment == "starter"
    assert (config.data.phantom_films < 100) == smoke


@pytest.mark.parametrize("smoke", [False, True])
def test_the_close_up_is_trained_alone_on_the_model_of_the_first_recipe(tmp_path: Path, smoke: bool) -> None:
    first = starter_config(smoke)
    bundle = small_bundle("cascade_net")
    resolved = first.model_copy(update={"data": first.data.model_copy(update={"first_slot": 0, "n_slots": 10})})
    save_bundle(replace(bundle, config=resolved), tmp_path / "first")
    config = close_up_config(smoke, tmp_path / "first")
    assert config.training.parts == "close_up"
    assert config.model.pretrained == str(tmp_path / "first")
    assert config.data.input_hw is not None
    assert first.data.input_hw is not None
    assert [side // config.model.cascade_net.reduction for side in config.data.input_hw] == list(first.data.input_hw)
    films = {"phantom_films", "phantom_seed", "val_fraction", "test_fraction", "phantom_additions"}
    assert config.data.model_dump(include=films) == first.data.model_dump(include=films), "the same films, larger"
    assert without_starting_model(config).model.pretrained == "none"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training": {"minutes": 30}}, r"training\.minutes must not be set: a schedule that follows the clock"),
        ({"training": {"device": "auto"}}, r"training\.device must be cpu and training\.precision fp32"),
        ({"training": {"precision": "bf16"}}, r"training\.device must be cpu and training\.precision fp32"),
        ({"data": {"path": "films"}}, r"data\.path must not be set: the starter model is trained on synthetic films"),
        ({"model": {"pretrained": "auto"}}, r"model\.pretrained must be none or required"),
    ],
)
def test_a_recipe_whose_weights_would_differ_is_refused(values: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"training": {"device": "cpu", "precision": "fp32"}}
    require_repeatable(resolve_config(good))
    merged = {name: good.get(name, {}) | values.get(name, {}) for name in good | values}
    with pytest.raises(ConfigError, match=f"(?s)not repeatable:.*{message}"):
        require_repeatable(resolve_config(merged))


def test_a_changed_recipe_or_commit_does_not_resume_the_former_run(tmp_path: Path) -> None:
    path, config = tmp_path / "request.json", starter_config(smoke=True)
    first, other = "a" * 40, "b" * 40
    assert _commit_of_training(path, config, first, finished=False) == first
    assert _commit_of_training(path, config, first, finished=False) == first
    with pytest.raises(ConfigError, match=r"the training run of another commit \(commit a{12}, now b{12}\)"):
        _commit_of_training(path, config, other, finished=False)
    for finished in (False, True):
        with pytest.raises(ConfigError, match=r"the training run of another config .* give another folder with --work"):
            _commit_of_training(path, starter_config(smoke=False), first, finished)


def test_a_finished_run_may_be_built_by_a_later_commit_and_the_card_states_both(tmp_path: Path) -> None:
    path, config = tmp_path / "request.json", starter_config(smoke=True)
    first, later = "a" * 40, "b" * 40
    _commit_of_training(path, config, first, finished=False)
    assert _commit_of_training(path, config, later, finished=True) == first
    assert _commit_of_training(path, config, later, finished=True) == first, "the training run keeps its commit"
    request = json.loads(path.read_text())
    del request["config"]["clinical"]["instability_mm"]
    path.write_text(json.dumps(request))
    assert _commit_of_training(path, config, later, finished=True) == first, "a value that came later has its default"
    trained = {"code_commit": first, "close_up_commit": later}
    assert _code_text({"code_commit": later, "training": trained}) == (
        f"weights: commit `{first}`; close-up: commit `{later}`; calibration and evaluation: commit `{later}`"
    )
    assert _code_text({"code_commit": first, "training": trained | {"close_up_commit": first}}) == f"commit `{first}`"


def test_a_run_is_resumed_only_with_the_weights_of_its_best_epoch(
    client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    run_id = client.create_run("0").info.run_id
    assert _resumable(run_id) is None, "killed in its first epoch"
    folder = checkpoint_folder(run_id)
    write_run_folder(folder, run_id, starter_config(smoke=True))
    history = [{"epoch": epoch, "val/mre_px512": error} for epoch, error in ((1, 9.0), (2, 5.0), (3, 7.0))]
    torch.save({"epoch": 2, "callbacks": {"EpochReport": {"history": history}}}, folder / "last.ckpt")
    torch.save({"epoch": 1}, folder / "best.ckpt")
    resume = _resumable(run_id)
    assert resume is not None
    assert resume.checkpoint == folder / "last.ckpt"

    torch.save({"epoch": 0}, folder / "best.ckpt")
    assert _resumable(run_id) is None
    assert "the weights of its best epoch, 2, are lost" in caplog.text
    (folder / "best.ckpt").write_bytes(b"damaged")
    assert _resumable(run_id) is None


def test_only_a_folder_of_a_starter_model_is_replaced(tmp_path: Path) -> None:
    to, made = tmp_path / "starter", tmp_path / "built"
    require_replaceable(to)
    for folder in (to, made):
        folder.mkdir()
        (folder / "card.md").write_text(folder.name)
    (to / "origin.json").write_text("old")
    require_replaceable(to)
    replace_folder(to, made)
    assert {path.name: path.read_text() for path in to.iterdir()} == {"card.md": "built"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["built", "starter"]
    (to / "thesis.docx").write_text("years of work")
    with pytest.raises(DataError, match=r"not the folder of a starter model \(it has thesis\.docx\)"):
        require_replaceable(to)


def test_a_second_process_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    with _only_process(tmp_path / "lock"), pytest.raises(DataError, match="another process makes a starter model in"):
        with _only_process(tmp_path / "lock"):
            pass
    with _only_process(tmp_path / "lock"):
        pass


@pytest.mark.slow
def test_the_model_is_calibrated_with_the_weights_of_its_file() -> None:
    bundle = small_bundle("maht_net", steps=20)
    before = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    films = phantom_films(32, 3, 96)
    films = replace(films, films=tuple(replace(film, split="val") for film in films.films))
    calibrated, rounding = rounded_and_calibrated(bundle, films)
    assert calibrated.uncertainty is not None
    assert calibrated.evidence is not None
    assert rounding.n_corners == 32 * 10 * 4, "every vertebra is predicted as present"
    assert rounding.mean_px512 is not None
    assert rounding.largest_px512 is not None
    assert rounding.median_px512 is not None
    assert 0 < rounding.median_px512 < 0.05, "a network whose maps have clear peaks"
    assert 0 < rounding.mean_px512 <= rounding.largest_px512
    after = calibrated.model.state_dict()
    assert torch.equal(after["heatmaps.weight"], before["heatmaps.weight"].half().float())
    assert not torch.equal(after["heatmaps.weight"], before["heatmaps.weight"])
    harder = harder_films(1, 96)
    assert [film.image.condition for film in harder] == list(HARDER)
    on_more = rounded_and_calibrated(bundle, films, harder)[0]
    assert on_more.uncertainty is not None
    assert on_more.uncertainty.sets.n_levels > calibrated.uncertainty.sets.n_levels
    assert on_more.evidence == calibrated.evidence, "that of the validation films alone"
    assert on_more.config == bundle.config, "levels are checked again when it reads films"
    nothing = replace(films, films=films.films[:1])
    with pytest.raises(DataError, match="are needed"):
        rounded_and_calibrated(bundle, nothing)
    assert rounded_and_calibrated(bundle, nothing, uncalibrated=True)[0].uncertainty is None


def start(folder: Path) -> subprocess.Popen[str]:
    """Start `python -m starter` on the smoke variant."""
    command = [sys.executable, "-m", "starter", "--smoke", "true", "--changed_code", "true"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return subprocess.Popen(
        [*command, "--work", str(folder / "work"), "--to", str(folder / "starter")],
        cwd=ROOT,
        env=inherited,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(folder: Path) -> str:
    """Make the starter model; its output."""
    process = start(folder)
    output, _ = process.communicate(timeout=900)
    assert process.returncode == 0, output
    return output


def kill_in_training(folder: Path) -> None:
    """Start and kill -9 after the first epoch."""
    process = start(folder)
    try:
        deadline = time.monotonic() + 400
        while not list((folder / "work").glob("checkpoints/*/metrics.jsonl")):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline, "no epoch in 400 s"
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (folder / "starter").exists(), "killed too late"


@pytest.mark.slow
def test_the_same_weights_are_made_again_also_by_a_run_that_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish(tmp_path / "one")
    kill_in_training(tmp_path / "other")
    output = finish(tmp_path / "other")
    assert "is resumed" in output
    folder = tmp_path / "one" / "starter"
    assert {path.name for path in folder.iterdir()} == FILES
    for name in ("manifest.json", "weights.safetensors", "bundle.json"):
        assert (folder / name).read_bytes() == (tmp_path / "other" / "starter" / name).read_bytes(), name
    log = (tmp_path / "other" / "work" / "starter.log").read_text(encoding="utf-8")
    assert "epoch 1/" in log
    assert "starter model of digest" in log
    assert "is finished" in finish(tmp_path / "one"), "a third time it is not trained again"
    _check_files(folder)
    monkeypatch.setenv(STARTER_VARIABLE, str(folder))
    model = spondylo_ml.load("starter")
    (result,) = model.predict(phantom_films(1, 730_001, 96).films[:1])
    assert result.error == ""
    _check_another_way_of_reading(folder, tmp_path / "again")


def _check_another_way_of_reading(folder: Path, to: Path) -> None:
    before = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    made_digest = evaluate_again(folder, to, ReadingConfig(check_levels=True), "0123abc")
    after = json.loads((to / "origin.json").read_text(encoding="utf-8"))
    assert (to / "weights.safetensors").read_bytes() == (folder / "weights.safetensors").read_bytes()
    assert load_bundle(to).config.reading == ReadingConfig(check_levels=True)
    assert made_digest == after["digest"] != before["digest"]
    assert after["evaluation"]["code_commit"] == "0123abc"
    assert after["evaluation"]["films"] == {part: before["films"][part]["sha256"] for part in ("val", "test")}
    assert set(after) - set(before) == {"evaluation"}
    assert "evaluation: commit `0123abc`" in (to / "card.md").read_text(encoding="utf-8")


def _check_files(folder: Path) -> None:
    origin = json.loads((folder / "origin.json").read_text(encoding="utf-8"))
    card = (folder / "card.md").read_text(encoding="utf-8")
    films = origin["films"]
    data = load_bundle(folder).config.data
    n_under_conditions = len(data.phantom_training_conditions) * data.phantom_films_per_condition
    n_films = sum(films[part]["films"] for part in ("train", "val", "test"))
    assert n_films == starter_config(True).data.phantom_films + n_under_conditions
    for text in (origin["digest"], origin["code_commit"], films["train"]["sha256"], origin["machine"]["processor"]):
        assert text in card
    assert "| Mean radial error" in card or "| MRE" in card
    assert sum(path.stat().st_size for path in folder.iterdir()) < LARGEST_MB * 1e6
