"""Matplotlib figures as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from spondylo_ml.pages.figures.labels import Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width_inches: float, height_inches: float) -> Figure:
    """An empty figure that needs no screen. Matplotlib is imported here, since that is slow."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_inches, height_inches), layout="constrained")


def picture_of(figure: Figure) -> Picture:
    """(H, W, 3) RGB: the figure as drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba(), dtype=np.uint8)  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(pixels[..., :3])
