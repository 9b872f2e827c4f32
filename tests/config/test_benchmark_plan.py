"""The plan of a benchmark: precedence of values, the same films for all entries, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from spondylo_ml.config import BenchmarkConfig, nest, resolve_config
from spondylo_ml.config.benchmark_plan import Plan, chosen_entries, make_plan, planned_runs, resumed_plan
from spondylo_ml.errors import ConfigError

TEXT = """
title: custom
common: {preset: smoke, training.batch_size: 3, loss.presence_weight: 0.5}
entries:
  - {name: a, model: unet}
  - {name: b, model: maht_net, values: {loss.presence_weight: 0.25, data.input_side_px: 96}}
"""


@pytest.fixture
def entries(tmp_path: Path) -> str:
    path = tmp_path / "custom.yaml"
    path.write_text(TEXT, encoding="utf-8")
    return str(path)


def plan_of(entries: str, overrides: dict[str, Any] | None = None, seeds: str = "0,1") -> Plan:
    return make_plan(BenchmarkConfig(entries=entries, seeds=seeds), nest(overrides or {}))  # type: ignore[arg-type]


def test_entry_values_override_the_command_line_which_overrides_common_values(entries: str) -> None:
    overrides = {"training.batch_size": "5", "loss.presence_weight": "0.75"}
    a, b, *_ = (p.config for p in planned_runs(plan_of(entries, overrides)))
    assert (a.preset, a.training.batch_size, a.loss.presence_weight) == ("smoke", 5, 0.75)
    assert (b.preset, b.training.batch_size, b.loss.presence_weight) == ("smoke", 5, 0.25)
    assert (a.model.name, b.model.name, b.data.input_side_px) == ("unet", "maht_net", 96)
    # Values that are not set come from the recipe of the model.
    assert (
        b.training.learning_rate
        == resolve_config({"preset": "smoke", "model": {"name": "maht_net"}}).training.learning_rate
    )


def test_runs_are_planned_seed_by_seed_with_the_same_minutes(entries: str) -> None:
    planned = planned_runs(plan_of(entries))
    assert [(p.entry, p.seed) for p in planned] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert [p.config.seed for p in planned] == [0, 0, 1, 1]
    assert {p.config.training.minutes for p in planned} == {10.0}
    assert all(p.config.tracking.standing for p in planned)
    assert planned[3].config.tracking.run_name == "b seed 1"
    (one, _) = planned_runs(plan_of(entries, {"training.minutes": "2.5"}, "0"))
    assert one.config.training.minutes == 2.5


@pytest.mark.parametrize(
    ("name", "input_sides_px"),
    [("five_models", {128}), ("six_models", {128, 192, 256}), ("maht_net_ablation", {128})],
)
def test_the_packaged_lists_resolve_with_the_same_films(name: str, input_sides_px: set[int]) -> None:
    planned = planned_runs(plan_of(name))
    sizes = {(p.config.data.phantom_films, p.config.data.phantom_long_side_px) for p in planned}
    assert sizes == {(1800, 256)}
    assert {p.config.data.input_side_px for p in planned} == input_sides_px
    assert {p.config.preset for p in planned} == {"quick"}


SMALLER = "{name: b, model: resnet50, values: {preset: smoke}}"


def test_entries_with_different_films_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "custom.yaml"
    path.write_text(f"title: t\nentries: [{{name: a, model: unet}}, {SMALLER}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"same films: data\.max_films is None for a, 10 for b\. Give it under"):
        planned_runs(plan_of(str(path)))
    overrides = {"data.max_films": "60"}
    assert len(planned_runs(plan_of(str(path), overrides))) == 4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"seed": "3"}, r"--seed cannot be given here: seeds are given for all entries: --seeds 0,1"),
        ({"model.name": "unet"}, r"--model\.name cannot be given here: the network is the entry's 'model'"),
    ],
)
def test_values_that_a_benchmark_sets_itself_are_refused(entries: str, overrides: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        plan_of(entries, overrides)


def test_an_invalid_value_is_reported_before_training(entries: str) -> None:
    with pytest.raises(ConfigError, match=r"entry a: training\.batch_size: given 'many'"):
        planned_runs(plan_of(entries, {"training.batch_size": "many"}))


def test_entries_are_selected_by_name(entries: str) -> None:
    plan = plan_of(entries)
    assert chosen_entries(plan, ()) == {"a", "b"}
    assert chosen_entries(plan, ("b",)) == {"b"}
    with pytest.raises(ConfigError, match=r"only: unknown entry 'c'.* Allowed: a, b"):
        chosen_entries(plan, ("c",))


def test_a_resumed_plan_is_unchanged_except_for_more_seeds(entries: str) -> None:
    before = plan_of(entries, {"training.batch_size": "5"})
    saved = Plan.model_validate_json(before.model_dump_json())
    assert resumed_plan(saved, BenchmarkConfig(), {}) == before
    same_options = BenchmarkConfig(entries=entries, seeds=(0, 1))
    assert resumed_plan(saved, same_options, nest({"training.batch_size": "5", "training.workers": "0"})).given == {
        "training.batch_size": "5",
        "training.workers": "0",
    }
    assert resumed_plan(saved, BenchmarkConfig(seeds=(1, 2)), {}).seeds == (0, 1, 2)


def test_a_plan_with_other_values_is_not_resumed(entries: str) -> None:
    before = plan_of(entries, {"training.batch_size": "5"})
    with pytest.raises(ConfigError, match=r"keeps its values; .*: training\.batch_size was '5', given '6'"):
        resumed_plan(before, BenchmarkConfig(), nest({"training.batch_size": "6"}))
    with pytest.raises(ConfigError, match=r"training\.minutes was 'not given', given '3'"):
        resumed_plan(before, BenchmarkConfig(), nest({"training.minutes": "3"}))
    Path(entries).write_text(TEXT.replace("0.25", "0.125"), encoding="utf-8")
    with pytest.raises(ConfigError, match="a resumed benchmark keeps its entries"):
        resumed_plan(before, BenchmarkConfig(entries=entries), {})


def test_a_benchmark_refuses_cross_validation(entries: str) -> None:
    with pytest.raises(ConfigError, match="entry a: a benchmark trains one run per entry and seed"):
        planned_runs(plan_of(entries, {"data.folds": 3}))
    assert planned_runs(plan_of(entries, {"data.folds": 3, "data.fold": 1}))[0].config.data.fold == 1
