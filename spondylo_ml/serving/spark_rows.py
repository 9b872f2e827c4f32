"""Rows of results as MLflow's Spark UDF can carry them.

MLflow (3.17) converts the table of a batch column by column. In a column of lists of lists or of structs, a None ends
the job; among texts it becomes the text "None", among truth values False. So a row has no None in a task of Spark;
within a list and a slip it may.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from spondylo_ml.landmarks import Facing

INSTEAD_OF_NONE: Mapping[str, Any] = {
    "film_key": "", "size_hw_px": [], "levels": [], "presence": [], "corners_xy_px": [], "corner_score": [],
    "facing": Facing.UNKNOWN.value, "levels_known": False, "slips": [], "warnings": [], "error": "",
}  # fmt: skip
"""By column; `model` is never None."""


def in_spark_task() -> bool:
    """Whether this process runs a task of Spark, which has then imported pyspark."""
    context = sys.modules.get("pyspark.taskcontext")
    return context is not None and context.TaskContext.get() is not None


def without_none(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row of a result with a value in every column: empty text and lists, an unknown facing, no known levels."""
    return {name: INSTEAD_OF_NONE[name] if value is None else value for name, value in row.items()}
