"""Lines about files that a command was given and does not use."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

LISTED_NOTES = 10


def not_used(skipped: Sequence[Path], notes: Sequence[str]) -> list[str]:
    """A line on the files that are not films, and one on each of the first `LISTED_NOTES` of the others."""
    lines = [f"{len(skipped)} file(s) that are not films were skipped, the first: {skipped[0]}"] if skipped else []
    lines += notes[:LISTED_NOTES]
    more = len(notes) - LISTED_NOTES
    return [*lines, f"and {more} more that are not used"] if more > 0 else lines
