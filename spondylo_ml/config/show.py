"""The options of the commands that show films, and of `spacing`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from spondylo_ml.config.commands import DIGEST_HELP, MODEL_HELP, Digest
from spondylo_ml.config.films import DataConfig
from spondylo_ml.config.paths import expanded
from spondylo_ml.config.section import CommaList, Section


class ShowConfig(Section):
    """Which films to show, and the model whose predictions are drawn."""

    to: Path = Field(description="new or empty folder for the pictures and their page, index.html")
    model: str | None = Field(None, min_length=1, description=f"{MODEL_HELP}; unset: the labels alone")
    digest: Digest | None = Field(None, description=DIGEST_HELP)
    data: DataConfig = Field(
        default_factory=DataConfig, description="films; values that are not set are those of the model's training run"
    )
    split: Literal["train", "val", "test", "all"] = Field("val", description="part of the films")
    films: int = Field(6, ge=1, le=200, description="number of films")
    choose: Literal["spread", "worst", "best"] = Field(
        "spread", description="evenly spaced over the part, or those with the largest or smallest error of the model"
    )
    heatmaps: bool = Field(True, description="draw the heatmaps of a model that has them")
    height_px: int = Field(768, ge=128, le=4096, description="height of a film in its picture")

    @model_validator(mode="after")
    def _errors_need_a_model(self) -> ShowConfig:
        if self.model is None and self.choose != "spread":
            raise ValueError(f"choose={self.choose} ranks films by the error of a model: give model too")
        return self


class PreviewOptions(Section):
    """Options of `preview` beside the configuration of the training run."""

    to: Path = Field(description="new or empty folder for the pictures and their page, index.html")
    recipe: Path | None = Field(None, description="YAML file laid over the model's own recipe")
    films: int = Field(4, ge=1, le=100, description="number of training films, the first ones")
    epochs_shown: int = Field(6, ge=1, le=50, description="epochs whose augmented versions of each film are shown")

    @property
    def recipe_path(self) -> Path | None:
        """The recipe with `~` replaced by the user's home."""
        return expanded(self.recipe) if self.recipe is not None else None


Millimetres = Annotated[float, Field(gt=0, le=5000)]


class SpacingConfig(Section):
    """From what to measure the pixel spacing of a film."""

    film: Path | None = Field(None, description="film whose file may state a spacing (DICOM)")
    points: CommaList[float] = Field(
        (), description="x1,y1,x2,y2,... in px: both ends of an object of known length, or successive marks of a ruler"
    )
    length_mm: Millimetres | None = Field(None, description="length of the object between the two points")
    mark_mm: Millimetres | None = Field(None, description="distance of two marks of the ruler")
    length_error_mm: float = Field(0.5, ge=0, description="standard uncertainty of the length, or of the whole ruler")
    point_error_px: float = Field(1.0, ge=0, description="standard uncertainty of a point along the object, px")
    pixel_aspect: float = Field(1.0, gt=0, le=10, description="width of a pixel over its height")
    magnification: CommaList[Annotated[float, Field(ge=0.5, le=2)]] = Field(
        (1.0, 1.0),
        min_length=2,
        max_length=2,
        description="lowest,highest magnification of the object relative to the spine; 1,1: in the same plane",
    )

    @model_validator(mode="after")
    def _one_object(self) -> SpacingConfig:
        known = [name for name in ("length_mm", "mark_mm") if getattr(self, name) is not None]
        if not self.points and not known and self.film is not None:
            return self
        if len(known) != 1 or not self.points:
            raise ValueError(
                "give film, for the spacing of a DICOM file; or points with length_mm (two points) or mark_mm (three "
                "or more marks of a ruler)"
            )
        if len(self.points) % 2 or (known == ["length_mm"] and len(self.points) != 4):
            need = "two points, x1,y1,x2,y2" if known == ["length_mm"] else "pairs x1,y1,x2,y2,x3,y3,..."
            raise ValueError(f"points: {len(self.points)} numbers given; {known[0]} needs {need}")
        if self.magnification[0] > self.magnification[1]:
            raise ValueError("magnification: the lowest comes first")
        return self
