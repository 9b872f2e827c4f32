"""Training that goes on from a trained model, as a user starts it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from builders import plain_film
from commands import ROOT, client_of, run, runs_of, start
from mlflow.entities import Run
from safetensors.torch import load_file

from spondylo_ml.workflows.shared.training_films import TrainingFilms, training_films_of_model
from spondylo_ml.workflows.train.starting_weights import warn_of_films_seen

FEW = (
    "--preset", "finetune", "--data.phantom_films", "7", "--data.phantom_seed", "5",
    "--data.phantom_long_side_px", "96",
    "--training.film_passes", "8", "--training.precision", "fp32", "--training.preflight", "false",
    "--tracking.system_metrics", "false", "--tracking.panel_films", "0",
)  # fmt: skip
STILL = ("--training.learning_rate", "1e-12", "--training.min_learning_rate", "0", "--training.ema_decay", "0")


def weights_file(folder: Path, run_id: str) -> Path:
    """The weights of the model that a run logged."""
    artefacts = client_of(folder).get_run(run_id)
    model_id = artefacts.outputs.model_outputs[0].model_id
    location = client_of(folder).get_logged_model(model_id).artifact_location.removeprefix("file://")
    (path,) = (folder / location).rglob("weights.safetensors")
    return path


@pytest.mark.slow
def test_a_run_goes_on_from_the_starter_model_with_few_films_and_fewer_levels(
    tiny_run: tuple[Path, Run, str], tmp_path: Path
) -> None:
    folder, tiny, _ = tiny_run
    source = weights_file(folder, tiny.info.run_id)
    options = ("--model.pretrained", "starter", "--data.first_slot", "1", "--data.n_slots", "5", *STILL)
    output = run(tmp_path, "train", *FEW, *options, SPONDYLO_STARTER=str(source.parent))
    assert "training goes on from model unet, starter from folder" in output
    assert "freezes nothing" not in output
    assert "validation films are of patients on whom" not in output, "they have another seed"
    (made,) = runs_of(tmp_path)
    params, tags = made.data.params, made.data.tags
    assert (params["config.model.name"], tags["preset"]) == ("unet", "finetune")
    assert params["config.data.input_hw"] == tiny.data.params["config.data.input_hw"]
    assert tags["pretrained"].startswith("model unet, starter from folder")
    assert tags["pretrained"].endswith(f"digest {tiny.data.tags['bundle_digest']}")
    before, after = load_file(source), load_file(weights_file(tmp_path, made.info.run_id))
    for name, value in after.items():
        if "running" in name or "num_batches" in name:
            continue  # batch norm sees the new films
        whole = before[name]
        if name in ("heatmaps.weight", "heatmaps.bias"):
            whole = whole[4:24]
        elif name.startswith("presence.") or name.startswith("chain.body"):
            whole = whole[1:6]
        elif name.startswith("chain.step"):
            whole = whole[1:5]
        assert torch.allclose(value.double(), whole.double(), atol=1e-6), name


def test_the_training_films_of_a_model_in_a_folder_are_those_of_its_run_if_they_are_synthetic(
    tiny_run: tuple[Path, Run, str], caplog: pytest.LogCaptureFixture
) -> None:
    folder, tiny, _ = tiny_run
    path = client_of(folder).download_artifacts(tiny.info.run_id, "data/split.csv")
    rows = [line.split(",") for line in Path(path).read_text(encoding="utf-8").splitlines()[1:]]
    model = str(weights_file(folder, tiny.info.run_id).parent)
    seen = {row[0] for row in rows if row[2] == "train"}
    assert training_films_of_model(model) == TrainingFilms(frozenset(seen), complete=True)

    val = [plain_film(name) for name in (sorted(seen)[0], sorted(seen)[1], "another")]
    warn_of_films_seen(model, val[2:])
    assert caplog.messages == []
    warn_of_films_seen(model, val)
    (message,) = caplog.messages
    assert message.startswith("2 of the 3 validation films are of patients on whom the model that training goes on")


def test_levels_that_the_model_lacks_end_the_run_with_the_reason(
    tiny_run: tuple[Path, Run, str],
) -> None:
    folder, tiny, _ = tiny_run
    process = start(folder, "train", *FEW, "--model.pretrained", tiny.info.run_id, "--data.first_slot", "2")
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 2
    assert f"model.pretrained: unet, run {tiny.info.run_id} has the levels S1 to T9, the films L4 to " in output


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--preset", "finetune"),
            "preset: finetune goes on from a trained model, and none is given: set model.pretrained",
        ),
        (("--model.pretrained", "starter"), "nor a model: there is no starter model: SPONDYLO_STARTER names "),
        (
            ("--model.pretrained", "nobody"),
            "given 'nobody', which is neither none, auto nor required (ImageNet weights)",
        ),
    ],
)
def test_nothing_to_go_on_from_is_reported_before_anything_slow(
    tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    process = start(tmp_path, "train", *options, SPONDYLO_STARTER=str(ROOT / "docs"))
    output, _ = process.communicate(timeout=120)
    assert (process.returncode, message in output) == (2, True), output
    assert not (tmp_path / "checkpoints").exists()
