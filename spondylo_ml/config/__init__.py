"""The configuration of a run: its schema, and how it is put together."""

from spondylo_ml.config.benchmark import BenchmarkConfig, Entry, EntryList, read_entries
from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.config.commands import (
    AuditConfig,
    Backend,
    CompareConfig,
    ConvertModelConfig,
    DiagnoseConfig,
    EvaluateConfig,
    ExportConfig,
    ExportOnnxConfig,
    PhantomConfig,
    TrainOptions,
    UiConfig,
)
from spondylo_ml.config.corrections import CorrectionsConfig
from spondylo_ml.config.deidentify import DeidentifyConfig
from spondylo_ml.config.films import DataConfig
from spondylo_ml.config.next_films import NextConfig
from spondylo_ml.config.predict import PredictConfig
from spondylo_ml.config.promotion import MarginsConfig, PromoteConfig, RegistryConfig
from spondylo_ml.config.reader_study import ReadersConfig
from spondylo_ml.config.reading import ReadingConfig
from spondylo_ml.config.resolve import field_names, flatten, nest, resolve_config, validate
from spondylo_ml.config.schema import Config
from spondylo_ml.config.show import PreviewOptions, ShowConfig, SpacingConfig
from spondylo_ml.config.tools import CleanConfig, ListConfig
from spondylo_ml.config.uncertainty import UncertaintyConfig

__all__ = [
    "AuditConfig", "Backend", "BenchmarkConfig", "CleanConfig", "ClinicalConfig", "CompareConfig", "Config",
    "ConvertModelConfig", "CorrectionsConfig", "DataConfig", "DeidentifyConfig", "DiagnoseConfig", "Entry", "EntryList",
    "EvaluateConfig",
    "ExportConfig", "ExportOnnxConfig", "ListConfig", "MarginsConfig", "NextConfig", "PhantomConfig", "PredictConfig",
    "PreviewOptions", "PromoteConfig", "ReadersConfig", "ReadingConfig", "RegistryConfig", "ShowConfig",
    "SpacingConfig", "TrainOptions", "UiConfig", "UncertaintyConfig", "field_names", "flatten", "nest", "read_entries",
    "resolve_config", "validate",
]  # fmt: skip
