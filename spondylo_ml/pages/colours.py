"""The colours of pages, charts and pictures."""

from __future__ import annotations

PAGE = {
    "ink": "#1b2530", "soft": "#5b6976", "line": "#d5dce3", "page": "#f4f6f8", "card": "#fff", "link": "#22578f",
    "error": "#fde7e7", "warning": "#fff3d9", "remark": "#e9f1fb",
    "notice": "#fff4d6", "notice-line": "#d79b00", "no-grade": "#9aa6b1",
    "g0": "#2f8f5b", "g1": "#c27a00", "g2": "#c2341d",
    "frame": "#111", "caption": "#ddd", "print-line": "#999",
    "outline": "#7fd4ff", "corner": "#ffe14d", "arrow": "#d8e2ea",
    "g0-arrow": "#58d68d", "g1-arrow": "#ffb020", "g2-arrow": "#ff5a3c",
    "g0-text": "#8ff0b5", "g1-text": "#ffc65c", "g2-text": "#ff8a73",
}  # fmt: skip
"""Variables of the pages' style sheets; from `outline` on, of what is drawn on a film. g0 to g2: grades of slips."""

RUNS = ("#4878a8", "#e1812c", "#3a923a", "#c03d3e", "#9372b2", "#845b53", "#d684bd", "#7f7f7f")
"""Runs of a chart, in order."""

PARTS = {"train": "#4c78a8", "val": "#f58518", "test": "#54a24b", "": "#8a8a8a"}
"""Parts of a dataset, from a palette safe for colour blindness; counts have the first colour."""

COUNTS, UNLABELLED = PARTS["train"], "#c7c7c7"

BARS = RUNS[0]
BEFORE, AFTER = "#c05a2e", "#2e7d4f"
SECOND, INTERVAL, STATED, DIAGONAL, NO_DIFFERENCE = "#999999", "#333333", "#333333", "#bbbbbb", "#999"
"""Charts of estimates: bars, values before and after calibration, a second series, and reference lines."""

TRUTH_RGB = (0, 225, 255)
PREDICTION_RGB = (255, 70, 255)
MISPLACED_RGB = (255, 225, 60)
HEAT_RGB = (255, 140, 0)
TEXT_RGB = (235, 235, 235)
CONCERNED_RGB = (255, 70, 70)
LEFT_RGB = (255, 220, 0)
"""Pictures of films, distinguishable without red and green: cyan, magenta, yellow and orange. `MISPLACED_RGB` is for
vertebrae on another level, `CONCERNED_RGB` for the vertebrae of a finding, `LEFT_RGB` for their image-left corners."""

READERS_RGB = (TRUTH_RGB, PREDICTION_RGB, MISPLACED_RGB, HEAT_RGB, (120, 220, 120), (235, 235, 235))
"""Outlines of several readers on one picture, in order."""


def of_run(index: int) -> str:
    """The colour of the run with this index."""
    return RUNS[index % len(RUNS)]
