"""`clean` on a store: what it deletes, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

from mlflow.tracking import MlflowClient
from stores import NOW_MS, TRAINING_TAGS, add_run

from spondylo_ml.cli.summaries.store import cleaned
from spondylo_ml.config import CleanConfig
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
    text = cleaned(cleaning)
    assert "checkpoints: 4 file(s) of 2 run(s), 0.0 MB, would be deleted" in text
    assert "Nothing was deleted. To delete what is listed: the same command with --delete true" in text
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
    assert "Restore a run: mlflow runs restore --run-id" in cleaned(result)
    assert f"mlflow gc --backend-store-uri sqlite:///{tmp_path}/mlflow.db --tracking-uri" in cleaned(result)
    again = clean(CleanConfig.model_validate(ONE_NEWEST | {"delete": True}))
    assert (again.runs, again.checkpoints) == ((), ())
