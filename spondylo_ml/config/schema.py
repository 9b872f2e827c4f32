"""The one configuration of a run: frozen, validated, and the only source of what is logged.

Every field's description becomes the help text of its command line flag; its allowed range is appended from the
field's own constraints, so that the help cannot disagree with the check.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.config.experiments import EXPERIMENT
from spondylo_ml.config.films import AugmentationConfig, DataConfig
from spondylo_ml.config.network import DROPOUT_OF, HeatmapConfig, LossConfig, ModelConfig
from spondylo_ml.config.optimisation import TrainingConfig
from spondylo_ml.config.reading import ReadingConfig
from spondylo_ml.config.section import Section
from spondylo_ml.config.uncertainty import UncertaintyConfig

PRESETS = ("smoke", "quick", "full", "document", "finetune")

MOVABLE = (
    "tracking.",
    "training.device",
    "training.workers",
    "training.preflight",
    "data.path",
    "data.on_audit_error",
)
"""Prefixes of the values that may change when a training run is resumed."""


class TrackingConfig(Section):
    """Content of a run in MLflow."""

    experiment: str | None = Field(
        None, min_length=1, description=f"MLflow experiment; unset: MLFLOW_EXPERIMENT_NAME, or {EXPERIMENT}"
    )
    run_name: str | None = Field(
        None, description="name of the run; unset: the model, what differs from its recipe, and a number"
    )
    panel_films: int = Field(6, ge=0, le=64, description="validation films in the panel of overlays")
    panel_every_epochs: int = Field(5, ge=1, description="epochs between two panels, and the last planned one")
    system_metrics: bool = Field(True, description="log processor and memory use")
    standing: bool = Field(
        False,
        description="after training, log the validation report of the best weights with intervals, and their cost",
    )


class Config(Section):
    """Configuration of a training run."""

    preset: Literal["smoke", "quick", "full", "document", "finetune"] = Field(
        "quick",
        description="recipe variant: smoke (under a minute), quick (minutes, small images), full (the best "
        "known, for a GPU), document (the recipe of the document that the project started from), finetune (goes on "
        "from a model with 5 to 50 films in ten minutes; the default if model.pretrained names a model)",
    )
    seed: int = Field(0, ge=0, lt=2**31, description="seed of weights, order and augmentation")
    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    heatmap: HeatmapConfig = HeatmapConfig()
    loss: LossConfig = LossConfig()
    augmentation: AugmentationConfig = AugmentationConfig()
    training: TrainingConfig = TrainingConfig()
    clinical: ClinicalConfig = ClinicalConfig()
    uncertainty: UncertaintyConfig = UncertaintyConfig()
    reading: ReadingConfig = ReadingConfig()
    tracking: TrackingConfig = TrackingConfig()

    @model_validator(mode="after")
    def _length_is_given(self) -> Config:
        if self.training.epochs is None and self.training.film_passes is None:
            raise ValueError("give training.epochs or training.film_passes: neither is set")
        return self

    @model_validator(mode="after")
    def _spread_is_predicted(self) -> Config:
        if self.loss.uncertainty_weight > 0 and not self.model.predicts_spread:
            raise ValueError(
                "loss.uncertainty_weight needs a network that predicts a spread: model.name=maht_net with "
                "model.maht_net.attention_layers of 1 or more; otherwise set it to 0"
            )
        return self

    @model_validator(mode="after")
    def _close_up_to_train(self) -> Config:
        has_one = self.model.name == "cascade_net" and self.model.cascade_net.close_up_samples > 0
        if self.training.parts != "all" and not has_one:
            raise ValueError(
                f"training.parts {self.training.parts} concerns the close-up of Cascade Net, and there is none: set "
                "model.name=cascade_net and model.cascade_net.close_up_samples=80, or training.parts=all"
            )
        return self

    @model_validator(mode="after")
    def _reduced_input_fits(self) -> Config:
        multiple = self.model.size_multiple
        if self.data.input_hw and any(side % multiple for side in self.data.input_hw):
            given = " x ".join(map(str, self.data.input_hw))
            raise ValueError(
                f"data.input_hw is {given} px: {self.model.name} with this reduction needs multiples of {multiple}"
            )
        return self

    @model_validator(mode="after")
    def _flip_spread_has_two_orientations(self) -> Config:
        if self.uncertainty.source == "flip" and not self.heatmap.flip_average:
            raise ValueError("uncertainty.source flip needs heatmap.flip_average: there is no mirror image otherwise")
        return self

    @model_validator(mode="after")
    def _dropout_spread_has_dropout(self) -> Config:
        if self.uncertainty.source == "dropout" and not self.model.drops:
            where = DROPOUT_OF.get(self.model.name)
            cure = f"set {where} above 0" if where else "choose another model"
            raise ValueError(
                f"uncertainty.source dropout needs a network with dropout, and {self.model.name} has none: {cure}, or "
                "take another uncertainty.source"
            )
        return self
