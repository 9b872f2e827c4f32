"""Where checkpoints lie, so that they are found again from another folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from spondylo_ml.config import resolve_config
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.checkpoints import FOLDER_TAG, checkpoint_folder, checkpoint_root, require_checkpoint_place
from spondylo_ml.tracking.resume import find_resume, write_run_folder


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """Of a store in a folder that is not the current one."""
    for name in ("store", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/store/mlflow.db")
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


def left(folder: Path, run_id: str) -> None:
    write_run_folder(folder, run_id, resolve_config({"seed": 5}))
    (folder / "last.ckpt").write_bytes(b"")


def new_run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def test_they_lie_beside_a_local_store_and_are_found_there(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    folder = tmp_path / "store" / "checkpoints" / run_id
    assert checkpoint_folder(run_id) == folder
    left(folder, run_id)
    found = find_resume(run_id)
    assert (found.checkpoint, found.run_id, found.config.seed) == (folder / "last.ckpt", run_id, 5)


def test_the_runs_tag_leads_to_them_wherever_they_are_and_an_old_place_is_looked_at_too(
    client: MlflowClient, tmp_path: Path
) -> None:
    run_id, other = new_run(client), new_run(client)
    left(tmp_path / "disk" / "a", run_id)
    client.set_tag(run_id, FOLDER_TAG, str(tmp_path / "disk" / "a"))
    assert checkpoint_folder(run_id) == tmp_path / "disk" / "a"
    assert find_resume(run_id).checkpoint == tmp_path / "disk" / "a" / "last.ckpt"
    left(tmp_path / "here" / "checkpoints" / other, other)
    assert find_resume(other).checkpoint == tmp_path / "here" / "checkpoints" / other / "last.ckpt"


def test_a_tag_of_another_machine_is_passed_over(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    client.set_tag(run_id, FOLDER_TAG, "/no/such/place")
    assert checkpoint_folder(run_id) == tmp_path / "store" / "checkpoints" / run_id
    with pytest.raises(TrackingError, match=r"cannot resume .*: /no/such/place/last\.ckpt and .* do not exist"):
        find_resume(run_id)
    with pytest.raises(TrackingError, match=r"nope/last\.ckpt do not exist \(sqlite.* has no such run"):
        find_resume("nope")


def test_a_damaged_configuration_beside_a_checkpoint_is_said(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    folder = checkpoint_folder(run_id)
    left(folder, run_id)
    (folder / "config.json").write_text("{")
    with pytest.raises(TrackingError, match=r"config\.json is damaged, or of another version"):
        find_resume(run_id)


def test_a_server_has_no_place_of_its_own(client: MlflowClient, tmp_path: Path) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:1")
    assert checkpoint_root() == tmp_path / "here" / "checkpoints"


def test_where_they_cannot_be_kept_is_reported_first(client: MlflowClient, tmp_path: Path) -> None:
    require_checkpoint_place()
    (tmp_path / "store" / "checkpoints").write_text("")
    with pytest.raises(TrackingError, match=r"checkpoints cannot be kept beside the store: .* is a file, a folder is"):
        require_checkpoint_place()
