"""`mlflow run <git url>` writes to the user's folder and nothing to MLflow's temporary clone."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from commands import ROOT, client_of, environment, run, runs_of

URL = "https://example.invalid/spondylo.git"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare git repository of the current code, whose last but one commit has the tag `tried`."""
    folder, bare = (tmp_path_factory.mktemp(name) for name in ("repository", "bare"))
    unwanted = shutil.ignore_patterns("__pycache__", "*.png")
    for name in ("spondylo_ml", "projects", "tuning"):
        shutil.copytree(ROOT / name, folder / name, ignore=unwanted)
    for name in ("MLproject", "conda.yaml"):
        shutil.copy(ROOT / name, folder / name)
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    all_files = [["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "all"], ["tag", "tried"]]
    for arguments in (*all_files, [*identity, "commit", "-q", "--allow-empty", "-m", "later"]):
        git(folder, *arguments)
    git(bare, "clone", "-q", "--bare", str(folder), ".")
    return bare


def git(folder: Path, *arguments: str) -> str:
    """Call git in a folder; its output."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def mlflow_run(
    repository: Path, folder: Path, clones: Path, *arguments: str, manager: str = "local", **extra: str
) -> str:
    """Call `mlflow run <git url>` in `folder` with clones below `clones`; its output."""
    variables = environment(folder, TMPDIR=str(clones), **extra)
    variables.pop("PYTHONPATH")  # the clone's code must be used
    variables["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{variables['PATH']}"
    variables |= {  # maps the URL to the repository on this disk
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repository}.insteadOf",
        "GIT_CONFIG_VALUE_0": URL,
    }
    command = [sys.executable, "-m", "mlflow", "run", URL, "--env-manager", manager, *arguments]
    process = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout + process.stderr


@pytest.mark.slow
def test_a_commit_runs_with_paths_relative_to_where_mlflow_run_was_called(repository: Path, tmp_path: Path) -> None:
    users, clones = tmp_path / "users", tmp_path / "clones"
    users.mkdir()
    clones.mkdir()
    commit = git(repository, "rev-parse", "tried")
    assert commit != git(repository, "rev-parse", "HEAD")
    options = ["-v", commit, "-P", "count=2", "-P", "format=coco", "-P", "to=films"]
    # A relative store URI too: the command must open the same file as `mlflow run`.
    mlflow_run(repository, users, clones, "-e", "phantom", *options, MLFLOW_TRACKING_URI="sqlite:///mlflow.db")
    assert len(list((users / "films").rglob("*.png"))) == 2
    (clone,) = (path.parent for path in clones.glob("tmp*/MLproject"))
    assert not (clone / "films").exists()
    assert not (clone / "mlflow.db").exists()
    (logged_run,) = runs_of(users)
    assert (logged_run.info.status, logged_run.data.tags["films"]) == ("FINISHED", "2")
    assert logged_run.data.tags["mlflow.source.git.commit"] == commit


@pytest.mark.slow
@pytest.mark.parametrize("manager", ["local", "uv"])
def test_a_tag_runs_with_each_environment_manager(repository: Path, tmp_path: Path, manager: str) -> None:
    users, clones = tmp_path / "users", tmp_path / "clones"
    users.mkdir()
    clones.mkdir()
    options = ["-v", "tried", "-e", "phantom", "-P", "count=2", "-P", "to=films"]
    mlflow_run(repository, users, clones, *options, manager=manager)
    (logged_run,) = runs_of(users)
    assert logged_run.data.tags["mlflow.source.git.commit"] == git(repository, "rev-parse", "tried")


@pytest.mark.slow
def test_mlflow_takes_a_bare_repository_on_a_disk_for_a_folder_without_a_project(
    repository: Path, tmp_path: Path
) -> None:
    for uri in (str(repository), f"file://{repository}"):
        command = [sys.executable, "-m", "mlflow", "run", uri, "-e", "phantom", "--env-manager", "local"]
        process = subprocess.run(command, cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True)
        assert process.returncode != 0
        assert "Could not find phantom among entry points []" in process.stdout + process.stderr


@pytest.mark.slow
def test_a_temporary_clone_is_refused_if_the_users_folder_is_unknown(tmp_path: Path) -> None:
    clone = Path(tempfile.mkdtemp(dir=tmp_path, prefix="tmp")).resolve()
    shutil.copytree(ROOT / "spondylo_ml", clone / "spondylo_ml", ignore=shutil.ignore_patterns("__pycache__"))
    log = tmp_path / "log"
    log.touch()
    # The parent ends first, so that the command is adopted by process 1 and its caller is unknown.
    line = f"(sleep 1; {sys.executable} -m spondylo_ml phantom --to films --count 2; echo code $?) >{log} 2>&1 &"
    variables = environment(tmp_path, TMPDIR=str(tmp_path), MLFLOW_RUN_ID="0" * 32)
    variables.pop("PYTHONPATH")
    subprocess.run(["sh", "-c", line], cwd=clone, env=variables, check=True)
    deadline = time.monotonic() + 100
    while "code" not in log.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert "code 2" in log.read_text()
    assert f"this is a temporary clone of the project ({clone}), where results would be lost" in log.read_text()
    assert "call mlflow run . there" in log.read_text()
    assert not (clone / "films").exists()


@pytest.mark.slow
def test_checkpoints_are_beside_the_store_and_a_run_resumes_from_any_folder(repository: Path, tmp_path: Path) -> None:
    users, elsewhere, clones = (tmp_path / name for name in ("users", "elsewhere", "clones"))
    for folder in (users, elsewhere, clones):
        folder.mkdir()
    mlflow_run(repository, users, clones, "-e", "main")
    (first,) = runs_of(users)
    folder = users / "checkpoints" / first.info.run_id
    assert first.data.tags["checkpoint_folder"] == str(folder)
    assert (folder / "last.ckpt").is_file()
    assert not list(clones.rglob("*.ckpt"))
    store = f"sqlite:///{users}/mlflow.db"
    output = run(elsewhere, "train", "--resume", first.info.run_id, MLFLOW_TRACKING_URI=store)
    assert first.info.run_id in output
    assert not list(elsewhere.rglob("*.ckpt"))
    assert client_of(users).get_run(first.info.run_id).info.status == "FINISHED"
