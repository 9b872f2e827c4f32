"""The history of champions: who, when, and why replaced, as a list of events, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from spondylo_ml.errors import TrackingError

LONGEST_TEXT = 4500
"""A registered model's tag holds 5000 characters in PostgreSQL."""


class EventKind(StrEnum):
    """The kind of an event."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    NEW_FILMS = "new films"


class Event(BaseModel):
    """A change of the champion, or of the films it is evaluated on.

    Attributes:
        time: UTC, ISO 8601, to the second.
        version: the champion after the event.
        model: name of its network.
        run_id: its training run.
        former: the champion before the event; None for the first champion.
        reasons: sentences.
        promotion_run: the run that logged the decision; empty for a rollback.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: EventKind
    time: str
    version: int
    model: str
    run_id: str
    former: int | None
    reasons: tuple[str, ...]
    promotion_run: str = ""

    def to_text(self) -> str:
        """YAML that fits into a tag, legible in MLflow; reasons that are too many are only in the promotion run."""
        event = self
        while len(text := _in_yaml(event)) > LONGEST_TEXT and len(event.reasons) > 1:
            event = event.model_copy(update={"reasons": (*event.reasons[:-2], "more in the promotion's run")})
        return text

    @classmethod
    def from_text(cls, text: str) -> Event:
        """The inverse of `to_text`; reads the JSON of version 0.1 too, which is YAML as well.

        Raises:
            TrackingError: the text is not an event.
        """
        try:
            return cls.model_validate(yaml.safe_load(text))
        except (ValidationError, yaml.YAMLError):
            raise TrackingError(f"the history contains an invalid event: {text[:80]!r}") from None


def _in_yaml(event: Event) -> str:
    return yaml.safe_dump(event.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=LONGEST_TEXT)


@dataclass(frozen=True)
class Reign:
    """One row of the table of champions.

    Attributes:
        until: end of the reign; None for the current champion.
        came: why it became champion.
        ended: why it was replaced; empty for the current champion.
    """

    version: int
    model: str
    run_id: str
    since: str
    until: str | None
    came: tuple[str, ...]
    ended: str


def reigns(events: Sequence[Event]) -> list[Reign]:
    """All champions in order, oldest first; one that was restored by a rollback has a second row."""
    changes = [event for event in events if event.kind is not EventKind.NEW_FILMS]
    rows = []
    for event, following in zip_longest(changes, changes[1:]):
        ended = "" if following is None else f"{_replaced(following)}: {following.reasons[0]}"
        until = following.time if following else None
        rows.append(Reign(event.version, event.model, event.run_id, event.time, until, event.reasons, ended))
    return rows


def former_champion(events: Sequence[Event]) -> int | None:
    """The version that a rollback restores: the previous champion, without those rolled back.

    That is the one in whose place the champion came, also if it had the alias by hand and no event of its own.
    """
    line: list[int] = []
    for event in events:
        if event.kind is EventKind.PROMOTED:
            if event.former is not None and line[-1:] != [event.former]:
                line.append(event.former)
            line.append(event.version)
        elif event.kind is EventKind.ROLLED_BACK:
            line = line[:-1]
    return line[-2] if len(line) > 1 else None


def _replaced(following: Event) -> str:
    if following.kind is EventKind.ROLLED_BACK:
        return f"rolled back to version {following.version}"
    return f"replaced by version {following.version}"
