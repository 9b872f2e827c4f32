"""A heatmap network in ONNX: written from a model, and computed by ONNX Runtime in the model's place.

Only the network is exchanged. Preparation before it, decoding, levels and measures after it stay the model's own.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from spondylo_ml.config import Config
from spondylo_ml.config.network import MODEL_NAMES
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.models.base import HeatmapModel, LandmarkModel, NetworkOutput
from spondylo_ml.serving.bundle import NETWORK, Bundle
from spondylo_ml.training.device import Compute

OPSET = 18
INPUT, FILMS_AXIS = "images", "films"
COMPUTE = Compute("cpu", "fp32", "ONNX Runtime computes on the processor, in single precision")

RUNTIME, EXPORTER = "onnxruntime", ("onnx", "onnxscript")


class OnnxModel(HeatmapModel):
    """A heatmap model whose network ONNX Runtime computes, with as many threads as torch has."""

    def __init__(self, model: HeatmapModel, network: bytes) -> None:
        super().__init__(model.config, model.slots, model.codec.stride)
        self.chain = model.chain
        self._session = _session(network)
        self._outputs = [output.name for output in self._session.get_outputs()]
        _require_fitting(self._session, model.config)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class; on the processor."""
        values = self._session.run(self._outputs, {INPUT: images.numpy()})
        return NetworkOutput(**dict(zip(self._outputs, map(torch.from_numpy, values), strict=True)))


def with_onnx(bundle: Bundle, network: bytes) -> Bundle:
    """The same model, its network computed by ONNX Runtime.

    Raises:
        ConfigError: ONNX Runtime is not installed, or the model has no ONNX form.
        DataError: the network is not one of this model.
    """
    require_installed()
    return replace(bundle, model=OnnxModel(exportable(bundle.model), network))


def onnx_network(bundle: Bundle) -> bytes:
    """The model's network as an ONNX file: `images` (films, 1, H, W) uint8 to the fields of `NetworkOutput`.

    The number of films is free, height and width are those of the model's input.

    Raises:
        ConfigError: packages are missing, or the model has no ONNX form.
    """
    require_installed(export=True)
    network = _OnlyTensors(exportable(bundle.model)).eval()
    height, width = input_hw(bundle.config)
    images = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    with torch.no_grad(), _quietly(), sdpa_kernel(SDPBackend.MATH):  # the fused attention cannot be taken apart
        there = [value is not None for value in network.model(images)]
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[name for name, is_there in zip(NetworkOutput._fields, there, strict=True) if is_there],
            dynamic_shapes={INPUT: {0: torch.export.Dim(FILMS_AXIS)}},
            verbose=False,
        )
    if program is None:
        raise ConfigError("torch.onnx.export gave no network: another version of torch than pyproject.toml names?")
    return _without_traces(program.model_proto)


def exportable(model: LandmarkModel) -> HeatmapModel:
    """The model, where one tensor function of its images is all that it computes.

    Raises:
        ConfigError: it is not; says why.
    """
    if not isinstance(model, HeatmapModel):
        heatmap_models = ", ".join(name for name in MODEL_NAMES if name != "keypoint_rcnn")
        raise ConfigError(
            f"{type(model).__name__} has no ONNX export: it proposes, sorts and drops boxes film by film, which is no "
            f"one network from images to maps, and has no maps to compare. Models that have one: {heatmap_models}"
        )
    if model.config.uncertainty.source == "dropout":
        raise ConfigError(
            "a model with uncertainty.source=dropout has no ONNX export: its intervals need dropout while it predicts, "
            "and an exported network drops nothing. Train it with uncertainty.source=heatmap or flip"
        )
    return model


def require_installed(export: bool = False) -> None:
    """`ConfigError` where the packages are missing that are needed to compute, or also to export."""
    missing = [name for name in (RUNTIME, *(EXPORTER if export else ())) if not _is_installed(name)]
    if missing:
        raise ConfigError(
            f"{'export to ONNX' if export else 'backend onnx'} needs {', '.join(missing)}: "
            "pip install 'spondylo_ml[onnx]', or in a clone pip install -e '.[onnx]'"
        )


def input_hw(config: Config) -> tuple[int, int]:
    """Height and width of the network's input, px."""
    if config.data.input_hw is None:
        raise ValueError("a bundle's configuration is resolved: data.input_hw is set")
    return config.data.input_hw


class _OnlyTensors(nn.Module):
    """The network with outputs that are all there."""

    def __init__(self, model: HeatmapModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        return tuple(value for value in self.model(images) if value is not None)


def _session(network: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.inter_op_num_threads = 1
    # Threads that wait for the next batch by spinning take the processor from torch, which decodes in between.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's own classes, which are not public
        raise DataError(f"{NETWORK} is no network that ONNX Runtime reads ({type(error).__name__})") from None


def _require_fitting(session: Any, config: Config) -> None:
    """`DataError` where inputs and outputs are not those of the model's network."""
    inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
    if inputs != [(INPUT, "tensor(uint8)", [1, *input_hw(config)])]:
        raise DataError(
            f"{NETWORK} takes {inputs}, the model {INPUT} of (films, 1, {', '.join(map(str, input_hw(config)))})"
        )
    if isinstance(films := session.get_inputs()[0].shape[0], int):
        raise DataError(f"{NETWORK} takes {films} films at once and no other number")
    outputs = [one.name for one in session.get_outputs()]
    if not {"heatmaps", "presence"} <= set(outputs) <= set(NetworkOutput._fields):
        raise DataError(f"{NETWORK} gives {', '.join(outputs)}; {', '.join(NetworkOutput._fields)} are known")


def _without_traces(model: Any) -> bytes:
    """The file without the lines of code that each node came from: they hold paths of this machine."""
    for one in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # what a module that is blocked leaves
        return False


@contextmanager
def _quietly() -> Iterator[None]:
    """The exporter logs its inner steps; what matters is whether the network agrees, which is checked."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
