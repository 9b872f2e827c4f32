"""Whether highdicom, an optional package, is installed."""

from __future__ import annotations

from importlib.util import find_spec

from spondylo_ml.errors import ConfigError


def require_installed() -> None:
    """Raise `ConfigError` if highdicom is missing."""
    if find_spec("highdicom") is None:
        raise ConfigError(
            "dicom_to needs highdicom: pip install 'spondylo_ml[dicom]', or in a clone pip install -e '.[dicom]'"
        )
