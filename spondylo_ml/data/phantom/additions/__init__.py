"""What can be added to the first generator of synthetic films; without additions its films never change."""

from __future__ import annotations

from enum import StrEnum


class Addition(StrEnum):
    """A part of the film that is drawn in a later, more realistic way."""

    SACRUM = "sacrum"  # S1 as a wedge, fused with S2 to S5; pelvis in front of it, from faint to burnt out
    SURROUNDINGS = "surroundings"  # skin folds, streaks, small bubbles of gas, film edges, ruler, scratches


ADDITION_NAMES: tuple[str, ...] = tuple(str(addition) for addition in Addition)
"""All names of additions."""
