"""Logs the code, packages and films of a run."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

from spondylo_ml.data.films import FilmSet, digest
from spondylo_ml.errors import DataError
from spondylo_ml.tracking.film_dataset import FilmDataset

SPLIT_FILE = "data/split.csv"
PRETRAINED_RUN = "pretrained_run"
"""Tag: the run whose model a run goes on from. Its configuration may name an alias, which means another model later."""


def log_dataset(films: FilmSet, parts: Sequence[str]) -> dict[str, str]:
    """Log each part as a dataset input of the active run; return the digest of each part."""
    digests = {}
    for part in parts:
        digests[part] = digest(films.part(part), films.slots)
        _log_input(FilmDataset(films, part, digests[part]), part)
        mlflow.set_tag(f"data_digest.{part}", digests[part])
    return digests


def require_same_films(run_id: str, films: FilmSet, parts: Sequence[str] = ("train", "val")) -> None:
    """Require that the parts are those that a run has logged; the folder of the films may have moved.

    Raises:
        DataError: they are not.
    """
    tags = mlflow.get_run(run_id).data.tags
    for part in parts:
        before, now = tags.get(f"data_digest.{part}"), digest(films.part(part), films.slots)
        if before not in (None, now):
            raise DataError(
                f"the {part} films are not those of run {run_id[:8]} (digest {now[:12]}, there {before[:12]}): give "
                f"the films that it was trained on, or start a new run from its model: --model.pretrained {run_id[:8]}"
            )


def _log_input(dataset: FilmDataset, part: str) -> None:
    """Log a dataset, once more if that failed.

    MLflow looks whether the experiment has the dataset and adds it if not, in two steps: where two runs log the same
    films at the same moment, one of them fails. The second time it finds the dataset of the other.
    """
    try:
        mlflow.log_input(dataset, context=part)
    except MlflowException:
        mlflow.log_input(dataset, context=part)


def log_split(films: FilmSet) -> None:
    """Log which film and which patient is in which part."""
    rows = [(film.film_id, film.patient, film.split) for film in films.films]
    table = pd.DataFrame(rows, columns=["film", "patient", "part"])
    mlflow.log_text(table.to_csv(index=False), SPLIT_FILE)


def log_environment() -> None:
    """Log Python, platform and installed packages as an artefact, and the commit as a tag of the active run."""
    metadata = (distribution.metadata for distribution in distributions())  # read from its file at each access
    packages = sorted({f"{one['Name']}=={one['Version']}" for one in metadata}, key=str.lower)
    machine = [f"# Python {platform.python_version()}", f"# {platform.platform()}"]
    mlflow.log_text("\n".join([*machine, *packages]) + "\n", "environment.txt")
    mlflow.set_tag("git_commit", git_commit())


def nonzero_tags(**counts: int) -> dict[str, str]:
    """Tags for counts of what went wrong or is unusual; none for a count of 0, so that the others are seen."""
    return {name: str(count) for name, count in counts.items() if count}


def git_commit() -> str:
    """Commit of the code, with `+changes` if the checkout differs from it; `none` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return result.stdout.strip()
