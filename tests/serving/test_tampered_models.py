"""A model of the store whose files were changed is refused by whichever name it is asked for, and so is its pyfunc."""

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

import spondylo_ml
from spondylo_ml.errors import DataError, TrackingError
from spondylo_ml.serving.artefact import fetch_bundle, log_bundle
from spondylo_ml.serving.bundle import bundle_digest
from spondylo_ml.serving.model_address import REGISTERED_MODEL
from spondylo_ml.serving.model_source import find_model
from spondylo_ml.tracking.digests import BUNDLE_DIGEST
from spondylo_ml.tracking.registry import Registry

CHAMPION = f"models:/{REGISTERED_MODEL}@champion"


@dataclass(frozen=True)
class Kept:
    """A model in a store: the folder that MLflow logged, the bundle in it, its run and its digest."""

    root: Path
    bundle: Path
    run_id: str
    digest: str


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Version 1 and champion of a store of its own."""
    folder = tmp_path_factory.mktemp("store")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    experiment = mlflow.create_experiment("made", artifact_location=(folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment) as active:
        log_bundle(unet_bundle(), step=1)
    registry = Registry(REGISTERED_MODEL)
    registry.add_version(mlflow.get_run(active.info.run_id), {})
    MlflowClient().set_registered_model_alias(REGISTERED_MODEL, "champion", "1")
    (description,) = (folder / "artifacts").rglob("bundle.json")
    (ml_model,) = (folder / "artifacts").rglob("MLmodel")
    yield Kept(ml_model.parent, description.parent, active.info.run_id, bundle_digest(description.parent))
    mlflow.set_tracking_uri(before)


@pytest.fixture
def kept(stored: Kept, tmp_path: Path) -> Iterator[Kept]:
    """The stored model, put back as it was after the test, its tags too."""
    shutil.copytree(stored.root, tmp_path / "whole")
    yield stored
    shutil.rmtree(stored.root)
    shutil.copytree(tmp_path / "whole", stored.root)
    client = MlflowClient()
    client.set_tag(stored.run_id, BUNDLE_DIGEST, stored.digest)
    client.set_model_version_tag(REGISTERED_MODEL, "1", BUNDLE_DIGEST, stored.digest)


def rewrite_manifest(folder: Path, **more: Any) -> None:
    """Make the manifest agree with the files, as one would who changed them on purpose."""
    files = {}
    for name in ("bundle.json", "weights.safetensors"):
        data = (folder / name).read_bytes()
        files[name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "manifest.json").write_text(json.dumps({"format": 2, "files": files, **more}))


def other_weights(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    save_file({name: 2 * value for name, value in load_file(weights).items()}, weights)
    rewrite_manifest(folder)


def other_description(folder: Path) -> None:
    tree = json.loads((folder / "bundle.json").read_text())
    tree["config"]["heatmap"]["flip_average"] = not tree["config"]["heatmap"]["flip_average"]
    (folder / "bundle.json").write_text(json.dumps(tree))
    rewrite_manifest(folder)


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


def former_format(folder: Path) -> None:
    tree = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(tree | {"format": 1}))
    no_manifest(folder)


NOT_ASKED_FOR = "is not the model that was asked for: its digest is"
HARMS: list[tuple[Callable[[Path], None], str]] = [
    (other_weights, NOT_ASKED_FOR),
    (other_description, NOT_ASKED_FOR),
    (lambda folder: rewrite_manifest(folder, format=1), NOT_ASKED_FOR),
    (no_manifest, r"manifest\.json is missing, nothing vouches for its files"),
    (former_format, "is a model of format 1.* convert-model --model"),
]


def test_what_is_whole_is_loaded_by_each_name_and_both_tags_are_its_digest(kept: Kept) -> None:
    assert mlflow.get_run(kept.run_id).data.tags[BUNDLE_DIGEST] == kept.digest
    assert MlflowClient().get_model_version(REGISTERED_MODEL, "1").tags[BUNDLE_DIGEST] == kept.digest
    for which in ("champion", "1", kept.run_id, f"runs:/{kept.run_id}/model", f"models:/{kept.root.parent.name}"):
        assert find_model(which).digest == kept.digest
    assert find_model("champion", kept.digest).digest == kept.digest
    assert mlflow.pyfunc.load_model(CHAMPION).metadata.run_id == kept.run_id


@pytest.mark.parametrize(("harm", "message"), HARMS, ids=["weights", "settings", "format", "manifest", "format 1"])
def test_changed_files_are_refused_by_every_name(kept: Kept, harm: Callable[[Path], None], message: str) -> None:
    harm(kept.bundle)
    for which in ("champion", "1", kept.run_id, f"models:/{kept.root.parent.name}"):
        with pytest.raises(DataError, match=f"(?s){message}"):
            spondylo_ml.load(which)
    with pytest.raises(DataError, match=f"(?s){message}"):
        fetch_bundle(kept.run_id)
    for uri in (CHAMPION, f"runs:/{kept.run_id}/model", str(kept.root)):
        with pytest.raises(DataError, match=f"(?s){message}"):
            mlflow.pyfunc.load_model(uri)


def test_a_pyfunc_whose_own_record_was_rewritten_too_is_known_by_the_registry(kept: Kept) -> None:
    other_weights(kept.bundle)
    path = kept.root / "MLmodel"
    tree = yaml.safe_load(path.read_text())
    tree["flavors"]["python_function"]["config"]["digest"] = bundle_digest(kept.bundle)
    path.write_text(yaml.safe_dump(tree))
    with pytest.raises(DataError, match=f"files of {REGISTERED_MODEL} version 1 are not those that were registered"):
        mlflow.pyfunc.load_model(CHAMPION)
    with pytest.raises(DataError, match=NOT_ASKED_FOR):
        mlflow.pyfunc.load_model(str(kept.root), model_config={"digest": kept.digest})


def test_a_folder_is_pinned_by_its_digest_and_known_by_nothing_else(kept: Kept, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(kept.bundle, tmp_path / "mine"))
    assert find_model(str(folder), kept.digest).name == "unet, folder mine"
    other_weights(folder)
    assert find_model(str(folder)).digest != kept.digest
    with pytest.raises(DataError, match=NOT_ASKED_FOR):
        spondylo_ml.load(str(folder), digest=kept.digest)


def test_a_model_for_which_the_store_has_no_digest_is_refused(kept: Kept) -> None:
    client = MlflowClient()
    client.delete_model_version_tag(REGISTERED_MODEL, "1", BUNDLE_DIGEST)
    assert find_model("champion").digest == kept.digest, "the run's"
    client.set_tag(kept.run_id, BUNDLE_DIGEST, "none")
    with pytest.raises(TrackingError, match=f"run {kept.run_id} has 'none' as the digest of its model .*: nothing"):
        find_model("champion")
    client.delete_tag(kept.run_id, BUNDLE_DIGEST)
    for load in (find_model, fetch_bundle, lambda run_id: mlflow.pyfunc.load_model(CHAMPION)):
        with pytest.raises(TrackingError, match=f"run {kept.run_id} has no digest of its model"):
            load(kept.run_id)
    assert find_model(kept.run_id, kept.digest).digest == kept.digest


def test_a_version_and_its_run_with_other_digests_are_not_promoted(kept: Kept) -> None:
    MlflowClient().set_tag(kept.run_id, BUNDLE_DIGEST, "0" * 64)
    with pytest.raises(TrackingError, match=r"version 1 was registered with the digest .* run .* now has 000000000000"):
        Registry(REGISTERED_MODEL).add_version(mlflow.get_run(kept.run_id), {})


def test_where_no_store_can_be_asked_a_pyfunc_loads_with_a_warning(
    kept: Kept, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow.pyfunc.load_model(CHAMPION)  # leaves what it is beside it
    carried = Path(shutil.copytree(kept.root, tmp_path / "carried"))
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/none.db")
    try:
        with caplog.at_level("WARNING"):
            mlflow.pyfunc.load_model(str(carried))
    finally:
        mlflow.set_tracking_uri(before)
    assert f"{REGISTERED_MODEL} version 1 is not checked against the registry: there is no store sqlite" in caplog.text
    assert not (tmp_path / "none.db").exists()
