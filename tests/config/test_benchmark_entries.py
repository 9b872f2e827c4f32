"""Lists of entries: the packaged ones, and what is wrong in one's own."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from spondylo_ml.config import BenchmarkConfig, read_entries, validate
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import ConfigError

SOUND = "title: made\nentries:\n  - {name: a, model: unet}\n"


def entries_file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_default_list_holds_each_model_once() -> None:
    found = read_entries(BenchmarkConfig().entries)
    assert [entry.model for entry in found.entries] == list(MODEL_NAMES)
    assert [entry.name for entry in found.entries] == list(MODEL_NAMES)
    assert all(entry.values == {} for entry in found.entries)


def test_the_ablation_takes_one_part_out_at_a_time() -> None:
    found = {entry.name: entry for entry in read_entries("maht_net_ablation").entries}
    assert {entry.model for entry in found.values()} == {"maht_net"}
    assert {name: entry.values for name, entry in found.items()} == {
        "full": {},
        "without_bias": {"model.maht_net.anatomical_bias": False},
        "without_anatomical_loss": {"loss.anatomical_weight": 0.0},
        "pooled": {"model.maht_net.maps": "pooled"},
        "argmax": {"heatmap.decoder": "argmax"},
    }


def test_a_file_of_ones_own_is_read_and_frozen(tmp_path: Path) -> None:
    found = read_entries(entries_file(tmp_path, SOUND))
    assert (found.title, [entry.name for entry in found.entries]) == ("made", ["a"])
    with pytest.raises(ValidationError, match="frozen"):
        found.title = "other"  # type: ignore[misc]


def test_values_may_stand_in_sections_as_in_a_recipe(tmp_path: Path) -> None:
    text = SOUND.replace("unet}", "unet, values: {loss: {heatmap: mse}, data.input_side_px: 64}}")
    found = read_entries(entries_file(tmp_path, text + "common: {training: {batch_size: 4}}\n"))
    assert found.entries[0].values == {"loss.heatmap": "mse", "data.input_side_px": 64}
    assert found.common == {"training.batch_size": 4}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title: made\nentry: []\n", r"own\.yaml: .*unknown name 'entry'\. Did you mean 'entries'\?"),
        ("title: made\n", r"own\.yaml: entries: a value is needed$"),
        ("title: made\nentries: []\n", r"own\.yaml: entries: given .*at least 1 item"),
        ("title: made\nentries: {a: unet}\n", r"own\.yaml: 'entries' must be a list"),
        ("title: made\nentries: [unet]\n", r"own\.yaml: 'entries' must be a list"),
        (SOUND.replace("model:", "modle:"), r"own\.yaml, entry 1: .*unknown name 'modle'\. Did you mean 'model'\?"),
        (SOUND.replace("unet", "unett"), r"entry 1: model: given 'unett'\. .*Did you mean 'unet'\?"),
        (SOUND.replace("name: a", "name: a b"), r"entry 1: name: given 'a b'\. String should match pattern"),
        (SOUND + "  - {name: a, model: unet}\n", r"each entry needs a name of its own; more than once: a"),
        (SOUND + "common: {heatmap.level: slot}\n", r"common: .*'heatmap\.level'\. Did you mean 'heatmap\.levels'"),
        (SOUND + "common: {seed: 3}\n", r"seed cannot be given here: seeds are given for all entries"),
        (
            SOUND.replace("unet}", "unet, values: {los.heatmap: cross_entropy}}"),
            r"entry 1: values: .*unknown value 'los\.heatmap'\. Did you mean 'loss\.heatmap'\?",
        ),
        (
            SOUND.replace("unet}", "unet, values: {training.minutes: 3}}"),
            r"training\.minutes cannot be given here: all entries have the same minutes",
        ),
        (
            SOUND.replace("unet}", "unet, values: {data.phantom_films: 30}}"),
            r"data\.phantom_films: all entries share their films",
        ),
        ("- a\n- b\n", r"must hold names and values, not list"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_the_nearest_name(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_entries(entries_file(tmp_path, text))


def test_a_list_that_does_not_exist_is_reported_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"'five_model'\. Did you mean 'five_models'\? Allowed: five_models, maht_net_ab"
    ):
        read_entries("five_model")
    with pytest.raises(ConfigError, match=r"entries file .*none\.yaml does not exist"):
        read_entries(str(tmp_path / "none.yaml"))


def test_seeds_and_names_are_listed_with_commas() -> None:
    config = validate(BenchmarkConfig, {"seeds": "3, 1", "only": "unet,maht_net"})
    assert (config.seeds, config.only) == ((3, 1), ("unet", "maht_net"))


@pytest.mark.parametrize("seeds", ["1,1", "-1", "a", ""])
def test_bad_seeds_are_refused(seeds: str) -> None:
    with pytest.raises(ConfigError, match="seeds"):
        validate(BenchmarkConfig, {"seeds": seeds})
