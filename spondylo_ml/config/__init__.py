"""The configuration of a run: its schema, and how it is put together."""

from spondylo_ml.config.clinical import ClinicalConfig
from spondylo_ml.config.films import DataConfig
from spondylo_ml.config.promotion import MarginsConfig, PromoteConfig, RegistryConfig
from spondylo_ml.config.resolve import field_names, flatten, resolve_config, validate
from spondylo_ml.config.schema import Config
from spondylo_ml.config.uncertainty import UncertaintyConfig
from spondylo_ml.config.verbs import AuditConfig, CompareConfig, EvaluateConfig, ExportConfig, PhantomConfig

__all__ = [
    "AuditConfig", "ClinicalConfig", "CompareConfig", "Config", "DataConfig", "EvaluateConfig", "ExportConfig",
    "MarginsConfig", "PhantomConfig", "PromoteConfig", "RegistryConfig", "UncertaintyConfig", "field_names",
    "flatten", "resolve_config", "validate",
]  # fmt: skip
