"""Export a heatmap network to ONNX, and run it with ONNX Runtime in place of torch.

Only the network is replaced. Preprocessing, decoding, levels and measurements are the same code.
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
from spondylo_ml.config.network import MODEL_NAMES, WITHOUT_HEATMAPS
from spondylo_ml.errors import ConfigError, DataError
from spondylo_ml.models.base import HeatmapModel, LandmarkModel, NetworkOutput
from spondylo_ml.serving.bundle import NETWORK, Bundle
from spondylo_ml.training.device import Compute

OPSET = 18
INPUT, FILMS_AXIS = "images", "films"
COMPUTE = Compute("cpu", "fp32", "ONNX Runtime computes on the processor, in single precision")

RUNTIME, EXPORTER = "onnxruntime", ("onnx", "onnxscript")


class OnnxModel(HeatmapModel):
    """A heatmap model whose network runs in ONNX Runtime, with as many threads as torch uses."""

    def __init__(self, model: HeatmapModel, network: bytes) -> None:
        super().__init__(model.config, model.slots, model.codec.stride)
        self.chain = model.chain
        self._session = _session(network)
        self._outputs = [output.name for output in self._session.get_outputs()]
        _require_fitting(self._session, model.config)

    def forward(self, images: Tensor) -> NetworkOutput:
        """See the base class; on the CPU."""
        values = self._session.run(self._outputs, {INPUT: images.numpy()})
        return NetworkOutput(**dict(zip(self._outputs, map(torch.from_numpy, values), strict=True)))


def with_onnx(bundle: Bundle, network: bytes) -> Bundle:
    """The same model with its network run by ONNX Runtime.

    Raises:
        ConfigError: ONNX Runtime is not installed, or the model cannot be exported.
        DataError: the network does not belong to this model.
    """
    require_installed()
    return replace(bundle, model=OnnxModel(exportable(bundle.model), network))


def onnx_network(bundle: Bundle) -> bytes:
    """The model's network as an ONNX file: `images` (films, 1, H, W) uint8 to the fields of `NetworkOutput`.

    The batch size is dynamic, height and width are those of the model's input.

    Raises:
        ConfigError: packages are missing, or the model cannot be exported.
    """
    require_installed(export=True)
    network = _OnlyTensors(exportable(bundle.model)).eval()
    height, width = bundle.config.data.network_input_hw
    images = torch.zeros(2, 1, height, width, dtype=torch.uint8)
    with torch.no_grad(), _quietly(), sdpa_kernel(SDPBackend.MATH):  # fused attention cannot be exported
        has_value = [value is not None for value in network.model(images)]
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[name for name, has in zip(NetworkOutput._fields, has_value, strict=True) if has],
            dynamic_shapes={INPUT: {0: torch.export.Dim(FILMS_AXIS)}},
            verbose=False,
        )
    if program is None:
        raise ConfigError("torch.onnx.export gave no network: another version of torch than pyproject.toml names?")
    return _without_traces(program.model_proto)


def exportable(model: LandmarkModel) -> HeatmapModel:
    """The model, if its network is a single function from images to tensors.

    Raises:
        ConfigError: it is not, with the reason.
    """
    if not isinstance(model, HeatmapModel):
        raise ConfigError(
            f"{type(model).__name__} has no ONNX export: what it finds first on a film decides where it looks next, "
            "which is not one network from images to maps. Models that have one: "
            + ", ".join(name for name in MODEL_NAMES if name not in WITHOUT_HEATMAPS)
        )
    if model.config.uncertainty.source == "dropout":
        raise ConfigError(
            "a model with uncertainty.source=dropout has no ONNX export: its intervals need dropout while it predicts, "
            "and an exported network drops nothing. Train it with uncertainty.source=heatmap or flip"
        )
    return model


def require_installed(export: bool = False) -> None:
    """Raise `ConfigError` if packages for running, or with `export` for exporting, are missing."""
    missing = [name for name in (RUNTIME, *(EXPORTER if export else ())) if not _is_installed(name)]
    if missing:
        raise ConfigError(
            f"{'export to ONNX' if export else 'backend onnx'} needs {', '.join(missing)}: "
            "pip install 'spondylo_ml[onnx]', or in a clone pip install -e '.[onnx]'"
        )


class _OnlyTensors(nn.Module):
    """The network without the outputs that are None."""

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
    # Spinning threads would compete with torch, which decodes between the batches.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime's exception classes are not public
        raise DataError(f"{NETWORK} is not a network that ONNX Runtime can read ({type(error).__name__})") from None


def _require_fitting(session: Any, config: Config) -> None:
    """Raise `DataError` if inputs and outputs are not those of the model's network."""
    inputs = [(one.name, one.type, one.shape[1:]) for one in session.get_inputs()]
    height, width = config.data.network_input_hw
    if inputs != [(INPUT, "tensor(uint8)", [1, height, width])]:
        raise DataError(f"{NETWORK} takes {inputs}, the model {INPUT} of (films, 1, {height}, {width})")
    if isinstance(films := session.get_inputs()[0].shape[0], int):
        raise DataError(f"{NETWORK} takes {films} films at once and no other number")
    outputs = [one.name for one in session.get_outputs()]
    if not {"heatmaps", "presence"} <= set(outputs) <= set(NetworkOutput._fields):
        raise DataError(f"{NETWORK} gives {', '.join(outputs)}; expected are {', '.join(NetworkOutput._fields)}")


def _without_traces(model: Any) -> bytes:
    """The file without the source lines of each node, which contain paths of this machine."""
    for one in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.graph.initializer):
        one.ClearField("metadata_props")
        one.ClearField("doc_string")
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ValueError:  # raised for a module that was blocked in sys.modules
        return False


@contextmanager
def _quietly() -> Iterator[None]:
    """Context without the exporter's log; whether the exported network agrees is checked afterwards."""
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
