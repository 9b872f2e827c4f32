"""Undoes the registrations of models, losses and readers that a test makes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from spondylo_ml.config.films import LAYOUT_NAMES
from spondylo_ml.config.network import LOSS_NAMES, MODEL_NAMES
from spondylo_ml.config.resolve import RECIPES_OF
from spondylo_ml.data.readers import READERS
from spondylo_ml.models.losses import HEATMAP_LOSSES
from spondylo_ml.models.zoo import MODELS


@contextmanager
def temporary_registrations() -> Iterator[None]:
    """Undo at the end all registrations made in the `with` block."""
    tables = (READERS, HEATMAP_LOSSES, MODELS, RECIPES_OF)
    names = (LAYOUT_NAMES, LOSS_NAMES, MODEL_NAMES)
    before = [set(names_in) for names_in in (*tables, *names)]
    try:
        yield
    finally:
        for table, names_before in zip(tables, before, strict=False):
            for name in set(table) - names_before:
                del table[name]  # type: ignore[attr-defined]
        for name_list, names_before in zip(names, before[len(tables) :], strict=True):
            name_list[:] = [name for name in name_list if name in names_before]
