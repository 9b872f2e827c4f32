"""Where checkpoints are kept, so that they are found from any folder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient
from stores import store_in

from spondylo_ml.config import resolve_config
from spondylo_ml.errors import TrackingError
from spondylo_ml.tracking.checkpoints import FOLDER_TAG, checkpoint_folder, checkpoint_root, require_checkpoint_place
from spondylo_ml.tracking.resume import find_resume, write_run_folder


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowClient]:
    """A client of a store in a folder other than the current one."""
    for name in ("store", "here"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(store_in(tmp_path / "store"))
    yield MlflowClient()
    mlflow.set_tracking_uri(before)


def write_checkpoint(folder: Path, run_id: str) -> None:
    write_run_folder(folder, run_id, resolve_config({"seed": 5}))
    with zipfile.ZipFile(folder / "last.ckpt", "w") as archive:
        archive.writestr("weights", b"1234")


def new_run(client: MlflowClient) -> str:
    return str(client.create_run("0").info.run_id)


def test_checkpoints_are_kept_beside_a_local_store_and_found_there(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    folder = tmp_path / "store" / "checkpoints" / run_id
    assert checkpoint_folder(run_id) == folder
    write_checkpoint(folder, run_id)
    resume = find_resume(run_id)
    assert (resume.checkpoint, resume.run_id, resume.config.seed) == (folder / "last.ckpt", run_id, 5)


def test_checkpoints_are_found_by_the_tag_of_the_run_or_in_the_current_folder(
    client: MlflowClient, tmp_path: Path
) -> None:
    run_id, other = new_run(client), new_run(client)
    write_checkpoint(tmp_path / "disk" / "a", run_id)
    client.set_tag(run_id, FOLDER_TAG, str(tmp_path / "disk" / "a"))
    assert checkpoint_folder(run_id) == tmp_path / "disk" / "a"
    assert find_resume(run_id).checkpoint == tmp_path / "disk" / "a" / "last.ckpt"
    write_checkpoint(tmp_path / "here" / "checkpoints" / other, other)
    assert find_resume(other).checkpoint == tmp_path / "here" / "checkpoints" / other / "last.ckpt"


def test_a_tag_from_another_machine_is_ignored(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    client.set_tag(run_id, FOLDER_TAG, "/no/such/place")
    assert checkpoint_folder(run_id) == tmp_path / "store" / "checkpoints" / run_id
    with pytest.raises(TrackingError, match=r"cannot resume .*: /no/such/place/last\.ckpt and .* do not exist"):
        find_resume(run_id)
    with pytest.raises(TrackingError, match=r"nope/last\.ckpt do not exist \(sqlite.* has no such run"):
        find_resume("nope")


def test_a_damaged_configuration_beside_a_checkpoint_is_reported(client: MlflowClient, tmp_path: Path) -> None:
    run_id = new_run(client)
    folder = checkpoint_folder(run_id)
    write_checkpoint(folder, run_id)
    (folder / "config.json").write_text("{")
    with pytest.raises(TrackingError, match=r"config\.json is damaged, or of another version"):
        find_resume(run_id)


def test_a_damaged_checkpoint_is_reported_unless_the_one_before_it_is_whole(client: MlflowClient) -> None:
    run_id = new_run(client)
    folder = checkpoint_folder(run_id)
    write_checkpoint(folder, run_id)
    last, previous = folder / "last.ckpt", folder / "last-previous.ckpt"
    last.rename(previous)
    assert find_resume(run_id).checkpoint == last, "the machine may stop while the one replaces the other"
    last.write_bytes(b"")
    assert find_resume(run_id).checkpoint == last, "training replaces it by the one before"
    previous.unlink()
    with pytest.raises(TrackingError, match=r"last\.ckpt is damaged, and there is no whole checkpoint before it"):
        find_resume(run_id)


def test_with_a_server_checkpoints_are_kept_in_the_current_folder(client: MlflowClient, tmp_path: Path) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:1")
    assert checkpoint_root() == tmp_path / "here" / "checkpoints"


def test_a_folder_that_cannot_hold_checkpoints_is_reported_before_training(
    client: MlflowClient, tmp_path: Path
) -> None:
    require_checkpoint_place()
    (tmp_path / "store" / "checkpoints").write_text("")
    with pytest.raises(
        TrackingError, match=r"checkpoints cannot be written beside the store: .* is a file, a folder is"
    ):
        require_checkpoint_place()
