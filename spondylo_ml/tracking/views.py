"""Named views of the runs table, which an experiment has from the start: filter, columns, order, and charts.

MLflow's UI saves a view as a tag of the experiment, `mlflow.sharedViewState.<key>`, whose value is JSON with the name,
the time in ms, and the state: JSON, compressed by zlib, in Base64, after `deflate;`. An address with
`viewStateShareKey=<key>` opens it.
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

TAG = "mlflow.sharedViewState."
COMPRESSED = "deflate;"

LEADERBOARD = "leaderboard"
CHART_SECTIONS = ("val", "val_best", "eval", "out_of_fold", "train", "val_uncertainty", "time", "cost")
"""Sections of the charts in their order; MLflow would sort them by name."""

VALIDATION_ERROR = "val/mre_px512"
PANEL, EXAMPLES = "val/panel", "val/best_median_worst"
"""Pictures of validation films that each training run logs; `CHART_SECTIONS` has their section."""

WIDTHS_PX = {"tags": 110, "params": 130, "metrics": 130}
FIRST_WIDTH_PX = 165
"""Of the first column, by whose metric the runs are sorted: its head also holds the arrow."""


@dataclass(frozen=True)
class View:
    """A view of the runs table.

    Attributes:
        key: part of its address.
        runs: filter in MLflow's syntax; it matches runs of earlier versions too.
        order_by: column.
        columns: in their order, as (kind, name), where kind is metrics, params or tags.
        first_charts: metrics and pictures of the section `val` that all of these runs have, drawn before its others.
    """

    key: str
    name: str
    runs: str
    order_by: str
    ascending: bool
    columns: tuple[tuple[str, str], ...]
    first_charts: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        """The state as the UI itself keeps it."""
        columns = [column_id(kind, name) for kind, name in self.columns]
        own_order = {key.partition("/")[0] for key in self.first_charts}
        return {
            "searchFilter": self.runs,
            "orderByKey": self.order_by,
            "orderByAsc": self.ascending,
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": columns,
            "columnOrder": columns,
            "columnWidths": {column_id(kind, name): WIDTHS_PX[kind] for kind, name in self.columns}
            | {columns[0]: FIRST_WIDTH_PX},
            "isAccordionReordered": True,
            "compareRunCharts": [_card(key) for key in self.first_charts],
            "compareRunSections": [_section(name, name in own_order) for name in CHART_SECTIONS],
        }


def _section(name: str, own_order: bool) -> dict[str, Any]:
    """A section of the charts. In one with an order of its own, MLflow adds charts at the end, not by name."""
    return {"uuid": name, "name": name, "display": True, "isReordered": own_order, "deleted": False}


def _card(key: str) -> dict[str, Any]:
    """A card of the charts. Pictures are without the runs' parameters, which would cover half of them."""
    if key in (PANEL, EXAMPLES):
        kind = {"type": "IMAGE", "imageKeys": [key], "step": 0, "showRunParams": False}
    else:
        kind = {"type": "BAR", "metricKey": key}  # MLflow makes it lines as soon as a run has several values
    common = {"metricSectionId": key.partition("/")[0], "runsCountToCompare": 10, "isGenerated": True}
    return {"uuid": key, "deleted": False} | common | kind


def column_id(kind: str, name: str) -> str:
    """A column as the UI names it."""
    return f"{kind}.`{name}`"


def _metrics(prefix: str, *names: str) -> tuple[tuple[str, str], ...]:
    return tuple(("metrics", f"{prefix}{name}") for name in names)


VIEWS = (
    View(
        LEADERBOARD,
        "Leaderboard",
        "tags.preset != ''",
        column_id("metrics", "val_best/mre_px512"),
        True,
        (
            *_metrics("val_best/", "mre_px512"),
            ("tags", "model"),
            ("tags", "settings"),
            *_metrics("val_best/", "sdr_6px", "sdr_24px", "grade_accuracy_all", "slip_mae_percent", "detection_f1"),
            *_metrics("time/", "training_s"),
            ("tags", "dataset"),
            ("tags", "preset"),
        ),
        (VALIDATION_ERROR, PANEL, EXAMPLES),
    ),
    View(
        "test-results",
        "Test results",
        "tags.judged_run != ''",
        column_id("metrics", "eval/mre_px512"),
        True,
        (
            *_metrics("eval/", "mre_px512"),
            ("tags", "model"),
            ("tags", "dataset"),
            *_metrics("eval/", "sdr_6px", "sdr_24px", "grade_accuracy_all", "slip_mae_percent", "detection_f1"),
            *_metrics("eval/", "n_labelled"),
            ("tags", "films_seen_in_training"),
        ),
    ),
    View(
        "studies",
        "Studies",
        "tags.study != ''",
        column_id("metrics", "val_best/mre_px512"),
        True,
        (
            *_metrics("val_best/", "mre_px512"),
            ("tags", "study"),
            ("tags", "trial"),
            ("tags", "trial_state"),
            ("params", "config.training.learning_rate"),
            ("params", "config.heatmap.sigma_cells"),
            *_metrics("val_best/", "sdr_6px", "sdr_24px"),
        ),
    ),
    View(
        "compare",
        "Compare",
        "tags.compared_runs != ''",
        "attributes.start_time",
        False,
        (("tags", "models"), ("tags", "dataset"), ("tags", "compared.1"), ("tags", "compared.2")),
    ),
)


def view_tags(present: Mapping[str, str]) -> dict[str, str]:
    """The tags of the views that an experiment with the tags `present` lacks; a user's changes to a view stay."""
    now_ms = int(1000 * time.time())
    return {
        f"{TAG}{view.key}": json.dumps({"name": view.name, "createdAt": now_ms, "state": compressed(view.state())})
        for view in VIEWS
        if f"{TAG}{view.key}" not in present
    }


def compressed(state: Mapping[str, Any]) -> str:
    """A state as the UI stores it."""
    return COMPRESSED + base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()


def decompressed(text: str) -> dict[str, Any]:
    """The inverse of `compressed`."""
    state: dict[str, Any] = json.loads(zlib.decompress(base64.b64decode(text.removeprefix(COMPRESSED))))
    return state
