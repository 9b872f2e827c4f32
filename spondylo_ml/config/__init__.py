"""The configuration of a run: its schema, and how it is put together."""

from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.config.films import DataConfig
from spondylo_ml.config.resolve import field_names, flatten, resolve_config, validate
from spondylo_ml.config.schema import Config
from spondylo_ml.config.uncertainty import UncertaintyConfig
from spondylo_ml.config.verbs import (
    AuditConfig,
    CompareConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    PhantomConfig,
    PredictConfig,
)

__all__ = [
    "AuditConfig", "ClinicalConfig", "CompareConfig", "Config", "DataConfig", "DiagnoseConfig", "EvaluateConfig",
    "ExportConfig", "PhantomConfig", "PredictConfig", "UncertaintyConfig", "field_names", "flatten", "resolve_config",
    "validate",
]  # fmt: skip
