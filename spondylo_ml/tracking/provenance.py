"""Which code, which packages and which films made a run."""

from __future__ import annotations

import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

import mlflow
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset

from spondylo_ml.data.films import FilmSet, digest

DIGEST_LENGTH = 36
"""MLflow keeps no longer digest of a dataset; the whole one is a tag of the run."""


def log_dataset(films: FilmSet, parts: Sequence[str]) -> dict[str, str]:
    """Log each part as a dataset input of the active run; the digest of each part."""
    digests = {}
    for part in parts:
        chosen = films.part(part)
        digests[part] = digest(chosen, films.slots)
        # What the films are, not where: the same films in another folder are the same dataset.
        source = CodeDatasetSource({"kind": films.kind, "dataset": films.name, "part": part, "films": len(chosen)})
        dataset = MetaDataset(  # type: ignore[abstract]  # MLflow itself makes it like this
            source, name=f"{films.name}-{part}", digest=digests[part][:DIGEST_LENGTH]
        )
        mlflow.log_input(dataset, context=part)
        mlflow.set_tag(f"data_digest.{part}", digests[part])
    return digests


def log_environment() -> None:
    """Installed packages as an artefact; commit, Python and platform as tags of the active run."""
    packages = sorted({f"{d.metadata['Name']}=={d.version}" for d in distributions()}, key=str.lower)
    mlflow.log_text("\n".join(packages) + "\n", "environment.txt")
    mlflow.set_tags({"git_commit": git_commit(), "python": platform.python_version(), "platform": platform.platform()})


def git_commit() -> str:
    """Commit of the code, with `+changes` where the checkout differs from it; `none` outside a checkout."""
    root = Path(__file__).resolve().parents[2]
    try:
        commit = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return "none"
    return f"{commit}+changes" if changed else commit


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()
