"""Comparison of runs in pictures: learning curves, and films with the predictions of each model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from spondylo_ml.pages import colours
from spondylo_ml.pages.figures.charts import new_figure, picture_of
from spondylo_ml.pages.figures.labels import Picture, draw_text, text_width_px
from spondylo_ml.pages.figures.sheet import tile

TITLE_PX = 24


def draw_learning_curves(curves: Mapping[str, Sequence[tuple[int, float]]], label: str) -> Picture:
    """(H, W, 3) RGB chart of (epoch, value) by run; logarithmic if the values span more than tenfold."""
    figure = new_figure(8, 4)
    axes = figure.subplots()
    for index, (name, points) in enumerate(curves.items()):
        epochs, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(epochs, values, label=name, color=colours.of_run(index), marker="o" if len(points) < 3 else "")
    every = [value for points in curves.values() for _, value in points]
    if every and min(every) > 0 and max(every) > 10 * min(every):
        axes.set_yscale("log")
    axes.set(xlabel="epoch", ylabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    if curves:
        figure.legend(loc="outside upper left", frameon=False, ncols=2, fontsize=8)  # above, where it covers nothing
    return picture_of(figure)


def side_by_side(pictures: Mapping[str, Picture]) -> Picture:
    """The pictures in one row, each below its name."""
    return tile([_titled(name, picture) for name, picture in pictures.items()], columns=max(1, len(pictures)))


def _titled(name: str, picture: Picture) -> Picture:
    width = max(picture.shape[1], text_width_px(name) + 8)
    out = np.zeros((picture.shape[0] + TITLE_PX, width, 3), dtype=np.uint8)
    out[TITLE_PX:, : picture.shape[1]] = picture
    draw_text(out, name, 4, TITLE_PX / 2, colours.TEXT_RGB)
    return out
