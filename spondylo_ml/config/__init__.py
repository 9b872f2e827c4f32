"""The configuration of a run: its schema, and how it is put together."""

from spondylo_ml.config.resolve import field_names, flatten, resolve_config, validate
from spondylo_ml.config.schema import ClinicalConfig, Config, DataConfig, EvaluateConfig, UncertaintyConfig

__all__ = [
    "ClinicalConfig",
    "Config",
    "DataConfig",
    "EvaluateConfig",
    "UncertaintyConfig",
    "field_names",
    "flatten",
    "resolve_config",
    "validate",
]
