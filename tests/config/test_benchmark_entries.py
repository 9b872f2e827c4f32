"""Lists of benchmark entries: the packaged ones, and errors in custom ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from spondylo_ml.config import BenchmarkConfig, read_entries, validate
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import ConfigError

VALID = "title: custom\nentries:\n  - {name: a, model: unet}\n"


def entries_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "custom.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_default_list_holds_each_of_the_five_models_once() -> None:
    entry_list = read_entries(BenchmarkConfig().entries)
    five = [name for name in MODEL_NAMES if name != "cascade_net"]  # which cannot read films of 128 px
    assert [entry.model for entry in entry_list.entries] == five
    assert [entry.name for entry in entry_list.entries] == five
    assert all(entry.values == {} for entry in entry_list.entries)


def test_the_ablation_removes_one_component_at_a_time() -> None:
    entries = {entry.name: entry for entry in read_entries("maht_net_ablation").entries}
    assert {entry.model for entry in entries.values()} == {"maht_net"}
    assert {name: entry.values for name, entry in entries.items()} == {
        "full": {},
        "without_bias": {"model.maht_net.anatomical_bias": False},
        "without_anatomical_loss": {"loss.anatomical_weight": 0.0},
        "pooled": {"model.maht_net.maps": "pooled"},
        "argmax": {"heatmap.decoder": "argmax"},
    }


def test_a_custom_file_is_read_and_frozen(tmp_path: Path) -> None:
    entry_list = read_entries(entries_file(tmp_path, VALID))
    assert (entry_list.title, [entry.name for entry in entry_list.entries]) == ("custom", ["a"])
    with pytest.raises(ValidationError, match="frozen"):
        entry_list.title = "other"  # type: ignore[misc]


def test_values_may_be_in_sections_as_in_a_recipe(tmp_path: Path) -> None:
    text = VALID.replace("unet}", "unet, values: {loss: {heatmap: mse}, data.input_side_px: 64}}")
    entry_list = read_entries(entries_file(tmp_path, text + "common: {training: {batch_size: 4}}\n"))
    assert entry_list.entries[0].values == {"loss.heatmap": "mse", "data.input_side_px": 64}
    assert entry_list.common == {"training.batch_size": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: custom\nentry: []\n", r"custom\.yaml: .*unknown name 'entry'\. Did you mean 'entries'\?"),
        ("title: custom\n", r"custom\.yaml: entries: a value is needed$"),
        ("title: custom\nentries: []\n", r"custom\.yaml: entries: given .*at least 1 item"),
        ("title: custom\nentries: {a: unet}\n", r"custom\.yaml: 'entries' must be a list"),
        ("title: custom\nentries: [unet]\n", r"custom\.yaml: 'entries' must be a list"),
        (VALID.replace("model:", "modle:"), r"custom\.yaml, entry 1: .*unknown name 'modle'\. Did you mean 'model'\?"),
        (VALID.replace("unet", "unett"), r"entry 1: model: given 'unett'\. .*Did you mean 'unet'\?"),
        (VALID.replace("name: a", "name: a b"), r"entry 1: name: given 'a b'\. String should match pattern"),
        (VALID + "  - {name: a, model: unet}\n", r"each entry needs a name of its own; more than once: a"),
        (VALID + "common: {heatmap.level: slot}\n", r"common: .*'heatmap\.level'\. Did you mean 'heatmap\.levels'"),
        (VALID + "common: {seed: 3}\n", r"seed cannot be given here: seeds are given for all entries"),
        (
            VALID.replace("unet}", "unet, values: {los.heatmap: cross_entropy}}"),
            r"entry 1: values: .*unknown value 'los\.heatmap'\. Did you mean 'loss\.heatmap'\?",
        ),
        (
            VALID.replace("unet}", "unet, values: {training.minutes: 3}}"),
            r"training\.minutes cannot be given here: all entries have the same minutes",
        ),
        (
            VALID.replace("unet}", "unet, values: {data.phantom_films: 30}}"),
            r"data\.phantom_films: all entries share their films",
        ),
        ("- a\n- b\n", r"must hold names and values, not list"),
    ],
)
def test_errors_name_their_place_and_the_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_entries(entries_file(tmp_path, text))


def test_an_unknown_list_is_reported_with_the_packaged_ones(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'five_model'\. Did you mean 'five_models'\? Allowed: five_models, maht_net_ab"
    ):
        read_entries("five_model")
    with pytest.raises(ConfigError, match=r"entries file .*none\.yaml does not exist"):
        read_entries(str(tmp_path / "none.yaml"))


def test_seeds_and_names_are_separated_by_commas() -> None:
    config = validate(BenchmarkConfig, {"seeds": "3, 1", "only": "unet,maht_net"})
    assert (config.seeds, config.only) == ((3, 1), ("unet", "maht_net"))


@pytest.mark.parametrize("seeds", ["1,1", "-1", "a", ""])
def test_bad_seeds_are_refused(seeds: str) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        validate(BenchmarkConfig, {"seeds": seeds})
