"""Run the project's commands as a user does: in a process of their own, in an empty folder."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from forked import ForkedProgram
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from stores import store_in

from spondylo_ml.evaluation.catalogue import find_metric

ROOT = Path(__file__).resolve().parents[2]

TINY = (
    "--preset", "smoke", "--data.phantom_films", "24", "--data.max_films", "24", "--data.input_side_px", "64",
    "--data.val_fraction", "0.2", "--data.test_fraction", "0.2",
    "--training.batch_size", "4", "--tracking.system_metrics", "false", "--training.precision", "fp32",
)  # fmt: skip
"""Single precision on every device: a processor without instructions for bf16 takes nine times as long in bf16."""

PLAIN = (*TINY, "--tracking.panel_films", "0", "--training.preflight", "false")
"""Without pictures of each epoch and checks before it, which other tests look at."""

LEARNS = (
    "--preset", "quick", "--data.phantom_films", "300", "--data.test_fraction", "0.15", "--data.val_fraction", "0.1",
    "--data.input_side_px", "64", "--heatmap.flip_average", "false", "--tracking.system_metrics", "false",
    "--tracking.panel_films", "0", "--training.preflight", "false",
)  # fmt: skip
"""2,400 film passes (two minutes) are enough to beat the mean shape; 6,000 are reliably better."""

TRACKED = ("audit", "benchmark", "train")
"""Commands that open a run: they are given a store, which takes MLflow seconds to create."""


def environment(folder: Path, **extra: str) -> dict[str, str]:
    """The current environment, with the tracking store in `folder`."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    paths = os.pathsep.join(filter(None, [str(ROOT), inherited.get("PYTHONPATH", "")]))
    # One thread: on busy cores two threads would wait for each other most of the time.
    variables = {"PYTHONPATH": paths, "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "OMP_NUM_THREADS": "1"}
    return inherited | variables | extra


def tune(folder: Path, *arguments: str) -> str:
    """Run `python -m tuning` with the arguments and return its output; fails with that output."""
    command = [sys.executable, "-m", "tuning", *arguments]
    process = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=3600)
    assert process.returncode == 0, process.stdout + process.stderr
    assert unknown_metrics(folder) == []
    return process.stdout


def start(folder: Path, *arguments: str, new_group: bool = False, **extra: str) -> ForkedProgram:
    """Start a command of `python -m spondylo_ml`, in a new process group if `new_group`."""
    _prepare(folder, arguments)
    return ForkedProgram(folder, "spondylo_ml", arguments, environment(folder, **extra), new_group)


def run(folder: Path, *arguments: str, **extra: str) -> str:
    """Run a command of `python -m spondylo_ml` and return its output; fails with that output."""
    process = start(folder, *arguments, **extra)
    output, _ = process.communicate(timeout=900)
    return _checked(folder, output, process.returncode)


def printed_command(output: str, values: Mapping[str, str] | None = None) -> list[str]:
    """The arguments of the next command that a summary prints, with a value for each place in angle brackets."""
    (line,) = [line for line in output.splitlines() if line.startswith("Next, ")]
    command = line.split("python -m spondylo_ml ")[1]
    for place, value in (values or {}).items():
        assert f"<{place}>" in command, command
        command = command.replace(f"<{place}>", value)
    assert "<" not in command
    return shlex.split(command)


def run_python(folder: Path, *arguments: str, **extra: str) -> str:
    """The same as `run` in a new interpreter, which takes seconds longer: it imports all libraries again."""
    _prepare(folder, arguments)
    process = subprocess.run(
        [sys.executable, "-m", "spondylo_ml", *arguments],
        cwd=folder,
        env=environment(folder, **extra),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return _checked(folder, process.stdout, process.returncode)


def _prepare(folder: Path, arguments: tuple[str, ...]) -> None:
    if arguments[0] in TRACKED:
        store_in(folder)


def _checked(folder: Path, output: str, code: int | None) -> str:
    assert code == 0, output
    assert unknown_metrics(folder) == []
    return output


def unknown_metrics(folder: Path) -> list[str]:
    """Metrics that runs in the store of `folder` have logged but the catalogue lacks."""
    runs = runs_of(folder) if (folder / "mlflow.db").is_file() else []
    return sorted({name for run in runs for name in run.data.metrics if find_metric(name) is None})


def all_metrics_of(folder: Path, run: Run) -> dict[str, float]:
    """All metrics of a run's `metrics.json`, of which it logs a few."""
    path = client_of(folder).download_artifacts(run.info.run_id, "metrics.json")
    content: dict[str, float] = json.loads(Path(path).read_text(encoding="utf-8"))
    return content


def client_of(folder: Path) -> MlflowClient:
    """A client of the store in `folder`."""
    return MlflowClient(store_in(folder))


def runs_of(folder: Path) -> list[Run]:
    """All runs in the store of `folder`, newest first."""
    client = client_of(folder)
    return list(client.search_runs([e.experiment_id for e in client.search_experiments()]))


def artifacts_of(folder: Path, run_id: str, path: str = "") -> list[str]:
    """Paths of the artefacts of a run."""
    return [item.path for item in client_of(folder).list_artifacts(run_id, path)]


def aliases_of(client: MlflowClient, name: str = "spondylo-landmarks") -> dict[str, int]:
    """Version by alias of a registered model; stores return 2 or "2"."""
    return {alias: int(version) for alias, version in client.get_registered_model(name).aliases.items()}
