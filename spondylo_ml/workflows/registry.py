"""`registry`: the history of a registered model."""

from __future__ import annotations

from spondylo_ml.config.promotion import RegistryConfig
from spondylo_ml.promotion.registry_pages import history_text
from spondylo_ml.tracking.registry import Registry
from spondylo_ml.tracking.store_check import require_store


def show_history(config: RegistryConfig) -> str:
    """Show the history of a registered model as text.

    Raises:
        TrackingError: it has no history.
    """
    require_store()
    registry = Registry(config.registered_model)
    events, champion = registry.require_history(), registry.champion()
    return history_text(registry.name, events, int(champion.version) if champion is not None else None)
