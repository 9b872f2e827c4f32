"""Experiment tracking for vertebral corners and spondylolisthesis on lateral radiographs.

The names below are the Python interface. Each is imported when it is first used, so that `import spondylo_ml` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spondylo_ml.version import __version__

if TYPE_CHECKING:
    from spondylo_ml.api import (
        create_model,
        draw_phantoms,
        evaluate,
        load,
        measure,
        predict,
        read_films,
        train,
    )
    from spondylo_ml.data.readers import register_reader
    from spondylo_ml.landmarks import Film, Vertebra
    from spondylo_ml.models.losses import register_loss
    from spondylo_ml.models.zoo import register_model

__all__ = [
    "Film",
    "Vertebra",
    "__version__",
    "create_model",
    "draw_phantoms",
    "evaluate",
    "load",
    "measure",
    "predict",
    "read_films",
    "register_loss",
    "register_model",
    "register_reader",
    "train",
]

_NOT_IN_API = {
    "Film": "spondylo_ml.landmarks",
    "Vertebra": "spondylo_ml.landmarks",
    "register_loss": "spondylo_ml.models.losses",
    "register_model": "spondylo_ml.models.zoo",
    "register_reader": "spondylo_ml.data.readers",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_NOT_IN_API.get(name, "spondylo_ml.api")), name)


def __dir__() -> list[str]:
    return __all__
