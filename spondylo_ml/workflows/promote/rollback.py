"""`promote --rollback true`: make the former champion the champion again."""

from __future__ import annotations

from spondylo_ml.config.promotion import PromoteConfig
from spondylo_ml.errors import TrackingError
from spondylo_ml.promotion.history import Event, EventKind, former_champion
from spondylo_ml.promotion.registry_pages import model_page, with_later_event
from spondylo_ml.tracking.lock import promotion_lock
from spondylo_ml.tracking.registry import OUT_OF_USE, ROLLED_BACK, STATUS, Registry, now
from spondylo_ml.tracking.store_check import require_store
from spondylo_ml.workflows.promote.result import Promotion
from spondylo_ml.workflows.promote.workflow import promote


def roll_back(config: PromoteConfig) -> Event:
    """Make the former champion the champion again; returns the recorded event.

    Raises:
        TrackingError: there is no former champion, its version was deleted, or the alias was moved by hand.
    """
    require_store()
    with promotion_lock(config.registered_model, config.break_lock) as lock:
        registry = Registry(config.registered_model)
        events, current = registry.require_history(), registry.champion()
        if current is None or int(current.version) != events[-1].version:
            raise TrackingError(
                f"the alias champion of {registry.name} is at {current.version if current else 'no version'}, in the "
                f"history at {events[-1].version}: it was moved by hand, or that version was deleted. Put it back by "
                "hand first, then roll back; if the version was deleted, promote another run"
            )
        former = former_champion(events)
        if former is None:
            raise TrackingError(f"{registry.name} has no former champion: version {current.version} was the first")
        version = registry.version(former)
        reason = config.reason or "no reason was given"
        event = Event(
            kind=EventKind.ROLLED_BACK,
            time=now(),
            version=former,
            model=version.tags.get("model", "unknown"),
            run_id=version.run_id or "",
            former=int(current.version),
            reasons=(f"rollback: {reason}",),
        )
        lock.require_held()
        registry.set_champion(version, event)
        day = event.time[:10]
        registry.tag_version(current, {STATUS: OUT_OF_USE, ROLLED_BACK: f"on {day} ({reason})"})
        text = f"Rolled back on {day} to version {former}: {reason}."
        registry.describe_version(current, with_later_event(current.description or "", text))
        text = f"Champion again since {day}, after version {current.version} was rolled back: {reason}."
        registry.describe_version(version, with_later_event(version.description or "", text))
        registry.describe(model_page(registry.name, registry.events()))
    return event


def promote_or_roll_back(config: PromoteConfig) -> Promotion | Event:
    """Roll back if `config.rollback` is set, else evaluate the candidates."""
    return roll_back(config) if config.rollback else promote(config)
