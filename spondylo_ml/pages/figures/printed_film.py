"""The picture of a film report as lines that can be told apart on grey paper: by dashes, width and dark edges."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from spondylo_ml.pages.colours import PREDICTION_RGB, TRUTH_RGB
from spondylo_ml.pages.figures.film_picture import FilmPicture, Shape

LETTERS_PT = 8.0
WIDTHS_PT = {"outline": 0.8, "plate": 1.5, "drop": 0.8, "arrow": 2.0}
EDGE_PT = 1.2
"""How much wider the dark edge of a line is."""

HEAD_PT, HEAD_OF_SCALE = 4.0, 0.4
"""Length of an arrow's head, and its part of Matplotlib's scale of an arrow."""

DOT_PT = 3.0
DASHES = (4.0, 1.5)


def draw_printed_film(axes: Any, picture: FilmPicture, by_model: bool, say: Callable[[str], str]) -> None:
    """Draw the film and its shapes into Matplotlib axes; what a model found is magenta and dashed, labels cyan.

    Args:
        say: puts an English text into the language of the report.
    """
    width, height = picture.size_wh
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(picture.png_base64), np.uint8), cv2.IMREAD_GRAYSCALE)
    axes.imshow(
        pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0), interpolation="none", aspect="equal"
    )
    rgb = tuple(level / 255 for level in (PREDICTION_RGB if by_model else TRUTH_RGB))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    for shape in picture.shapes:
        if shape.kind == "text" or shape.kind.startswith("slip"):
            _write(axes, shape, say)
        else:
            _draw(axes, shape, rgb, by_model)


def _draw(axes: Any, shape: Shape, rgb: tuple[float, ...], dashed: bool) -> None:
    x, y = zip(*shape.points, strict=True)
    if shape.kind == "corner":
        axes.plot(x, y, "o", markersize=DOT_PT, markerfacecolor="white", markeredgecolor="black", markeredgewidth=0.5)
    elif shape.kind in ("outline", "plate", "drop"):
        line = WIDTHS_PT[shape.kind]
        colour = "white" if shape.kind == "drop" else rgb
        style = {"dashes": DASHES} if dashed and shape.kind != "drop" else {}
        axes.plot(x, y, color="black", linewidth=line + EDGE_PT, solid_capstyle="butt")
        axes.plot(x, y, color=colour, linewidth=line, **({"linestyle": ":"} if shape.kind == "drop" else style))
    elif shape.kind == "arrow":
        _draw_arrow(axes, shape)


def _draw_arrow(axes: Any, shape: Shape) -> None:
    """An arrow whose head is at most two thirds of it."""
    from matplotlib.patheffects import withStroke

    start, end = np.array(shape.points)
    width_px = axes.get_xlim()[1]
    length_pt = (
        float(np.linalg.norm(end - start)) * axes.get_position().width * axes.figure.get_figwidth() * 72 / width_px
    )
    line = min(WIDTHS_PT["arrow"], length_pt / 4)
    style = {"arrowstyle": "-|>", "color": "white", "lw": line, "shrinkA": 0, "shrinkB": 0}
    head = min(HEAD_PT, 2 / 3 * length_pt) / HEAD_OF_SCALE
    arrow = axes.annotate("", xy=end, xytext=start, arrowprops={**style, "mutation_scale": head})
    arrow.arrow_patch.set_path_effects([withStroke(linewidth=line + EDGE_PT, foreground="black")])


def _write(axes: Any, shape: Shape, say: Callable[[str], str]) -> None:
    """A name on its body, or a slip beside its level, on a dark box."""
    align = {"text": "center", "slip start": "left", "slip end": "right"}[shape.kind]
    axes.text(
        *shape.points[0],
        say(shape.text) if shape.kind == "text" else shape.text.split(": ")[1].split(",")[0],
        fontsize=LETTERS_PT,
        color="white",
        ha=align,
        va="center",
        parse_math=False,
        bbox={"boxstyle": "square,pad=0.12", "facecolor": "black", "edgecolor": "none", "alpha": 0.65},
    )
