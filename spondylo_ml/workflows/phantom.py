"""`phantom`: synthetic films written to a folder in any layout."""

from __future__ import annotations

from spondylo_ml.config import PhantomConfig
from spondylo_ml.data.loading import draw_films
from spondylo_ml.workflows.export import ExportResult, with_parts, write_films


def draw_phantoms(config: PhantomConfig) -> ExportResult:
    """Draw synthetic films and write them.

    Raises:
        DataError: a target folder that is not empty, or too few films for the parts of the layout.
    """
    return write_films(with_parts(draw_films(config), config.format, config.val_fraction, config.seed), config)
