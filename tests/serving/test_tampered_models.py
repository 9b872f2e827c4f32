"""A stored model with changed files is refused by every name, and so is its pyfunc."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
import yaml
from mlflow.tracking import MlflowClient
from safetensors.torch import load_file, save_file
from small_models import unet_bundle
from stores import store_in

import spondylo_ml
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.artefact import fetch_bundle, log_bundle
from spondylo_ml.serving.bundle import bundle_digest
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.serving.pyfunc import LOGGED_DIGEST
from spondylo_ml.tracking.digests import BUNDLE_DIGEST
from spondylo_ml.tracking.registry import Registry

CHAMPION = f"models:/{REGISTERED_MODEL}@champion"


@dataclass(frozen=True)
class StoredModel:
    """A model in a store: its MLflow folder, the bundle in it, its run and its digest."""

    root: Path
    bundle: Path
    run_id: str
    digest: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredModel]:
    """Version 1, the champion, in a new store."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(folder))
    experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment) as active:
        log_bundle(unet_bundle(), step=1)
    registry = Registry(REGISTERED_MODEL)
    registry.add_version(mlflow.get_run(active.info.run_id), {})
    MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", "1")
    (description,) = (folder / "artifacts").rglob("bundle.json")
    (ml_model,) = (folder / "artifacts").rglob("MLmodel")
    yield StoredModel(ml_model.parent, description.parent, active.info.run_id, bundle_digest(description.parent))
    mlflow.set_tracking_uri(before)


@pytest.fixture
def model(stored: StoredModel, tmp_path: Path) -> Iterator[StoredModel]:
    """The stored model; files and tags are restored after the test."""
    shutil.copytree(stored.root, tmp_path / "original")
    yield stored
    shutil.rmtree(stored.root)
    shutil.copytree(tmp_path / "original", stored.root)
    client = MlflowClient()
    client.set_tag(stored.run_id, BUNDLE_DIGEST, stored.digest)
    client.set_model_version_tag(REGISTERED_MODEL, "1", BUNDLE_DIGEST, stored.digest)


def rewrite_manifest(folder: Path, **more: Any) -> None:
    """Make the manifest match the files, as somebody would who changed them on purpose."""
    files = {}
    for name in ("bundle.json", "weights.safetensors"):
        data = (folder / name).read_bytes()
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format": 2, "files": files, **more}))


def change_weights(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    save_file({name: 2 * value for name, value in load_file(weights).items()}, weights)
    rewrite_manifest(folder)


def change_settings(folder: Path) -> None:
    tree = json.loads((folder / "bundle.json").read_text())
    tree["config"]["heatmap"]["flip_average"] = not tree["config"]["heatmap"]["flip_average"]
    (folder / "bundle.json").write_text(json.dumps(tree))
    rewrite_manifest(folder)


def delete_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def convert_to_format_1(folder: Path) -> None:
    tree = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(tree | {"format": 1}))
    delete_manifest(folder)


NOT_REQUESTED = "is not the requested model: its digest is"
CHANGES: list[tuple[Callable[[Path], None], str]] = [
    (change_weights, NOT_REQUESTED),
    (change_settings, NOT_REQUESTED),
    (lambda folder: rewrite_manifest(folder, format=1), NOT_REQUESTED),
    (delete_manifest, r"manifest\.json is missing, so its files cannot be verified"),
    (convert_to_format_1, "is a model of format 1.* convert-model --model"),
]


def test_an_unchanged_model_is_loaded_by_each_name_and_both_tags_hold_its_digest(model: StoredModel) -> None:
    assert mlflow.get_run(model.run_id).data.tags[BUNDLE_DIGEST] == model.digest
    assert MlflowClient().get_model_version(REGISTERED_MODEL, "1").tags[BUNDLE_DIGEST] == model.digest
    for which in ("champion", "1", model.run_id, f"runs:/{model.run_id}/model", f"models:/{model.root.parent.name}"):
        assert find_model(which).digest == model.digest
    assert find_model("champion", model.digest).digest == model.digest
    assert mlflow.pyfunc.load_model(CHAMPION).metadata.run_id == model.run_id


@pytest.mark.parametrize(
    ("change", "message"),
    [CHANGES[0], *(pytest.param(*change, marks=pytest.mark.slow) for change in CHANGES[1:])],
    ids=["weights", "settings", "format", "manifest", "format 1"],
)
def test_changed_files_are_refused_by_every_name(
    model: StoredModel, change: Callable[[Path], None], message: str
) -> None:
    change(model.bundle)
    for which in ("champion", "1", model.run_id, f"models:/{model.root.parent.name}"):
        with pytest.raises(DataError, match=f"(?s){message}"):
            spondylo_ml.load(which)
    with pytest.raises(DataError, match=f"(?s){message}"):
        fetch_bundle(model.run_id)
    for uri in (CHAMPION, f"runs:/{model.run_id}/model", str(model.root)):
        with pytest.raises(DataError, match=f"(?s){message}"):
            mlflow.pyfunc.load_model(uri)


def test_a_model_that_was_logged_with_its_digest_in_mlmodel_is_checked_against_it(model: StoredModel) -> None:
    path = model.root / "MLmodel"
    tree = yaml.safe_load(path.read_text())
    function = tree["flavors"]["python_function"]
    function["config"]["digest"] = model.digest
    del function["artifacts"][LOGGED_DIGEST]
    path.write_text(yaml.safe_dump(tree))
    assert mlflow.pyfunc.load_model(str(model.root)).metadata.run_id == model.run_id
    change_weights(model.bundle)
    with pytest.raises(DataError, match=NOT_REQUESTED):
        mlflow.pyfunc.load_model(str(model.root))


def test_the_digest_is_no_parameter_of_the_run(model: StoredModel) -> None:
    assert not mlflow.get_run(model.run_id).data.params.get("digest")


def test_a_pyfunc_whose_logged_digest_was_rewritten_too_is_refused_by_the_registry(model: StoredModel) -> None:
    change_weights(model.bundle)
    (path,) = model.root.rglob(LOGGED_DIGEST)
    path.write_text(bundle_digest(model.bundle))
    with pytest.raises(DataError, match=f"files of {REGISTERED_MODEL} version 1 are not those that were registered"):
        mlflow.pyfunc.load_model(CHAMPION)
    with pytest.raises(DataError, match=NOT_REQUESTED):
        mlflow.pyfunc.load_model(str(model.root), model_config={"digest": model.digest})


def test_changes_in_a_folder_are_detected_only_with_a_digest(model: StoredModel, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(model.bundle, tmp_path / "mine"))
    assert find_model(str(folder), model.digest).name == "unet, folder mine"
    change_weights(folder)
    assert find_model(str(folder)).digest != model.digest
    with pytest.raises(DataError, match=NOT_REQUESTED):
        spondylo_ml.load(str(folder), digest=model.digest)


def test_a_model_without_a_digest_in_the_store_is_refused(model: StoredModel) -> None:
    client = MlflowClient()
    client.delete_model_version_tag(REGISTERED_MODEL, "1", BUNDLE_DIGEST)
    assert find_model("champion").digest == model.digest, "the tag of the run is used"
    client.set_tag(model.run_id, BUNDLE_DIGEST, "none")
    with pytest.raises(
        TrackingError,
        match=f"run {model.run_id} has 'none' as the digest of its model .*: its files cannot be verified",
    ):
        find_model("champion")
    client.delete_tag(model.run_id, BUNDLE_DIGEST)
    for load in (find_model, fetch_bundle, lambda run_id: mlflow.pyfunc.load_model(CHAMPION)):
        with pytest.raises(TrackingError, match=f"run {model.run_id} has no digest of its model"):
            load(model.run_id)
    assert find_model(model.run_id, model.digest).digest == model.digest


def test_a_version_whose_run_has_another_digest_is_not_registered(model: StoredModel) -> None:
    MlflowClient().set_tag(model.run_id, BUNDLE_DIGEST, "0" * 64)
    with pytest.raises(TrackingError, match=r"version 1 was registered with the digest .* run .* now has 000000000000"):
        Registry(REGISTERED_MODEL).add_version(mlflow.get_run(model.run_id), {})


def test_without_a_store_a_pyfunc_loads_with_a_warning(
    model: StoredModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.pyfunc.load_model(CHAMPION)  # writes the version beside the model
    copy = Path(shutil.copytree(model.root, tmp_path / "copy"))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/none.db")
    try:
        with caplog.at_level("WARNING"):
            mlflow.pyfunc.load_model(str(copy))
    finally:
        mlflow.set_tracking_uri(before)
    assert f"{REGISTERED_MODEL} version 1 is not checked against the registry: there is no store sqlite" in caplog.text
    assert not (tmp_path / "none.db").exists()
