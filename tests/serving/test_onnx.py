"""An ONNX network computes what the model computes, differences are reported, a tampered network is refused."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from small_models import small_bundle

import spondylo_ml
from spondylo_ml.clinical.measurement import LevelMeasurement, Measure
from spondylo_ml.config import ClinicalConfig
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.data.synthetic import phantom_films
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.models.base import HeatmapModel
from spondylo_ml.serving.bundle import Bundle, copy_with_network, load_bundle, read_network, save_bundle
from spondylo_ml.serving.onnx_compare import compare_networks, points_to_limit
from spondylo_ml.serving.onnx_network import OnnxModel, exportable, onnx_network, require_installed, with_onnx
from spondylo_ml.serving.onnx_parity import CORNER_LIMIT_PX, TENSOR_LIMIT, FilmPair, LevelPair, Parity
from spondylo_ml.serving.onnx_speed import measure_speed

HEATMAP_MODELS = [name for name in MODEL_NAMES if name not in WITHOUT_HEATMAPS]
EXPORTED = [pytest.param(name, marks=pytest.mark.slow) for name in HEATMAP_MODELS]
"""The heatmap models; the export of each takes up to a minute or more."""
FILMS = phantom_films(8, 3, 96).films[:4]
"""Films on which the networks are trained briefly: with random weights they detect no level to grade."""

STEPS = {"unet": 30, "resnet50": 12, "hrnet_w32": 30, "maht_net": 30}
"""Training steps after which levels can be graded; each takes up to a second."""

PASSED = {"passed": True}


@cache
def bundle_of(name: str) -> Bundle:
    return small_bundle(name, steps=STEPS[name])


@cache
def network_of(name: str) -> bytes:
    return onnx_network(bundle_of(name))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A U-Net on disk with its network in ONNX."""
    save_bundle(bundle_of("unet"), tmp_path / "plain")
    copy_with_network(tmp_path / "plain", tmp_path / "with", network_of("unet"), PASSED)
    return tmp_path / "with"


@pytest.mark.parametrize("name", EXPORTED)
def test_tensors_corners_and_grades_agree_for_any_number_of_films(name: str) -> None:
    bundle = bundle_of(name)
    parity = compare_networks(bundle, with_onnx(bundle, network_of(name)), FILMS)
    assert parity.problems() == ()
    outputs = {"heatmaps", "presence", "spread_px512"} if name == "maht_net" else {"heatmaps", "presence"}
    assert parity.tensors.keys() == outputs
    assert all(
        0 <= difference.relative <= TENSOR_LIMIT and difference.largest_value > 0
        for difference in parity.tensors.values()
    )
    tree = parity.to_json()
    assert tree["passed"] is True
    assert 0.9 * len(FILMS) * 40 < tree["corners"]["compared"] <= len(FILMS) * 40
    assert tree["corners"]["largest_difference_px"] <= CORNER_LIMIT_PX
    assert tree["grades"]["compared"] == sum(tree["grades"]["by_grade"].values()) > 0
    assert tree["grades"]["different"] == []


@pytest.mark.parametrize("name", EXPORTED)
def test_the_file_names_its_tensors_and_holds_no_local_path(name: str) -> None:
    graph = onnx.load_from_string(network_of(name)).graph
    assert [item.name for item in graph.input] == ["images"]
    shape = [item.dim_param or item.dim_value for item in graph.input[0].type.tensor_type.shape.dim]
    assert shape == ["films", 1, 64, 64]
    names = [item.name for item in graph.output]
    assert names == ["heatmaps", "presence", "spread_px512"][: len(names)]
    onnx.checker.check_model(onnx.load_from_string(network_of(name)))
    for root in (Path(spondylo_ml.__file__).parents[1], Path(torch.__file__).parents[1]):
        assert str(root).encode() not in network_of(name)
    assert b'File "' not in network_of(name)


def test_weights_changed_after_the_export_are_reported_with_place_and_size() -> None:
    changed = deepcopy(bundle_of("unet"))
    assert isinstance(changed.model, HeatmapModel)
    with torch.no_grad():
        next(changed.model.decoder.parameters()).mul_(-2.0)  # type: ignore[union-attr]
    parity = compare_networks(changed, with_onnx(changed, network_of("unet")), FILMS)
    message = "\n".join(parity.problems())
    assert "heatmaps differ by" in message
    assert "of their largest value (limit 0.001)" in message
    assert "px (limit 0.05 px): " in message
    assert "of film phantom-3-0000" in message
    assert "levels have another grade: " in message
    assert parity.to_json()["passed"] is False


@pytest.mark.slow
def test_different_presence_and_a_model_that_detects_nothing_are_reported() -> None:
    bundle = bundle_of("unet")
    silent = deepcopy(bundle_of("unet"))
    assert isinstance(silent.model, HeatmapModel)
    with torch.no_grad():
        silent.model.presence.bias.fill_(-20.0)  # type: ignore[union-attr]
    parity = compare_networks(silent, with_onnx(silent, network_of("unet")), FILMS[:2])
    assert "on 2 film(s) one of them sees a vertebra that the other does not: S1 of film " in "\n".join(
        parity.problems()
    )
    parity = compare_networks(silent, with_onnx(silent, onnx_network(silent)), FILMS[:2])
    assert parity.problems() == (
        "nothing to compare: this model finds no level to grade on 2 synthetic film(s), so that they cannot show "
        "whether the network is right",
    )
    with pytest.raises(DataError, match="at least one film is needed"):
        compare_networks(bundle, bundle, [])


def test_keypoint_rcnn_and_dropout_uncertainty_have_no_onnx_export() -> None:
    with pytest.raises(
        ConfigError, match=r"KeypointRCNN has no ONNX export: what it finds first.*: unet, resnet50, hrnet_w32"
    ):
        onnx_network(small_bundle("keypoint_rcnn", 128))
    bundle = bundle_of("unet")
    assert isinstance(bundle.model, HeatmapModel)
    dropout_config = bundle.config.uncertainty.model_copy(update={"source": "dropout"})
    other = small_bundle("unet").model
    assert isinstance(other, HeatmapModel)
    other.config = bundle.config.model_copy(update={"uncertainty": dropout_config})
    with pytest.raises(ConfigError, match=r"uncertainty\.source=dropout has no ONNX export: its intervals need"):
        exportable(other)


def test_the_network_of_another_model_and_invalid_data_are_refused() -> None:
    bundle = bundle_of("unet")
    with pytest.raises(DataError, match=r"network\.onnx is not a network that ONNX Runtime can read \(\w+\)"):
        with_onnx(bundle, b"noise")
    other = small_bundle("unet", 96)
    with pytest.raises(DataError, match=r"network\.onnx takes .*64, 64.*, the model images of \(films, 1, 96, 96\)"):
        with_onnx(other, network_of("unet"))


@pytest.mark.parametrize("missing", ["onnxruntime", "onnxscript"])
def test_a_missing_package_is_reported_with_how_to_install_it(
    missing: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)  # makes the import fail as if it were not installed
    message = rf"needs {missing}: pip install 'spondylo_ml\[onnx\]', or in a clone pip install -e '\.\[onnx\]'"
    with pytest.raises(ConfigError, match=f"export to ONNX {message}"):
        onnx_network(bundle_of("unet"))
    if missing == "onnxruntime":
        with pytest.raises(ConfigError, match=f"backend onnx {message}"):
            spondylo_ml.load(str(tmp_path), backend="onnx")
    else:
        require_installed()


# ------------------------------------------------------------------------------------------------------------- on disk


def test_the_copy_is_the_model_with_its_network(folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        "bundle.json",
        "weights.safetensors",
        "manifest.json",
        "network.onnx",
        "onnx_parity.json",
    }
    for name in ("bundle.json", "weights.safetensors"):
        assert (folder / name).read_bytes() == (folder.parent / "plain" / name).read_bytes()
    assert json.loads((folder / "manifest.json").read_text())["files"].keys() == {
        "bundle.json",
        "weights.safetensors",
        "network.onnx",
        "onnx_parity.json",
    }
    assert read_network(folder) == network_of("unet")
    assert read_network(folder.parent / "plain") is None


def test_both_backends_give_the_same_results(folder: Path) -> None:
    by_torch, by_onnx = (spondylo_ml.load(str(folder), backend=backend) for backend in ("torch", "onnx"))
    assert isinstance(by_onnx.bundle.model, OnnxModel)
    assert by_torch.name == "unet, folder with"
    assert by_onnx.name == "unet, folder with, ONNX Runtime"
    films = list(FILMS)
    for torch_result, onnx_result in zip(by_torch.predict(films), by_onnx.predict(films), strict=True):
        assert torch_result.prediction is not None
        assert onnx_result.prediction is not None
        np.testing.assert_allclose(
            onnx_result.prediction.corners_xy, torch_result.prediction.corners_xy, atol=CORNER_LIMIT_PX
        )
        np.testing.assert_allclose(onnx_result.prediction.presence, torch_result.prediction.presence, atol=1e-5)
        torch_row, onnx_row = torch_result.to_row(), onnx_result.to_row()
        assert [slip["grade"] for slip in torch_row["slips"]] == [slip["grade"] for slip in onnx_row["slips"]]


def test_a_model_without_an_onnx_network_names_the_export_command(folder: Path) -> None:
    plain = str(folder.parent / "plain")
    with pytest.raises(
        DataError, match=f"{plain} has no network in ONNX.* export-onnx --model {plain} --to <new folder>"
    ):
        spondylo_ml.load(plain, backend="onnx")
    with pytest.raises(ConfigError, match=r"unknown backend 'onx'\. Did you mean 'onnx'\? Allowed: onnx, torch"):
        spondylo_ml.load(plain, backend="onx")  # type: ignore[arg-type]


def test_a_tampered_network_is_refused_by_both_backends(folder: Path) -> None:
    network = folder / "network.onnx"
    data = network.read_bytes()
    network.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    for load in (lambda: spondylo_ml.load(str(folder), backend="onnx"), lambda: load_bundle(folder)):
        with pytest.raises(DataError, match=r"network\.onnx was changed after it was saved \(its SHA-256 differs\)"):
            load()
    network.write_bytes(data[:-100])
    with pytest.raises(DataError, match=r"network\.onnx has \d+ bytes where \d+ were saved: fetch it again"):
        load_bundle(folder)
    network.unlink()
    with pytest.raises(DataError, match=r"network\.onnx cannot be read \(FileNotFoundError\)"):
        load_bundle(folder)


def test_a_network_without_a_digest_or_a_passed_check_is_refused(folder: Path, tmp_path: Path) -> None:
    plain = folder.parent / "plain"
    (plain / "network.onnx").write_bytes(network_of("unet"))
    with pytest.raises(
        DataError, match=r"manifest\.json has no digest of network\.onnx and onnx_parity\.json: they cannot be verified"
    ):
        read_network(plain)
    save_bundle(bundle_of("unet"), tmp_path / "again")
    copy_with_network(tmp_path / "again", tmp_path / "failed", network_of("unet"), {"passed": False})
    with pytest.raises(DataError, match=r"onnx_parity\.json is not a passed check of network\.onnx against weights"):
        read_network(tmp_path / "failed")


# -------------------------------------------------------------------------------------------------------------- limits


def test_the_distance_to_a_grade_limit_follows_the_rule_that_decides() -> None:
    def level(slip_percent: float, slip_mm: float | None) -> LevelMeasurement:
        absent = Measure(float("nan"), "mm", "no spacing")
        return LevelMeasurement(
            "L4/L5", 2, 1, Measure(slip_percent, "%"), "endplate", absent, "posterior_wall",
            absent if slip_mm is None else Measure(slip_mm, "mm"), 1, "grade I", "", absent, absent, absent,
        )  # fmt: skip

    rules = ClinicalConfig()
    assert points_to_limit(level(27.0, None), rules) == pytest.approx(2.0)
    assert points_to_limit(level(-5.5, None), rules) == pytest.approx(0.5)  # grade 0 ends at 5 %
    assert points_to_limit(level(9.0, 2.7), rules) == pytest.approx(1.0)  # 3 mm are 10 %, so that 5 % decides nothing
    assert points_to_limit(level(5.0, 1.5), rules) == pytest.approx(5.0)
    assert points_to_limit(level(5.1, 1.5), rules.model_copy(update={"grade0_rule": "percent"})) == pytest.approx(0.1)
    assert points_to_limit(level(0.0, 0.0), rules) == pytest.approx(25.0)


def test_another_grade_is_accepted_only_within_0_2_points_of_a_limit() -> None:
    def pair(torch_grade: int | None, onnx_grade: int | None, points: float | None) -> LevelPair:
        return LevelPair("a film", "L4/L5", torch_grade, onnx_grade, 25.1, 24.9, points)

    def parity(*levels: LevelPair) -> Parity:
        return Parity({}, (FilmPair("a film", 40, 0.01, "superior_left of L5", 0.0, (), levels),))

    assert parity(pair(2, 1, 0.1)).problems() == ()
    assert parity(pair(2, 1, 0.1)).to_json()["grades"]["different_near_a_limit"][0]["torch_grade"] == 2
    (problem,) = parity(pair(2, 2, 5.0), pair(2, 1, 0.3)).problems()
    assert (
        problem == "1 of 2 levels have another grade: L4/L5 of film a film has 2 and 1 (slips of 25.10 % and 24.90 %)"
    )
    for one_sided in (pair(2, None, 0.1), pair(None, 1, None)):
        assert "1 of 1 levels have another grade" in parity(one_sided).problems()[0]
    assert parity(pair(2, 1, 0.1)).to_json()["grades"]["largest_slip_difference_points"] == pytest.approx(0.2)
    film = replace(parity(pair(1, 1, 5.0)).films[0], largest_px=float("inf"))
    assert "corners differ by up to inf px (limit 0.05 px): superior_left of L5 of film a film" in (
        Parity({}, (film,)).problems()
    )
    assert Parity({}, (film,)).to_json()["corners"]["largest_difference_px"] is None


@pytest.mark.slow
def test_each_backend_is_timed_at_both_batch_sizes() -> None:
    bundle = bundle_of("maht_net")
    speed = measure_speed(bundle, with_onnx(bundle, network_of("maht_net")), seconds=0.1)
    assert speed["threads"] == torch.get_num_threads()
    assert speed["milliseconds_a_batch"].keys() == {"1", "8"}
    for by_backend in speed["milliseconds_a_batch"].values():
        assert {"torch_fp32", "onnx", "rounds"} <= by_backend.keys()
        assert all(value > 0 for value in by_backend.values())


# --------------------------------------------------------------------------------------------------- two hundred films


@pytest.mark.slow
@pytest.mark.parametrize("name", HEATMAP_MODELS)
def test_two_hundred_films_of_all_grades_agree(name: str) -> None:
    bundle = small_bundle(name, 128, steps=60, unet_width=36)
    films = phantom_films(200, 730_001, 640, slips="even").films
    parity = compare_networks(bundle, with_onnx(bundle, onnx_network(bundle)), films)
    assert parity.problems() == ()
    assert len(parity.films) == 200
