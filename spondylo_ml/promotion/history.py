"""Who was champion, when, and why replaced: a list of events, oldest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import zip_longest

from pydantic import BaseModel, ConfigDict, ValidationError

from spondylo_ml.errors import TrackingError

LONGEST_JSON = 4500
"""PostgreSQL keeps 5000 characters of a registered model's tag."""


class EventKind(StrEnum):
    """What happened."""

    PROMOTED = "promoted"
    ROLLED_BACK = "rolled back"
    NEW_FILMS = "new films"


class Event(BaseModel):
    """Something that happened to the champion.

    Attributes:
        time: UTC, ISO 8601, to the second.
        version: champion from then on.
        model: its network.
        run_id: of its training.
        former: champion until then; None for the first.
        reasons: plain sentences.
        promotion_run: where all that decided was logged; empty for a rollback.
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
        """As JSON that fits into a tag; of too many reasons the last ones are left to the promotion's run."""
        event = self
        while len(text := event.model_dump_json()) > LONGEST_JSON and len(event.reasons) > 1:
            event = event.model_copy(update={"reasons": (*event.reasons[:-2], "more in the promotion's run")})
        return text

    @classmethod
    def from_text(cls, text: str) -> Event:
        """The inverse of `to_text`.

        Raises:
            TrackingError: not an event.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            raise TrackingError(f"the history holds something that is no event: {text[:80]!r}") from None


@dataclass(frozen=True)
class Reign:
    """One row of the table of champions.

    Attributes:
        until: None for the champion of today.
        ended: why; empty for the champion of today.
    """

    version: int
    model: str
    run_id: str
    since: str
    until: str | None
    came: tuple[str, ...]
    ended: str


def reigns(events: Sequence[Event]) -> list[Reign]:
    """All champions in turn, oldest first; one that was put back has a second row."""
    changes = [event for event in events if event.kind is not EventKind.NEW_FILMS]
    made = []
    for event, following in zip_longest(changes, changes[1:]):
        ended = "" if following is None else f"{_replaced(following)}: {following.reasons[0]}"
        until = following.time if following else None
        made.append(Reign(event.version, event.model, event.run_id, event.time, until, event.reasons, ended))
    return made


def former_champion(events: Sequence[Event]) -> int | None:
    """The version to which a rollback goes: champion before the present one, those rolled back left out."""
    line: list[int] = []
    for event in events:
        if event.kind is EventKind.PROMOTED:
            line.append(event.version)
        elif event.kind is EventKind.ROLLED_BACK:
            line = line[:-1]
    return line[-2] if len(line) > 1 else None


def _replaced(following: Event) -> str:
    if following.kind is EventKind.ROLLED_BACK:
        return f"rolled back to version {following.version}"
    return f"replaced by version {following.version}"
