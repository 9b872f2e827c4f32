"""A walk through the MLflow UI: from the leaderboard to the reason why a model is champion.

Once through a small store written for it and, if slow tests run, through one that the commands made. Pictures of each
page, 1500 and 1000 px wide, are in `screenshots/` afterwards.
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
from real_store import make_real_store
from servers import free_port
from small_store import REGISTERED_MODEL, WalkedStore, make_small_store
from stores import store_in

from spondylo_ml.tracking.addresses import run_path
from spondylo_ml.tracking.views import LEADERBOARD, PANEL, VALIDATION_ERROR, VIEWS
from spondylo_ml.workflows.ui import opening_path, serving

pytestmark = pytest.mark.slow

SCREENSHOTS = Path(__file__).parent / "screenshots"
HEIGHT_PX = 1000
WIDE_PX = 2600
"""Wide enough for all columns: MLflow's table has only the visible ones in its page."""

NO_ASSISTANT = "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
"""MLflow opens its assistant on the first visit, beside what one wants to see."""


@dataclass(frozen=True)
class Walk:
    """A browser on the server of a store.

    Attributes:
        page: of the browser, see Playwright.
        screenshots: the folder of the pictures.
    """

    page: Any
    address: str
    store: WalkedStore
    screenshots: Path

    def open(self, path: str) -> None:
        self.page.set_viewport_size({"width": WIDE_PX, "height": HEIGHT_PX})
        self.page.goto(f"{self.address}/{path}")

    def open_run(self, name: str, tab: str = "") -> None:
        run = MlflowClient().get_run(self.store.run_ids[name])
        self.open(run_path(run.info.experiment_id, run.info.run_id, *filter(None, [tab])))

    def photograph(self, name: str) -> None:
        for width_px in (1500, 1000):
            self.page.set_viewport_size({"width": width_px, "height": HEIGHT_PX})
            self.page.wait_for_timeout(500)  # until the page has its new width
            self.page.screenshot(path=self.screenshots / f"{name}-{width_px}.png")


@pytest.fixture(scope="module", params=["written", "by commands"])
def walk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    require_browser()
    screenshots = SCREENSHOTS / request.param.replace(" ", "_")
    screenshots.mkdir(exist_ok=True, parents=True)
    folder = tmp_path_factory.mktemp("walk")
    before, uri = mlflow.get_tracking_uri(), store_in(folder)
    mlflow.set_tracking_uri(uri)
    try:
        store = make_small_store() if request.param == "written" else make_real_store(folder)
        with serving(uri, "127.0.0.1", free_port()) as (address, _), browser_page() as page:
            page.add_init_script(NO_ASSISTANT)
            yield Walk(page, address, store, screenshots)
    finally:
        mlflow.set_tracking_uri(before)


def test_the_leaderboard_opens_with_its_columns_and_order_and_is_sorted_by_a_click(walk: Walk) -> None:
    view = next(view for view in VIEWS if view.key == LEADERBOARD)
    walk.open(opening_path(None))
    columns = view.state()["selectedColumns"]
    for column in columns:
        walk.page.locator(f'.ag-header-cell[col-id="{column}"]').wait_for()
    assert _from_left_to_right(walk.page) == columns
    assert _names_from_top(walk.page) == _best_first(walk.store)
    walk.page.get_by_text(view.name, exact=True).first.wait_for()
    walk.photograph("leaderboard")
    for order in (_best_first(walk.store)[::-1], _best_first(walk.store)):  # MLflow remembers the last order
        walk.page.locator(f'.ag-header-cell[col-id="{columns[0]}"]').click()
        walk.page.locator(".ag-row[row-index='0']", has_text=order[0]).first.wait_for()
        assert _names_from_top(walk.page) == order


def test_two_runs_are_compared_by_their_validation_error(walk: Walk) -> None:
    walk.open(opening_path(None))
    boxes = walk.page.locator(".ag-row .ag-selection-checkbox input")
    boxes.nth(1).wait_for()
    boxes.nth(0).click()
    boxes.nth(1).click()
    walk.page.get_by_test_id("runs-compare-button").click()
    walk.page.get_by_text("Comparing 2 Runs from 1 Experiment").wait_for()
    walk.page.get_by_title("val/mre_px512").or_(walk.page.get_by_text("val/mre_px512")).first.wait_for()
    for name in _best_first(walk.store)[:2]:
        walk.page.get_by_text(name, exact=True).first.wait_for()
    walk.photograph("compare")


def test_the_pictures_of_a_run_change_with_the_step(walk: Walk) -> None:
    first, second, last = walk.store.steps[0], walk.store.steps[1], walk.store.steps[-1]
    walk.open(f"{opening_path(None)}&compareRunsMode=CHART")
    cards = walk.page.get_by_test_id("experiment-view-compare-runs-card")
    cards.first.get_by_text(VALIDATION_ERROR, exact=True).wait_for()
    card = cards.filter(has_text=PANEL)
    slider = card.get_by_role("slider")
    _require_visible(_picture_of_step(card, first), card)
    assert [slider.get_attribute(f"aria-value{end}") for end in ("min", "max")] == [str(first), str(last)]
    walk.photograph("pictures-first")
    slider.press("ArrowRight")
    _require_visible(_picture_of_step(card, second), card)
    walk.photograph("pictures-next")


def test_a_run_has_its_description_and_its_page_in_the_viewer(walk: Walk) -> None:
    walk.open_run(walk.store.champion)
    walk.page.locator('img[src*="examples.png"]').wait_for()
    walk.photograph("run")
    with walk.page.expect_popup() as opened:  # MLflow opens the links of a description in a new tab
        walk.page.get_by_role("link", name="Open the page of this run").click()
    opened.value.frame_locator("iframe").get_by_role("heading", name="Result").wait_for()
    opened.value.close()
    walk.open_run(walk.store.champion, "artifacts/index.html")
    viewer = walk.page.frame_locator("iframe")
    viewer.get_by_role("heading", name=walk.store.champion).wait_for()
    assert viewer.get_by_role("heading", name="Result").is_visible()
    walk.photograph("index")
    for run, path in walk.store.more_pages:
        walk.open_run(run, f"artifacts/{path}")
        viewer.get_by_role("heading", level=1).wait_for()
        walk.photograph(f"{run.split()[0]}-{Path(path).stem}")


def test_the_registry_says_why_a_model_is_champion(walk: Walk) -> None:
    walk.open(f"#/models/{REGISTERED_MODEL}?workflowType=machine_learning")
    walk.page.get_by_text("Version 1").first.click()
    walk.page.get_by_role("listitem").filter(has_text=walk.store.why).wait_for()
    assert walk.page.get_by_text("Why it is champion").is_visible()
    walk.photograph("champion")


def _best_first(store: WalkedStore) -> list[str]:
    return sorted(store.errors, key=lambda name: store.errors[name])


def _picture_of_step(card: Any, step: int) -> Any:
    return card.locator(f'img[src*="step%2B{step}%2B"]').first


def _require_visible(picture: Any, card: Any) -> None:
    """Wait until a picture is loaded, and fail if it does not lie within its card, which would hide it."""
    picture.wait_for()
    picture.evaluate("picture => picture.decode()")
    inner, outer = picture.bounding_box(), card.bounding_box()
    assert inner["height"] > 0
    assert inner["y"] >= outer["y"]
    assert inner["y"] + inner["height"] <= outer["y"] + outer["height"]


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
