"""The options of `readers`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spondylo_ml.config.commands import DIGEST_HELP, MODEL_HELP, Digest, Layout
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.films import LAYOUT_NAMES, DataConfig, dataset_configs, require_kind_of_each
from spondylo_ml.config.paths import PathList
from spondylo_ml.config.section import CommaList, Section

LayoutName = Annotated[str, LAYOUT_NAMES]


class ReadersConfig(Section):
    """The datasets of several readers who labelled the same films."""

    data: PathList = Field(
        min_length=2, max_length=26, description="folders of two or more readers, separated by commas: A, B, ..."
    )
    kinds: CommaList[LayoutName] = Field(
        (), description="layout of each folder, in the same order, such as coco,cvat; unset: recognised"
    )
    on_bad_file: Literal["error", "skip"] = Field("error", description="bad files: stop, or skip, list and count them")
    model: str | None = Field(None, min_length=1, description=f"model to compare with the readers: {MODEL_HELP}")
    digest: Digest | None = Field(None, description=DIGEST_HELP)
    to: Path | None = Field(None, description="new or empty folder for the films with the consensus labels")
    layout: Layout = Field("coco", description="layout of that dataset")
    pictures: int = Field(6, ge=0, le=50, description="films on which the readers differ most, drawn on the page")
    resamples: int = Field(1000, ge=100, le=100000, description="bootstrap resamples of the patients for the intervals")
    seed: int = Field(0, ge=0, description="seed of the resampling")
    experiment: str | None = Field(
        None, min_length=1, description=f"MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or {TOOLS_EXPERIMENT}"
    )

    @model_validator(mode="after")
    def _one_kind_per_folder(self) -> ReadersConfig:
        require_kind_of_each(self.kinds, self.data)
        if len(set(self.data)) < len(self.data):
            raise ValueError("data: a folder is given twice; give that of each reader once")
        if self.layout != "coco" and self.to is None:
            raise ValueError("layout is that of the consensus labels: give to, the folder for them, too")
        if self.digest is not None and self.model is None:
            raise ValueError("digest is that of a model: give model too")
        return self

    @property
    def datasets(self) -> tuple[DataConfig, ...]:
        """Where to read the films of each reader."""
        return dataset_configs(self.data, self.kinds, self.on_bad_file)
