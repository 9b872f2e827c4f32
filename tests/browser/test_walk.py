"""A walk through the MLflow UI of a small store: from the leaderboard to the reason why a model is champion.

Pictures of each page, 1500 and 1000 px wide, are in `screenshots/` afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow
import pytest
from browsing import browser_page, require_browser
from mlflow.tracking import MlflowClient
from servers import free_port
from small_store import CHAMPION, ERRORS, REGISTERED_MODEL, STEPS, WHY, register_champion, write_small_store
from stores import store_in

from spondylo_ml.tracking.addresses import run_path
from spondylo_ml.tracking.views import LEADERBOARD, VIEWS
from spondylo_ml.workflows.ui import opening_path, serving

SCREENSHOTS = Path(__file__).parent / "screenshots"
HEIGHT_PX = 1000
WIDE_PX = 2600
"""Wide enough for all columns: MLflow's table has only the visible ones in its page."""

NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""MLflow opens its assistant on the first visit, beside what one wants to see."""


@dataclass(frozen=True)
class Walk:
    """A browser on the server of a small store.

    Attributes:
        page: of the browser, see Playwright.
        run_ids: by the name of the run.
    """

    page: Any
    address: str
    run_ids: dict[str, str]

    def open(self, path: str) -> None:
        self.page.set_viewport_size({"width": WIDE_PX, "height": HEIGHT_PX})
        self.page.goto(f"{self.address}/{path}")

    def photograph(self, name: str) -> None:
        for width_px in (1500, 1000):
            self.page.set_viewport_size({"width": width_px, "height": HEIGHT_PX})
            self.page.wait_for_timeout(500)  # until the page has its new width
            self.page.screenshot(path=SCREENSHOTS / f"{name}-{width_px}.png")


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    require_browser()
    SCREENSHOTS.mkdir(exist_ok=True)
    folder = tmp_path_factory.mktemp("walk")
    before, store = mlflow.get_tracking_uri(), store_in(folder)
    mlflow.set_tracking_uri(store)
    try:
        run_ids = write_small_store(MlflowClient())
        register_champion(MlflowClient(), run_ids[CHAMPION])
        with serving(store, "127.0.0.1", free_port()) as (address, _), browser_page() as page:
            page.add_init_script(NO_ASSISTANT)
            yield Walk(page, address, run_ids)
    finally:
        mlflow.set_tracking_uri(before)


def test_the_leaderboard_opens_with_its_columns_and_order(walk: Walk) -> None:
    view = next(view for view in VIEWS if view.key == LEADERBOARD)
    walk.open(opening_path(None))
    columns = view.state()["selectedColumns"]
    for column in columns:
        walk.page.locator(f'.ag-header-cell[col-id="{column}"]').wait_for()
    assert _from_left_to_right(walk.page) == columns
    assert _names_from_top(walk.page) == sorted(ERRORS, key=lambda name: ERRORS[name])
    walk.page.get_by_text(view.name, exact=True).first.wait_for()
    walk.photograph("leaderboard")


def test_two_runs_are_compared_by_their_validation_error(walk: Walk) -> None:
    walk.open(opening_path(None))
    boxes = walk.page.locator(".ag-row .ag-selection-checkbox input")
    boxes.nth(1).wait_for()
    boxes.nth(0).click()
    boxes.nth(1).click()
    walk.page.get_by_test_id("runs-compare-button").click()
    walk.page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    walk.page.get_by_title("val/mre_px512").or_(walk.page.get_by_text("val/mre_px512")).first.wait_for()
    best_first = sorted(ERRORS, key=lambda name: ERRORS[name])
    for name in best_first[:2]:
        walk.page.get_by_text(name, exact=True).first.wait_for()
    walk.photograph("compare")


def test_the_pictures_of_a_run_change_with_the_step(walk: Walk) -> None:
    walk.open(run_path("1", walk.run_ids[CHAMPION], "model-metrics"))
    walk.page.get_by_text("val", exact=True).first.scroll_into_view_if_needed()
    slider = walk.page.get_by_role("slider").first
    slider.scroll_into_view_if_needed()
    _picture_of_step(walk.page, 0).wait_for()
    assert [slider.get_attribute(f"aria-value{end}") for end in ("min", "max")] == [str(STEPS[0]), str(STEPS[-1])]
    walk.photograph("pictures-first")
    slider.press("ArrowRight")
    _picture_of_step(walk.page, 1).wait_for()
    walk.photograph("pictures-next")


def test_a_run_has_its_description_and_its_page_in_the_viewer(walk: Walk) -> None:
    walk.open(run_path("1", walk.run_ids[CHAMPION]))
    walk.page.locator('img[src*="examples.png"]').wait_for()
    walk.photograph("run")
    with walk.page.expect_popup() as opened:  # MLflow opens the links of a description in a new tab
        walk.page.get_by_role("link", name="Open the page of this run").click()
    opened.value.frame_locator("iframe").get_by_role("heading", name="Result").wait_for()
    opened.value.close()
    walk.open(run_path("1", walk.run_ids[CHAMPION], "artifacts/index.html"))
    viewer = walk.page.frame_locator("iframe")
    viewer.get_by_role("heading", name=CHAMPION).wait_for()
    assert viewer.get_by_role("heading", name="Result").is_visible()
    walk.photograph("index")


def test_the_registry_says_why_a_model_is_champion(walk: Walk) -> None:
    walk.open(f"#/models/{REGISTERED_MODEL}?workflowType=machine_learning")
    walk.page.get_by_text("Version 1").first.click()
    walk.page.get_by_text(WHY).wait_for()
    assert walk.page.get_by_text("Why it is champion").is_visible()
    walk.photograph("champion")


def _picture_of_step(page: Any, step: int) -> Any:
    return page.locator(f'img[src*="step%2B{step}%2B"]').first


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
