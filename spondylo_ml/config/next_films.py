"""The options of `next`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spondylo_ml.config.commands import DIGEST_HELP, MODEL_HELP, Digest, DraftFormat
from spondylo_ml.config.experiments import TOOLS_EXPERIMENT
from spondylo_ml.config.films import LAYOUT_NAMES, DataConfig
from spondylo_ml.config.paths import PathList, expanded
from spondylo_ml.config.section import Section


class NextConfig(Section):
    """The unlabelled films, the model, and how many films to choose."""

    films: PathList = Field(
        min_length=1,
        description="unlabelled image or DICOM files, folders, or patterns such as 'films/*.dcm', separated by commas",
    )
    count: int = Field(50, ge=1, le=10_000, description="films to choose")
    model: str = Field("champion", min_length=1, description=MODEL_HELP)
    digest: Digest | None = Field(None, description=DIGEST_HELP)
    labelled: Path | None = Field(
        None, description="folder of the films that are labelled already, such as the training films"
    )
    kind: Annotated[str, LAYOUT_NAMES] = Field("auto", description="layout of that folder; auto recognises it")
    on_bad_file: Literal["error", "skip"] = Field(
        "error", description="bad files in that folder: stop, or skip, list and count them"
    )
    to: Path | None = Field(None, description="new or empty folder for the list, the page and the drafts")
    format: DraftFormat | None = Field(
        None, description="also write the chosen films to drafts/ in that folder, as tasks of a labelling tool"
    )
    private_names: bool = Field(
        False, description="also write names_private.csv to that folder, the table of files and pseudonyms"
    )
    pictures: int = Field(24, ge=0, le=300, description="chosen films drawn on the page, first ones first")
    experiment: str | None = Field(
        None, min_length=1, description=f"MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or {TOOLS_EXPERIMENT}"
    )

    @model_validator(mode="after")
    def _a_folder_for_what_is_written(self) -> NextConfig:
        if self.to is None and (self.format is not None or self.private_names):
            raise ValueError("format and private_names write to a folder: give to, too")
        if self.labelled is None and {"kind", "on_bad_file"} & self.model_fields_set:
            raise ValueError("kind and on_bad_file are those of the labelled films: give labelled, too")
        return self

    @property
    def labelled_data(self) -> DataConfig | None:
        """Where to read the labelled films."""
        if self.labelled is None:
            return None
        return DataConfig(path=expanded(self.labelled), kind=self.kind, on_bad_file=self.on_bad_file)
