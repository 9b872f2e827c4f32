"""What somebody sees who opens the MLflow UI of a small store: the leaderboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mlflow
import pytest
from browsing import browser_page, require_browser
from mlflow.tracking import MlflowClient
from servers import free_port
from small_store import ERRORS, write_small_store
from stores import store_in

from spondylo_ml.tracking.views import LEADERBOARD, VIEWS
from spondylo_ml.workflows.ui import opening_path, serving

SCREENSHOTS = Path(__file__).parent / "screenshots"
HEIGHT_PX = 900
WIDE_PX = 2600
"""Wide enough for all columns: MLflow's table has only the visible ones in its page."""


def test_the_leaderboard_opens_with_its_columns_and_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require_browser()
    SCREENSHOTS.mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path)
    before, store = mlflow.get_tracking_uri(), store_in(tmp_path)
    mlflow.set_tracking_uri(store)
    try:
        write_small_store(MlflowClient())
        with serving(store, "127.0.0.1", free_port()) as (address, _), browser_page() as page:
            _assert_leaderboard(page, f"{address}/{opening_path(None)}")
    finally:
        mlflow.set_tracking_uri(before)


def _assert_leaderboard(page: Any, address: str) -> None:
    view = next(view for view in VIEWS if view.key == LEADERBOARD)
    page.set_viewport_size({"width": WIDE_PX, "height": HEIGHT_PX})
    page.goto(address)
    columns = view.state()["selectedColumns"]
    for column in columns:
        page.locator(f'.ag-header-cell[col-id="{column}"]').wait_for()
    assert _from_left_to_right(page) == columns
    assert _names_from_top(page) == sorted(ERRORS, key=lambda name: ERRORS[name])
    page.get_by_text(view.name, exact=True).first.wait_for()
    for width_px in (1500, 1000):
        page.set_viewport_size({"width": width_px, "height": HEIGHT_PX})
        page.wait_for_timeout(1000)  # until the table has its new width
        page.screenshot(path=SCREENSHOTS / f"leaderboard-{width_px}.png")


def _from_left_to_right(page: Any) -> list[str]:
    """The columns of metrics, parameters and tags."""
    places = page.eval_on_selector_all(
        ".ag-header-cell[col-id]", "cells => cells.map(c => [c.getBoundingClientRect().left, c.getAttribute('col-id')])"
    )
    return [column for _, column in sorted(places) if column.split(".")[0] in ("metrics", "params", "tags")]


def _names_from_top(page: Any) -> list[str]:
    """The names of the runs."""
    places = page.eval_on_selector_all(
        ".ag-cell[col-id='attributes.`Run Name`'] a",
        "cells => cells.map(c => [c.getBoundingClientRect().top, c.innerText.trim()])",
    )
    return [name for _, name in sorted(places)]
