"""Registered models, losses and readers that go with the test that registered them."""

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
def registrations_undone() -> Iterator[None]:
    """Undo at the end whatever was registered within."""
    tables = (READERS, HEATMAP_LOSSES, MODELS, RECIPES_OF)
    names = (LAYOUT_NAMES, LOSS_NAMES, MODEL_NAMES)
    before = [set(one) for one in (*tables, *names)]
    try:
        yield
    finally:
        for table, kept in zip(tables, before, strict=False):
            for name in set(table) - kept:
                del table[name]  # type: ignore[attr-defined]
        for listed, kept in zip(names, before[len(tables) :], strict=True):
            listed[:] = [name for name in listed if name in kept]
