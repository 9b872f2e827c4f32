"""Finding a model by alias, version, run or folder, and the message if there is none."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from small_models import unet_bundle
from stores import store_in

import spondylo_ml
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.artefact import _logged_before, log_bundle
from spondylo_ml.serving.bundle import save_bundle
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.tracking.digests import BUNDLE_DIGEST


@pytest.fixture(scope="module")
def run_id(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A run in a new store, whose model is version 1 and the champion."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(folder))
    experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment) as active:
        uri = log_bundle(unet_bundle(), step=1)
    mlflow.register_model(uri, REGISTERED_MODEL)
    MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", "1")
    yield active.info.run_id
    mlflow.set_tracking_uri(before)


def test_each_name_finds_the_model_and_its_version(run_id: str) -> None:
    by_version = f"unet, {REGISTERED_MODEL} version 1"
    names = {
        "champion": f"{by_version} (champion)",
        f"models:/{REGISTERED_MODEL}@champion": f"{by_version} (champion)",
        f"models:/{REGISTERED_MODEL}/1": by_version,
        "1": by_version,
        run_id: f"unet, run {run_id}",
        f"runs:/{run_id}/model": f"unet, run {run_id}",
    }
    for which, name in names.items():
        source = find_model(which)
        assert source.name == name
        assert source.bundle.config.model.name == "unet"
        assert (source.folder / "manifest.json").is_file()


def test_a_run_that_logs_an_equal_model_again_keeps_the_one_that_it_has(run_id: str) -> None:
    client = MlflowClient()
    (before,) = client.get_run(run_id).outputs.model_outputs
    client.delete_tag(run_id, BUNDLE_DIGEST)  # as if the run had been killed before it was set
    with mlflow.start_run(run_id):
        assert log_bundle(unet_bundle(), step=1) == f"models:/{before.model_id}"
        assert _logged_before("the digest of another model") is None
    (after,) = client.get_run(run_id).outputs.model_outputs
    assert after.model_id == before.model_id
    assert (
        client.get_run(run_id).data.tags[BUNDLE_DIGEST] == client.get_logged_model(before.model_id).tags[BUNDLE_DIGEST]
    )


def test_a_local_folder_holds_a_bundle_or_an_mlflow_model(run_id: str, tmp_path: Path) -> None:
    save_bundle(unet_bundle(), tmp_path / "mine")
    assert find_model(str(tmp_path / "mine")).name == "unet, folder mine"
    assert find_model(str(find_model(run_id).folder.parents[1])).bundle.slots.count == 10
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds no bundle\.json: give the folder of one model"):
        find_model(str(tmp_path / "empty"))
    save_bundle(unet_bundle(), tmp_path / "other")
    with pytest.raises(DataError, match=r"holds more than one bundle\.json"):
        find_model(str(tmp_path))


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        ("challenger", TrackingError, "spondylo-landmarks has no alias 'challenger'; its aliases: champion"),
        (
            "models:/other@champion",
            TrackingError,
            r"no registered model 'other' in sqlite:.*; give starter, an alias",
        ),
        ("7", TrackingError, "no model '7' in sqlite:"),
        ("0" * 32, TrackingError, f"no model '{'0' * 32}' in sqlite:"),
        (
            "models/unet.pt",
            DataError,
            r"no model 'models/unet\.pt': there is no such folder\. Give starter, an alias",
        ),
    ],
)
@pytest.mark.usefixtures("run_id")
def test_an_unknown_model_is_reported_with_the_available_ones(which: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        find_model(which)


@pytest.mark.usefixtures("run_id")
def test_load_returns_the_champion_ready_for_films() -> None:
    model = spondylo_ml.load()
    (result,) = model.predict(np.arange(64 * 48, dtype=np.uint16).reshape(64, 48))
    assert (result.error, result.model) == ("", f"unet, {REGISTERED_MODEL} version 1 (champion)")
    assert inspect.signature(spondylo_ml.load).return_annotation == "FilmModel"


def test_importing_the_package_loads_no_slow_library() -> None:
    code = "import sys, spondylo_ml; print(sorted({'torch', 'mlflow', 'numpy', 'pandas', 'cv2'} & set(sys.modules)))"
    root = Path(spondylo_ml.__file__).parents[1]
    process = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"
