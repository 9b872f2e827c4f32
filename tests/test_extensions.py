"""Models, losses and readers that code outside the package registers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders import plain_film
from extensions import temporary_registrations
from small_models import INPUT_HW, small_bundle
from torch import Tensor

import spondylo_ml
from spondylo_ml.config import CompareConfig, Config, resolve_config, validate
from spondylo_ml.config.benchmark import Entry
from spondylo_ml.config.network import LossConfig
from spondylo_ml.data.batches import plain_loader
from spondylo_ml.data.films import FilmSet
from spondylo_ml.data.prepare import prepare_films
from spondylo_ml.data.synthetic import SLOTS
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.losses import HeatmapLoss
from spondylo_ml.models.unet import UNet
from spondylo_ml.models.zoo import build_model
from spondylo_ml.serving.bundle import load_bundle, save_bundle


@pytest.fixture(autouse=True)
def _no_lasting_registrations() -> Iterator[None]:
    with temporary_registrations():
        yield


class NoteReader:
    """A layout marked by a file `note.txt`, with one black film."""

    kind, layout, marks = "note", "a note.txt", ("note.txt",)

    def recognises(self, root: Path) -> bool:
        return (root / "note.txt").is_file()

    def read(self, root: Path) -> FilmSet:
        return FilmSet(self.kind, root.name, (plain_film(),), SlotRange(0, 3))


def mean_error(output: Tensor, target: Tensor, present: Tensor, config: LossConfig) -> Tensor:
    """A loss with a known value: always 2."""
    return 0 * output.mean() + 2


def test_a_registered_model_is_configured_built_and_compared_by_its_name() -> None:
    spondylo_ml.register_model("mine", UNet, recipes_of="hrnet_w32")
    config = resolve_config({"model": {"name": "mine"}, "preset": "smoke"})
    source = resolve_config({"model": {"name": "hrnet_w32"}, "preset": "smoke"})
    assert config.model.name == "mine"
    assert config.training == source.training
    assert validate(Config, config.model_dump(mode="json")) == config
    assert isinstance(build_model(config, SLOTS), UNet)
    assert CompareConfig(top=2, models=("mine",)).models == ("mine",)
    assert Entry(name="a", model="mine").model == "mine"


def test_a_registered_loss_is_used_in_training() -> None:
    spondylo_ml.register_loss("mine", HeatmapLoss(mean_error))
    model = spondylo_ml.create_model("unet", loss={"heatmap": "mine", "heatmap_weight": 3, "presence_weight": 0})
    films = spondylo_ml.draw_phantoms(2, long_side_px=96)
    (batch,) = plain_loader(prepare_films(films.films, SLOTS, INPUT_HW), 2)
    assert {name: value.item() for name, value in model.losses(batch).items()} == {"heatmap": 6.0}
    raw = torch.tensor([-0.5, 0.25, 1.0])
    assert HeatmapLoss(mean_error).maps(raw).tolist() == [0.0, 0.25, 1.0]  # read as heights


def test_a_registered_layout_is_recognised_and_can_be_named(tmp_path: Path) -> None:
    (tmp_path / "note.txt").touch()
    with pytest.raises(DataError, match="has no such layout"):
        spondylo_ml.read_films(tmp_path)
    spondylo_ml.register_reader(NoteReader())
    assert spondylo_ml.read_films(tmp_path).kind == "note"
    assert [film.film_id for film in spondylo_ml.read_films(tmp_path, kind="note")] == ["film"]
    assert resolve_config({"data": {"path": tmp_path, "kind": "note"}}).data.kind == "note"


def test_a_name_can_be_registered_only_once() -> None:
    spondylo_ml.register_model("mine", UNet)
    with pytest.raises(ConfigError, match=r"a model named 'mine' exists already; taken: unet, .*, mine"):
        spondylo_ml.register_model("mine", UNet)
    with pytest.raises(ConfigError, match=r"a loss named 'focal_mse' exists already"):
        spondylo_ml.register_loss("focal_mse", HeatmapLoss(mean_error))
    reader = NoteReader()
    reader.kind = "coco"
    with pytest.raises(ConfigError, match=r"a layout named 'coco' exists already"):
        spondylo_ml.register_reader(reader)
    with pytest.raises(ConfigError, match=r"model name '../x': give letters, digits and _"):
        spondylo_ml.register_model("../x", UNet)
    with pytest.raises(ConfigError, match=r"recipes_of: unknown model 'unett'\. Did you mean 'unet'"):
        spondylo_ml.register_model("other", UNet, recipes_of="unett")


def test_a_wrong_name_lists_the_registered_ones_too() -> None:
    spondylo_ml.register_model("mine", UNet)
    spondylo_ml.register_loss("my_loss", HeatmapLoss(mean_error))
    spondylo_ml.register_reader(NoteReader())
    for values, message in (
        ({"model": {"name": "mime"}}, r"unknown model 'mime'\. Did you mean 'mine'\? Allowed: .*mine"),
        ({"loss": {"heatmap": "my_los"}}, r"loss\.heatmap: given 'my_los'.*'cross_entropy'.*Did you mean 'my_loss'\?"),
        ({"data": {"kind": "noot"}}, r"data\.kind: given 'noot'.*'folder' or 'note'.*Did you mean 'note'\?"),
    ):
        with pytest.raises(ConfigError, match=message):
            resolve_config(values)


def test_a_model_loads_without_its_reader_but_not_without_its_loss(tmp_path: Path) -> None:
    bundle = small_bundle("unet")
    for section, name in (("data", "kind"), ("loss", "heatmap")):
        changed = getattr(bundle.config, section).model_copy(update={name: "gone"})
        config = bundle.config.model_copy(update={section: changed})
        save_bundle(replace(bundle, config=config), tmp_path / section)
        assert json.loads((tmp_path / section / "bundle.json").read_text())["config"][section][name] == "gone"
    assert load_bundle(tmp_path / "data").config.data.kind == "auto"
    with pytest.raises(DataError, match=r"loss\.heatmap: given 'gone'.*register its model or loss first"):
        load_bundle(tmp_path / "loss")
