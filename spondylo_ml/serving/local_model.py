"""Models on this machine: the starter model that the package carries, and folders of models. Imports nothing slow."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from spondylo_ml.config.paths import expanded
from spondylo_ml.errors import DataError

DESCRIPTION = "bundle.json"
"""The file that identifies the folder of a model."""

STARTER, STARTER_VARIABLE = "starter", "SPONDYLO_STARTER"
"""Name of the model in the package, and the environment variable that names the folder of another one to use as it."""

STARTER_FOLDER = Path(__file__).resolve().parents[1] / STARTER
ORIGIN = "origin.json"
"""The file beside the starter model that states its digest and how it was made."""


@dataclass(frozen=True)
class LocalModel:
    """The folder of a model, before it is read.

    Attributes:
        name: name of the model in results.
        digest: SHA-256 of the manifest that it must have; None if only the manifest itself vouches for its files.
    """

    folder: Path
    name: str
    digest: str | None = None


def local_model(which: str) -> LocalModel | None:
    """The starter model or the folder that `which` names; None if it names a model in the store.

    A folder called like the starter model is named by its path, such as ./starter.

    Raises:
        DataError: the starter model is named, and there is none.
    """
    if which == STARTER:
        return _starter()
    folder = expanded(Path(which))
    return LocalModel(folder, f"folder {folder.resolve().name}") if folder.is_dir() else None


def only_model(folder: Path) -> Path:
    """The only folder with a model at or below `folder`.

    Raises:
        DataError: there is no model, or more than one.
    """
    places = sorted({path.parent for path in folder.rglob(DESCRIPTION)})
    if len(places) != 1:
        where = "no" if not places else "more than one"
        raise DataError(f"{folder} holds {where} {DESCRIPTION}: give the folder of one model")
    return places[0]


def _starter() -> LocalModel:
    other = os.environ.get(STARTER_VARIABLE)
    folder = expanded(Path(other)) if other else STARTER_FOLDER
    if not (folder / DESCRIPTION).is_file():
        where = f"{STARTER_VARIABLE} names {folder}, which holds no {DESCRIPTION}" if other else _absent(folder)
        raise DataError(
            f"there is no starter model: {where}. Train a model (python -m spondylo_ml train) and give its run id, set "
            f"{STARTER_VARIABLE} to the folder of a model, or make the starter model in a clone of the project (make "
            "starter, which takes hours)"
        )
    if other and not (folder / ORIGIN).is_file():
        return LocalModel(folder, f"{STARTER} from folder {folder.resolve().name}")
    return LocalModel(folder, f"{STARTER} from folder {folder.resolve().name}" if other else STARTER, _stated(folder))


def _absent(folder: Path) -> str:
    hint = ", and the model in the folder here is given as ./starter" if (Path(STARTER) / DESCRIPTION).is_file() else ""
    return f"this installation of spondylo_ml does not contain it ({folder}){hint}"


def _stated(folder: Path) -> str:
    """The digest that the origin of the starter model states."""
    try:
        digest = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))["digest"]
    except (OSError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder / ORIGIN} does not state the digest of the starter model: install spondylo_ml again"
        ) from None
    return str(digest)
