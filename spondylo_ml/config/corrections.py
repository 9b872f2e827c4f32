"""The options of `corrections`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.films import LAYOUT_NAMES, DataConfig, dataset_configs, require_kind_of_each
from spondylo_ml.config.paths import PathList, expanded
from spondylo_ml.config.section import CommaList, Section


class CorrectionsConfig(Section):
    """A model's drafts, and the labels that people made of them."""

    drafts: PathList = Field(
        min_length=1, description="folders that predict --format wrote, or the drafts/ in them, separated by commas"
    )
    data: PathList = Field(min_length=1, description="folders with the corrected labels, separated by commas")
    kinds: CommaList[Annotated[str, LAYOUT_NAMES]] = Field(
        (), description="layout of each folder of labels, in the same order, such as cvat,coco; unset: recognised"
    )
    on_bad_file: Literal["error", "skip"] = Field(
        "skip", description="files without a label that can be read: stop, or skip, list and count them"
    )
    moved_px: float = Field(
        0.05, ge=0, le=10, description="px of the film above which a corner was moved; less is the rounding of files"
    )
    pictures: int = Field(10, ge=0, le=50, description="largest corrections, drawn on the page")
    resamples: int = Field(1000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")
    experiment: str | None = Field(
        None, min_length=1, description=f"MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or {TOOLS_EXPERIMENT}"
    )

    @model_validator(mode="after")
    def _one_kind_per_folder(self) -> CorrectionsConfig:
        require_kind_of_each(self.kinds, self.data)
        for name in ("drafts", "data"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name}: a folder is given twice; give each once")
        return self

    @property
    def datasets(self) -> tuple[DataConfig, ...]:
        """Where to read the corrected labels."""
        return dataset_configs(self.data, self.kinds, self.on_bad_file)

    @property
    def draft_folders(self) -> tuple[Path, ...]:
        """Where to read the drafts."""
        return tuple(expanded(Path(path)) for path in self.drafts)
