"""What can be added to the first generator of synthetic films; without additions its films never change."""

from __future__ import annotations

from enum import StrEnum


class Addition(StrEnum):
    """A part of the film that is drawn in a later, more realistic way."""

    SACRUM = "sacrum"  # S1 as a wedge, fused with S2 to S5; pelvis in front of it, from faint to burnt out
    SURROUNDINGS = "surroundings"  # deeper belly, skin folds, streaks, small bubbles of gas, film edges, scratches
    CORTEX = "cortex"  # endplates and walls of the bodies up to five times as bright


ADDITION_NAMES: tuple[str, ...] = tuple(str(addition) for addition in Addition)
"""All names of additions."""
