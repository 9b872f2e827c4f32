"""Named views of the runs table."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.evaluation.catalogue import find_metric
from spondylo_ml.evaluation.headline import HEADLINE
from spondylo_ml.tracking.views import (
    EXAMPLES,
    PANEL,
    TAG,
    VALIDATION_ERROR,
    VIEWS,
    View,
    compressed,
    decompressed,
    view_tags,
)  # fmt: skip


def test_a_state_is_compressed_as_the_ui_does() -> None:
    # zlib's header for the default level, as pako writes it, then `{}`.
    assert compressed({}).startswith("deflate;eJ")
    assert decompressed("deflate;eJyrrgUAAXUA+Q==") == {}


@given(st.dictionaries(st.text(), st.lists(st.text())))
def test_a_compressed_state_is_read_back(state: dict[str, list[str]]) -> None:
    assert decompressed(compressed(state)) == state


def test_an_experiment_gets_the_views_that_it_lacks() -> None:
    tags = view_tags({})
    assert [json.loads(text)["name"] for text in tags.values()] == ["Leaderboard", "Test results", "Studies", "Compare"]
    for text in tags.values():
        saved = json.loads(text)
        assert isinstance(saved["createdAt"], int)
        assert {"searchFilter", "orderByKey", "orderByAsc", "selectedColumns"} <= decompressed(saved["state"]).keys()
    assert view_tags({f"{TAG}leaderboard": "mine"}).keys() == tags.keys() - {f"{TAG}leaderboard"}
    assert view_tags(tags) == {}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.key)
def test_the_columns_of_a_view_are_metrics_that_runs_log(view: View) -> None:
    metrics = [name for kind, name in view.columns if kind == "metrics"]
    assert [name for name in metrics if find_metric(name) is None] == []
    assert [name for name in metrics if name.partition("/")[2] not in (*HEADLINE, "training_s")] == []
    assert len(set(view.columns)) == len(view.columns)
    assert view.order_by in (*view.state()["selectedColumns"], "attributes.start_time")


def test_the_charts_open_with_the_validation_error_and_the_pictures() -> None:
    state = VIEWS[0].state()
    assert [card["uuid"] for card in state["compareRunCharts"]] == [VALIDATION_ERROR, PANEL, EXAMPLES]
    assert {card["metricSectionId"] for card in state["compareRunCharts"]} == {"val"}
    first = state["compareRunSections"][0]
    assert (first["name"], first["isReordered"]) == ("val", True)


def test_pictures_are_shown_without_the_parameters_of_their_runs() -> None:
    cards = {card["uuid"]: card for card in VIEWS[0].state()["compareRunCharts"]}
    assert [(cards[key]["imageKeys"], cards[key]["showRunParams"]) for key in (PANEL, EXAMPLES)] == [
        ([PANEL], False), ([EXAMPLES], False),
    ]  # fmt: skip
