"""What `python -m starter` can be asked for. Imports nothing slow."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from spondylo_ml.config.resolve import projects_dir
from spondylo_ml.config.section import Section
from spondylo_ml.serving.local_model import STARTER, STARTER_FOLDER

THREADS = 1
"""Threads that compute: with others the weights differ in their last digits. One leaves a core to other work."""

LARGEST_MB = 20.0


class StarterOptions(Section):
    """Where the starter model is trained, and where it is written."""

    work: Path = Field(Path("starter_run"), description="folder of the training run; the same one resumes it")
    to: Path = Field(STARTER_FOLDER, description="folder of the starter model, which is replaced")
    smoke: bool = Field(False, description="train the smoke variant, which shows within minutes that everything works")
    evaluate_again: bool = Field(
        False,
        description="train nothing: the model in the folder reads films as the recipe says now, and gets new numbers; "
        "its weights and calibration stay",
    )
    changed_code: bool = Field(
        False, description="also from code that differs from its commit, whose weights nobody can make again"
    )


def recipe() -> Path:
    """The recipe of the starter model."""
    return projects_dir() / STARTER / "config.yaml"


def smoke_recipe() -> Path:
    """What the smoke variant changes in the recipe."""
    return projects_dir() / STARTER / "smoke.yaml"


def close_up_recipes(smoke: bool) -> tuple[Path, ...]:
    """What the second training run, that of the close-up, changes in the recipe."""
    names = ("close_up.yaml", "close_up_smoke.yaml") if smoke else ("close_up.yaml",)
    return tuple(projects_dir() / STARTER / name for name in names)
