"""Pictures of the largest corrections: the vertebra and its neighbours, as drafted and as corrected."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from spondylo_ml.evaluation.corrections import KEPT
from spondylo_ml.landmarks import LEVELS, Film, Vertebra
from spondylo_ml.pages.figures.labels import Picture
from spondylo_ml.pages.figures.readers_picture import draw_readers

HEIGHT_PX = 420


def largest_corrections(bodies: pd.DataFrame, count: int) -> pd.DataFrame:
    """The rows of the vertebrae whose corner moved farthest; then those that were renamed, added or removed."""
    changed = bodies[bodies["change"] != KEPT]
    return changed.sort_values("largest_px512", ascending=False, kind="stable", na_position="last").head(count)


def draw_correction(draft: Film, corrected: Film, draft_level: str, level: str) -> Picture:
    """(H, W, 3) RGB: a vertebra with the ones next to it, before and after its correction.

    Args:
        draft_level, level: before and after; one of them is empty if the vertebra was added or removed.
    """
    return draw_readers(
        corrected,
        {
            "corrected": _near(corrected.vertebrae or (), level or draft_level),
            "draft": _near(draft.vertebrae or (), draft_level or level),
        },
        HEIGHT_PX,
        square=True,
    )


def _near(vertebrae: Iterable[Vertebra], level: str) -> list[Vertebra]:
    """The vertebra of a level and its neighbours."""
    return [vertebra for vertebra in vertebrae if abs(vertebra.slot - LEVELS.index(level)) <= 1]


def correction_caption(row: pd.Series) -> str:
    """The film, the level and what was corrected."""
    levels = " to ".join(dict.fromkeys(filter(None, (row["draft_level"], row["level"]))))
    text = f"{row['film_id']}: {levels} {row['change']}"
    if row["largest_px512"] > 0:
        mm = f", {row['largest_mm']:.1f} mm" if row["largest_mm"] == row["largest_mm"] else ""
        text += f", by up to {row['largest_px512']:.1f} px512 ({row['largest_px']:.1f} px{mm})"
    return text
