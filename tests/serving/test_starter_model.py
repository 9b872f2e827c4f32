"""The starter model: found by its name, of half the size, checked by its digest; a helpful error if it is absent."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_models import small_bundle

import spondylo_ml
from spondylo_ml.cli.requirements import require_model
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import DataError
from spondylo_ml.serving.artefact import _not_code
from spondylo_ml.serving.bundle import Bundle, bundle_digest, load_bundle, save_bundle
from spondylo_ml.serving.half_precision import round_to_half
from spondylo_ml.serving.local_model import ORIGIN, STARTER_FOLDER, STARTER_VARIABLE, local_model
from spondylo_ml.serving.predictor import Predictor

LARGEST_MB = 20
NOT_YET = "this checkout has no starter model: its weights are not committed yet (make starter)"
SHIPPED = (STARTER_FOLDER / "weights.safetensors").is_file()


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return small_bundle("maht_net", steps=20)


@pytest.fixture
def folder(bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A starter model, as `make starter` writes it, to which the environment variable points."""
    folder = tmp_path / "mine"
    save_bundle(bundle, folder, half=True)
    (folder / ORIGIN).write_text(json.dumps({"digest": bundle_digest(folder)}))
    monkeypatch.setenv(STARTER_VARIABLE, str(folder))
    return folder


def test_the_starter_model_is_loaded_by_its_name_without_a_store(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    require_model("starter")
    model = spondylo_ml.load("starter")
    assert model.name == "maht_net, starter from folder mine"
    (result,) = model.predict(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48))
    assert result.error == ""
    assert os.listdir(tmp_path) == [folder.name], "no store was created"


@pytest.mark.slow
def test_half_precision_halves_the_file_and_the_file_computes_what_the_rounded_model_does(
    bundle: Bundle, tmp_path: Path
) -> None:
    save_bundle(bundle, tmp_path / "single")
    exact = {name: value.clone() for name, value in bundle.model.state_dict().items()}
    films = phantom_films(4, 11, 96).films
    before = np.stack([p.corners_xy for p in Predictor(bundle).predict(films)])
    rounded = load_bundle(tmp_path / "single")
    round_to_half(rounded.model)
    save_bundle(rounded, tmp_path / "half", half=True)
    sizes = [(tmp_path / name / "weights.safetensors").stat().st_size for name in ("single", "half")]
    assert 0.5 < sizes[1] / sizes[0] < 0.52
    loaded = load_bundle(tmp_path / "half")
    dtypes = {value.dtype for value in load_file(tmp_path / "half" / "weights.safetensors").values()}
    assert {torch.float16, torch.float32} <= dtypes
    for name, value in loaded.model.state_dict().items():
        assert value.dtype == exact[name].dtype
        assert torch.equal(value, rounded.model.state_dict()[name]), name
        assert torch.allclose(value.double(), exact[name].double(), rtol=2**-11, atol=1e-7), name
    assert loaded.model.state_dict()["chain.body_mean"].equal(exact["chain.body_mean"]), "statistics are not rounded"
    after = np.stack([p.corners_xy for p in Predictor(loaded).predict(films)])
    assert np.array_equal(after, np.stack([p.corners_xy for p in Predictor(rounded).predict(films)]))
    moved_px512 = np.linalg.norm(after - before, axis=-1) * 512 / 96
    assert np.median(moved_px512) < 0.05, "a small model whose peaks are clear"


def test_a_weight_beyond_half_precision_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    save_bundle(bundle, tmp_path)
    model = load_bundle(tmp_path).model
    with torch.no_grad():
        model.get_parameter("heatmaps.weight")[0, 0] = 7e4
    with pytest.raises(DataError, match=r"heatmaps\.weight has a weight beyond the range of half precision"):
        round_to_half(model)
    with pytest.raises(DataError, match=r"beyond the range of half precision"):
        save_bundle(replace(bundle, model=model), tmp_path / "other", half=True)


def test_files_that_are_not_those_of_the_stated_digest_are_refused(folder: Path) -> None:
    (folder / ORIGIN).write_text(json.dumps({"digest": "0" * 64}))
    with pytest.raises(DataError, match=r"mine is not the requested model: its digest is .*, 0{12}\.\.\. is expected"):
        spondylo_ml.load("starter")
    (folder / ORIGIN).write_text("[]")
    with pytest.raises(DataError, match=r"origin\.json does not state the digest of the starter model"):
        spondylo_ml.load("starter")
    (folder / ORIGIN).unlink()
    assert spondylo_ml.load("starter").name == "maht_net, starter from folder mine", "any folder of a model will do"


def test_a_folder_called_starter_is_named_by_its_path(
    bundle: Bundle, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_bundle(bundle, tmp_path / "starter")
    monkeypatch.chdir(tmp_path)
    assert spondylo_ml.load("starter").name == "maht_net, starter from folder mine"
    assert spondylo_ml.load("./starter").name == "maht_net, folder starter"
    assert spondylo_ml.load(Path("starter")).name == "maht_net, folder starter"


def test_a_variable_that_names_no_model_is_reported_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(STARTER_VARIABLE, str(tmp_path))
    message = (
        rf"there is no starter model: SPONDYLO_STARTER names {tmp_path}, which holds no bundle\.json\. Train a model "
        r".* and give its run id, set SPONDYLO_STARTER to the folder of a model, or .* \(make starter, which "
        r"takes hours\)"
    )
    for find in (spondylo_ml.load, require_model):
        with pytest.raises(DataError, match=message):
            find("starter")


@pytest.mark.skipif(SHIPPED, reason="this checkout has a starter model")
def test_a_package_without_a_starter_model_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STARTER_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"this installation of spondylo_ml does not contain it \(.*/starter\)\. Train"):
        spondylo_ml.load("starter")
    (tmp_path / "starter").mkdir()
    with pytest.raises(DataError, match=r"does not contain it \([^)]*\)\. Train"):
        spondylo_ml.load("starter")
    (tmp_path / "starter" / "bundle.json").write_text("{}")
    with pytest.raises(DataError, match=r"does not contain it \(.*\), and the model in the folder here is given as"):
        spondylo_ml.load("starter")


@pytest.mark.skipif(not SHIPPED, reason=NOT_YET)
def test_the_shipped_starter_model_is_small_and_reads_a_film(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(STARTER_VARIABLE, raising=False)
    assert sum(path.stat().st_size for path in STARTER_FOLDER.iterdir()) <= LARGEST_MB * 1e6
    found = local_model("starter")
    assert found is not None
    assert found.digest == bundle_digest(STARTER_FOLDER)
    assert str(found.digest) in (STARTER_FOLDER / "card.md").read_text(encoding="utf-8")
    model = spondylo_ml.load("starter")
    assert model.bundle.uncertainty is not None
    assert model.bundle.evidence is not None
    film = phantom_films(1, 730_001, 640).films[0]
    (result,) = model.predict([film])
    assert result.error == ""
    assert result.measurement is not None
    assert [level.name for level in result.measurement.levels][:2] == ["L5/S1", "L4/L5"]


def test_a_logged_model_does_not_carry_the_starter_model_along() -> None:
    package = str(STARTER_FOLDER.parent)
    assert _not_code(package, ["api.py", "starter", "__pycache__", "serving"]) == ["starter", "__pycache__"]
    assert _not_code(f"{package}/serving", ["starter", "__pycache__"]) == ["__pycache__"]
