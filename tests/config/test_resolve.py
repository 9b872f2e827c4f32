"""From preset, recipe and overrides to one configuration."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import ValidationError

from spondylo_ml.config import Config, DataConfig, EvaluateConfig, field_names, flatten, resolve_config, validate
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.config.resolve import lay_over, merge, nest, projects_dir, recipe_files
from spondylo_ml.config.schema import PRESETS
from spondylo_ml.config.yaml_file import read_yaml
from spondylo_ml.errors import ConfigError

NO_DOCUMENT_RECIPE = WITHOUT_HEATMAPS


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def recipe_values(name: str, preset: str) -> dict[str, object]:
    """Dotted values of the recipe file of a model."""
    return flatten(read_yaml(projects_dir() / name / f"{preset}.yaml"))


def test_each_layer_overrides_the_one_before(tmp_path: Path) -> None:
    full, quick = recipe_values("unet", "config"), recipe_values("unet", "quick")
    default = Config.model_fields["heatmap"].default
    # In turn: a value from the schema, from config.yaml, from the preset, from a recipe file, from the command line.
    config = resolve_config({"training": {"learning_rate": 0.5}}, recipe(tmp_path, "training: {weight_decay: 0.25}"))
    assert config.heatmap.decoder == default.decoder
    assert "heatmap.decoder" not in full | quick
    assert config.training.plateau_patience == full["training.plateau_patience"]
    assert config.data.input_side_px == quick["data.input_side_px"] != full["data.input_side_px"]
    assert config.training.weight_decay == 0.25 != quick["training.weight_decay"]
    assert config.training.learning_rate == 0.5


def test_the_command_line_overrides_a_recipe_file_which_overrides_the_preset(tmp_path: Path) -> None:
    path = recipe(tmp_path, "seed: 4\npreset: smoke\ntraining: {batch_size: 3}\n")
    config = resolve_config({"training": {"batch_size": 5}}, path)
    assert (config.seed, config.preset, config.training.batch_size) == (4, "smoke", 5)
    assert config.data.input_side_px == recipe_values("unet", "smoke")["data.input_side_px"]
    assert resolve_config({"preset": "quick"}, path).preset == "quick"


def test_the_full_preset_is_the_recipe_itself() -> None:
    config = flatten(resolve_config({"preset": "full"}).model_dump(mode="json"))
    for name, value in recipe_values("unet", "config").items():
        assert config[name] == value


def test_quick_is_the_default_preset() -> None:
    assert resolve_config() == resolve_config({"preset": "quick"})
    assert resolve_config().preset == "quick"


def test_a_data_folder_adds_a_layer(tmp_path: Path) -> None:
    folder = recipe_values("unet", "quick_folder")
    config = resolve_config({"data": {"path": tmp_path}})
    assert config.data.path == tmp_path
    for name, value in folder.items():
        assert flatten(config.model_dump())[name] == value
        assert flatten(resolve_config().model_dump())[name] != value
    assert resolve_config({"data": {"path": tmp_path, "input_side_px": 96}}).data.input_side_px == 96
    assert [p.name for p in recipe_files("unet", "quick", tmp_path)] == [
        "config.yaml",
        "quick.yaml",
        "quick_folder.yaml",
    ]
    assert [p.name for p in recipe_files("unet", "full", tmp_path)] == ["config.yaml"]


def test_a_data_folder_in_a_recipe_file_adds_that_layer_too(tmp_path: Path) -> None:
    config = resolve_config({}, recipe(tmp_path, "data: {path: /films}"))
    assert config.data.input_side_px == recipe_values("unet", "quick_folder")["data.input_side_px"]


RECIPES = [
    (name, preset)
    for name in MODEL_NAMES
    for preset in PRESETS
    if preset != "finetune"  # which goes on from a model: see test_finetune.py
    if preset != "document" or name not in NO_DOCUMENT_RECIPE
]


@pytest.mark.parametrize("name", [name for name in MODEL_NAMES if name not in NO_DOCUMENT_RECIPE])
def test_the_document_preset_differs_from_full_in_how_heatmaps_become_levels(name: str) -> None:
    full, document = (
        flatten(resolve_config({"model": {"name": name}, "preset": preset}).model_dump())
        for preset in ("full", "document")
    )
    assert {key: (full[key], document[key]) for key in full if full[key] != document[key]} == {
        "preset": ("full", "document"),
        "heatmap.levels": ("chain", "slot"),
        "heatmap.flip_average": (True, False),
    }


@pytest.mark.parametrize("name", NO_DOCUMENT_RECIPE)
def test_a_model_that_the_document_does_not_mention_has_no_document_preset(name: str) -> None:
    with pytest.raises(ConfigError, match=f"there is no document recipe for {name}; use preset=full"):
        resolve_config({"model": {"name": name}, "preset": "document"})


@pytest.mark.parametrize(("name", "preset"), RECIPES)
def test_every_recipe_sets_its_model_and_the_length_of_training(name: str, preset: str) -> None:
    config = resolve_config({"model": {"name": name}, "preset": preset})
    assert config.model.name == name
    assert config.training.epochs or config.training.film_passes


# ----------------------------------------------------------------------------------------- epochs and film passes


def test_epochs_replace_the_film_passes_of_a_recipe_and_vice_versa() -> None:
    quick = resolve_config({"training": {"epochs": 3}}).training
    assert (quick.epochs, quick.film_passes) == (3, None)
    full = resolve_config({"preset": "full", "training": {"film_passes": 900}}).training
    assert (full.epochs, full.film_passes) == (None, 900)


def test_epochs_and_film_passes_given_together_are_both_kept() -> None:
    training = resolve_config({"training": {"epochs": 3, "film_passes": 50}}).training
    assert (training.epochs, training.film_passes) == (3, 50)


def test_epochs_in_a_recipe_file_replace_film_passes(tmp_path: Path) -> None:
    training = resolve_config({}, recipe(tmp_path, "training: {epochs: 7}")).training
    assert (training.epochs, training.film_passes) == (7, None)


@pytest.mark.parametrize(("of_file", "of_user"), [("epochs", "film_passes"), ("film_passes", "epochs")])
def test_a_length_on_the_command_line_replaces_the_other_length_of_a_recipe_file(
    tmp_path: Path, of_file: str, of_user: str
) -> None:
    path = recipe(tmp_path, f"training: {{{of_file}: 500}}")
    training = resolve_config({"training": {of_user: 300}}, path).training
    assert getattr(training, of_user) == 300
    assert getattr(training, of_file) is None


def test_a_run_without_a_length_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"give training\.epochs or training\.film_passes: neither is set"):
        validate(Config, {})


# ------------------------------------------------------------------------------------------------- invalid values


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"sed": 1}, r"unknown name 'sed'\. Did you mean 'seed'\?"),
        ({"trainig": {"epochs": 1}}, r"unknown name 'trainig'"),
        ({"training": {"epoch": 1}}, r"unknown name 'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        ({"data": {"val_fractoin": 0.1}}, r"'data\.val_fractoin'\. Did you mean 'data\.val_fraction'\?"),
        ({"model": {"depth": 3}}, r"unknown name 'model\.depth'"),
        ({"model": {"name": "unett"}}, r"model\.name: unknown model 'unett'\. Did you mean 'unet'\? Allowed: .*unet"),
        (
            {"preset": "quik"},
            r"preset: unknown preset 'quik'\. Did you mean 'quick'\? Allowed: document, finetune, full, quick, smoke\.",
        ),
    ],
)
def test_an_unknown_name_at_any_depth_is_reported_with_the_nearest(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config(tree)


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"training": {"learning_rate": 5}}, r"training\.learning_rate: given 5\. .* less than or equal to 1"),
        ({"training": {"learning_rate": 0}}, r"training\.learning_rate: given 0\. .* greater than 0"),
        ({"training": {"epochs": 0}}, r"training\.epochs: given 0\. .* greater than or equal to 1"),
        ({"training": {"epochs": "x"}}, r"training\.epochs: given 'x'\. .* valid integer"),
        ({"training": {"learning_rate": float("nan")}}, r"training\.learning_rate: given nan\. .* finite number"),
        ({"data": {"val_fraction": 1.5}}, r"data\.val_fraction: given 1\.5"),
        ({"data": {"val_fraction": 0.6, "test_fraction": 0.4}}, r"val_fraction \+ test_fraction must be below 1"),
        ({"data": {"input_hw": [100, 64]}}, r"data\.input_hw: .* multiple of 32 between 32 and 2048 px"),
        ({"data": {"input_hw": [4096, 64]}}, r"data\.input_hw: .* multiple of 32 between 32 and 2048 px"),
        ({"data": {"kind": "mendely"}}, r"data\.kind: given 'mendely'\. .*'mendeley'.* Did you mean 'mendeley'\?"),
        ({"data": {"fold": 1}}, r"fold is 1, folds None: give folds too, and one of 1 to folds as fold"),
        ({"data": {"folds": 3, "fold": 4}}, r"fold is 4, folds 3: give folds too"),
        ({"data": {"folds": 1}}, r"data\.folds: given 1\. .* greater than or equal to 2"),
        ({"data": {"max_films": 2}}, r"data\.max_films: given 2\. .* greater than or equal to 3"),
        ({"model": {"encoder_dropout": [0.1]}}, r"model\.encoder_dropout: .* 5 values are needed.*given 1"),
        ({"model": {"encoder_dropout": [0, 0, 0, 0, 1.0]}}, r"model\.encoder_dropout\.4: given 1\.0"),
        ({"heatmap": {"blur_kernel": 4}}, r"heatmap\.blur_kernel: given 4\. .* an odd number, or 0"),
        ({"heatmap": {"decoder": "drak"}}, r"heatmap\.decoder: given 'drak'.* Did you mean 'dark'\?"),
        ({"seed": -1}, r"seed: given -1"),
        ({"training": "fast"}, r"training: given 'fast'"),
        ({"training": None}, r"training: given None"),
        ({"training": 3}, r"training: given 3"),
        ({"model": "unet"}, r"model: given 'unet'"),
        ({"data": 3}, r"data: given 3"),
    ],
)
def test_a_value_out_of_range_says_what_was_given_and_what_is_allowed(tree: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config(tree)


def test_all_invalid_values_are_reported_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        resolve_config({"seed": -1, "training": {"epochs": 0, "epoch": 1}, "data": {"val_fraction": 2}})
    lines = str(error.value).splitlines()
    assert len(lines) == 4
    for name in ("seed", "training.epochs", "training.epoch'", "data.val_fraction"):
        assert any(name in line for line in lines)


def test_a_missing_value_says_how_to_give_it() -> None:
    with pytest.raises(ConfigError, match=r"run_id: a value is needed \(--run_id \.\.\.\)"):
        validate(EvaluateConfig, {})


def test_a_configuration_cannot_be_changed() -> None:
    config = resolve_config()
    with pytest.raises(ValidationError, match="frozen"):
        config.seed = 3  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        config.training.epochs = 3  # type: ignore[misc]


@pytest.mark.parametrize("text", ["1e-3", "1.0e-3", "0.001", "'1e-3'"])
def test_yaml_numbers_in_any_notation_are_numbers(tmp_path: Path, text: str) -> None:
    config = resolve_config({}, recipe(tmp_path, f"training: {{learning_rate: {text}}}"))
    assert config.training.learning_rate == 0.001


def test_a_configuration_is_unchanged_when_written_and_read(tmp_path: Path) -> None:
    config = resolve_config({"data": {"path": tmp_path, "input_hw": [64, 96]}, "seed": 7})
    assert validate(Config, yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json")))) == config


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1", "is not valid YAML"), ("- 1\n- 2\n", "must hold names and values, not list"), ("7", "not int")],
)
def test_an_invalid_recipe_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config({}, recipe(tmp_path, text))


def test_a_missing_recipe_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"recipe .*nowhere\.yaml does not exist"):
        resolve_config({}, tmp_path / "nowhere.yaml")


def test_an_empty_recipe_file_changes_nothing(tmp_path: Path) -> None:
    assert resolve_config({}, recipe(tmp_path, "# nothing\n")) == resolve_config()


def test_a_recipe_may_use_dotted_names_in_any_section(tmp_path: Path) -> None:
    text = "training.epochs: 3\ntraining: {batch_size: 5}\nmodel: {maht_net.width: 64}\nmodel.name: maht_net"
    config = resolve_config({}, recipe(tmp_path, text))
    assert (config.training.epochs, config.training.batch_size) == (3, 5)
    assert (config.model.name, config.model.maht_net.width) == ("maht_net", 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "training.epochs: 3\ntraining: {epochs: 4}",
            r"training\.epochs is given twice: by its dotted name and in its",
        ),
        ("training: {epochs: 4}\ntraining.epochs: 3", r"training\.epochs is given twice"),
        ("training.epochs: 3\ntraining: 4", r"training is given twice"),
        ("training.epoch: 3", r"unknown name 'training\.epoch'\. Did you mean 'training\.epochs'\?"),
        ("training:", r"training: given None\. A section of names and values is needed"),
    ],
)
def test_ambiguous_or_unknown_dotted_names_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        resolve_config({}, recipe(tmp_path, text))


def test_merging_keeps_other_values_and_changes_neither_argument() -> None:
    base, over = {"a": {"x": 1, "y": 2}, "b": 3}, {"a": {"y": 5}, "c": {"z": 6}}
    assert merge(base, over) == {"a": {"x": 1, "y": 5}, "b": 3, "c": {"z": 6}}
    assert base == {"a": {"x": 1, "y": 2}, "b": 3}
    assert over == {"a": {"y": 5}, "c": {"z": 6}}


def test_the_names_of_a_schema_equal_those_of_its_values() -> None:
    names = field_names(DataConfig)
    assert set(names) == set(flatten(DataConfig().model_dump()))
    assert "training.learning_rate" in field_names(Config)
    assert field_names(Config)[:2] == ["preset", "seed"]


def test_every_value_has_a_description_with_its_range() -> None:
    def described(schema: type, prefix: str = "") -> dict[str, str]:
        out: dict[str, str] = {}
        for key, info in schema.model_fields.items():  # type: ignore[attr-defined]
            if hasattr(info.annotation, "model_fields"):
                out |= described(info.annotation, f"{prefix}{key}.")
            else:
                out[prefix + key] = info.description or ""
        return out

    texts = described(Config)
    assert all(len(text) > 5 for text in texts.values())
    assert texts["training.learning_rate"].endswith("[> 0, <= 1]")
    assert texts["data.val_fraction"].endswith("[>= 0, <= 1]")
    assert texts["training.epochs"].endswith("[>= 1, <= 10000]")


def test_nesting_and_flattening_are_inverse() -> None:
    tree = {"seed": 3, "training": {"epochs": 2}, "model": {"name": "unet", "maht_net": {"width": 64}}}
    assert nest(flatten(tree)) == tree
    assert nest({"a.b": 1, "a.c.d": 2}) == {"a": {"b": 1, "c": {"d": 2}}}
    assert nest({}) == {}


def test_the_size_or_length_that_a_later_layer_sets_counts(tmp_path: Path) -> None:
    """A recipe that a study writes has both: what the command line sets must not be overruled by it."""
    recipe = tmp_path / "best.yaml"
    recipe.write_text("data: {input_hw: [320, 320]}\ntraining: {epochs: 3, film_passes: null}\n", encoding="utf-8")
    config = resolve_config({"data": {"input_side_px": 128}, "training": {"film_passes": 50}}, recipe)
    assert (config.data.input_hw, config.data.input_side_px) == (None, 128)
    assert (config.training.epochs, config.training.film_passes) == (None, 50)
    assert resolve_config({}, recipe).data.input_hw == (320, 320)
    tree = lay_over({"data": {"input_hw": [64, 64]}, "training": {"epochs": 3}}, {"data": {"input_side_px": 96}})
    assert tree == {"data": {"input_hw": None, "input_side_px": 96}, "training": {"epochs": 3}}
