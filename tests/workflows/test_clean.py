"""`clean` on a store: what it deletes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow.entities import LoggedModelOutput, LoggedModelStatus
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.tracking import MlflowClient
from mlflow.utils.file_utils import local_file_uri_to_path
from stores import NOW_MS, TRAINING_TAGS, add_run

from spondylo_ml.cli.summaries.store import clean_summary
from spondylo_ml.config import CleanConfig
from spondylo_ml.tracking.logged_models import has_model
from spondylo_ml.workflows.clean import Cleaning, clean, plan_cleaning

ONE_NEWEST = {"keep_newest": 1, "keep_best": 0}


def plan(**options: object) -> Cleaning:
    """What is deleted, if ages count to the time of `add_run`."""
    return plan_cleaning(CleanConfig.model_validate(ONE_NEWEST | options), NOW_MS)


def write_checkpoints(run_id: str, folder: Path | None = None) -> Path:
    """The folder of a run's checkpoints: `best.ckpt` of 20 bytes, `last.ckpt` of 30, and a file of metrics."""
    folder = folder or Path("checkpoints") / run_id
    folder.mkdir(parents=True)
    for name, size in (("best.ckpt", 20), ("last.ckpt", 30), ("metrics.jsonl", 5)):
        (folder / name).write_bytes(bytes(size))
    (folder / "run_id.txt").write_text(run_id)
    return folder


def ids(cleaning: Cleaning) -> list[str]:
    return [run.info.run_id for run in cleaning.runs]


def test_old_runs_and_checkpoints_are_deleted_if_asked_for_and_nothing_else(
    client: MlflowClient, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "disk" / "a"
    old = add_run(client, "old", TRAINING_TAGS | {"checkpoint_folder": str(elsewhere)})
    binned, unknown, foreign = add_run(client, "binned"), add_run(client, "unknown", {}), "0" * 32
    registered, by_hand, newest = add_run(client), add_run(client), add_run(client, days_old=1)
    client.create_registered_model("landmarks")
    client.create_model_version("landmarks", f"runs:/{registered}/model", registered)
    client.create_model_version("landmarks", f"runs:/{by_hand}/model")
    client.set_registered_model_alias("landmarks", "champion", "1")
    write_checkpoints(old, elsewhere)
    for run_id in (binned, unknown, foreign, registered, newest):
        write_checkpoints(run_id)
    client.delete_run(binned)

    cleaning = plan()
    assert ids(cleaning) == [old]
    assert {item.run.info.run_id: item.n_bytes for item in cleaning.checkpoints} == {old: 50, binned: 50}
    assert cleaning.n_bytes == 100
    assert cleaning.unknown_folders == (tmp_path / "checkpoints" / foreign,)
    kept = {"registered as landmarks version 1 (champion)": 1, "younger than 30 days": 1}
    assert cleaning.kept_checkpoints == kept
    assert cleaning.kept_runs.items() > kept.items()
    assert cleaning.kept_runs["registered as landmarks version 2"] == 1
    text = clean_summary(cleaning)
    assert "checkpoints: 4 file(s) of 2 run(s), 0.0 MB, would be deleted" in text
    assert "Nothing was deleted. To delete what is listed (0.0 MB): the same command with --delete true" in text
    assert len(list(tmp_path.rglob("*.ckpt"))) == 12
    assert client.get_run(old).info.lifecycle_stage == "active"

    (elsewhere / "run_id.txt").write_text(newest)
    assert [item.run.info.run_id for item in plan(what=("checkpoints",)).checkpoints] == [binned], "of another run"
    (elsewhere / "run_id.txt").write_text(old)

    result = clean(CleanConfig.model_validate(ONE_NEWEST | {"delete": True}))
    assert (ids(result), result.deleted, result.n_bytes) == ([old], True, 100)
    assert sorted(path.name for path in elsewhere.iterdir()) == ["metrics.jsonl", "run_id.txt", "training.lock"]
    assert len(list(tmp_path.rglob("*.ckpt"))) == 8
    stages = {run_id: client.get_run(run_id).info.lifecycle_stage for run_id in (old, unknown, registered, by_hand)}
    assert stages == {old: "deleted", unknown: "active", registered: "active", by_hand: "active"}
    assert "Restore a run with its files: mlflow runs restore --run-id" in clean_summary(result)
    again = clean(CleanConfig.model_validate(ONE_NEWEST | {"delete": True}))
    assert (again.runs, again.checkpoints) == ((), ())


def write_files(client: MlflowClient, run_id: str, folder: Path) -> list[Path]:
    """A page of 4,000 bytes in a folder of a run's artefacts, and a model of 6,000 bytes with its link to the run."""
    model = client.create_logged_model("0", source_run_id=run_id)
    source = folder / "weights.bin"
    source.write_bytes(bytes(6000))
    client.log_model_artifact(model.model_id, str(source))
    client.finalize_logged_model(model.model_id, LoggedModelStatus.READY)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, 0)])
    client.log_text(run_id, "x" * 4000, "report/index.html")
    artefacts = Path(local_file_uri_to_path(client.get_run(run_id).info.artifact_uri))
    return [artefacts / "report" / "index.html", Path(local_file_uri_to_path(model.artifact_location)) / source.name]


def test_the_files_of_the_runs_it_deletes_are_gone_and_those_of_runs_that_others_deleted_stay(
    client: MlflowClient, tmp_path: Path
) -> None:
    old, by_user, registered = (add_run(client, name) for name in ("old", "by user", "registered"))
    newest = add_run(client, "newest", days_old=1)
    files = {run_id: write_files(client, run_id, tmp_path) for run_id in (old, by_user, registered, newest)}
    client.create_registered_model("landmarks")
    client.create_model_version("landmarks", f"runs:/{registered}/model", registered)
    client.log_metric(old, "val_best/mre_px512", 7.0)
    client.delete_run(by_user)

    options = ONE_NEWEST | {"older_than_days": 0, "delete": True}
    kept_files = clean(CleanConfig.model_validate(options | {"what": ("runs",)}))
    assert (ids(kept_files), kept_files.files) == ([old], ())
    assert "Restore a run with its files" in clean_summary(kept_files)
    assert all(file.exists() for file in files[old])

    dry = clean(CleanConfig.model_validate(options | {"delete": False}))
    assert [(item.run.info.run_id, item.n_bytes) for item in dry.files] == [(old, 10_000)]
    assert "artefacts and models: of 1 run(s), 0.0 MB, would be deleted" in clean_summary(dry)
    before = sum(file.stat().st_size for file in tmp_path.glob("mlruns/**/*") if file.is_file())
    result = clean(CleanConfig.model_validate(options))
    after = sum(file.stat().st_size for file in tmp_path.glob("mlruns/**/*") if file.is_file())
    assert (before - after, result.n_bytes) == (10_000, 10_000)
    assert {run_id: [file.exists() for file in both] for run_id, both in files.items()} == {
        old: [False, False], by_user: [True, True], registered: [True, True], newest: [True, True]
    }  # fmt: skip
    assert clean(CleanConfig.model_validate(options)).files == ()

    client.restore_run(old)
    restored = client.get_run(old)
    assert restored.data.metrics == {"val_best/mre_px512": 7.0}
    assert not has_model(restored), "so that no command offers a model without files"
    client.restore_run(by_user)
    assert has_model(client.get_run(by_user))


def test_files_that_cannot_be_deleted_are_named_and_the_next_clean_deletes_them(
    client: MlflowClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = add_run(client, "old"), add_run(client, "newest", days_old=1)
    page, weights = write_files(client, old, tmp_path)
    options = CleanConfig.model_validate(ONE_NEWEST | {"older_than_days": 0, "delete": True})
    with monkeypatch.context() as patch:
        patch.setattr(LocalArtifactRepository, "delete_artifacts", _refuse)
        result = clean(options)
    assert (ids(result), result.files) == ([old], ())
    assert f"artefacts and models of run {old} cannot be deleted now: PermissionError: read-only" in clean_summary(
        result
    )
    assert page.exists()
    assert weights.exists()
    assert [item.run.info.run_id for item in clean(options).files] == [old]
    assert not page.exists()
    assert not weights.exists()


def _refuse(*_: object) -> None:
    raise PermissionError("read-only")
