"""The Python interface: the commands as functions with keyword arguments, and the steps between them.

Settings have the names and limits of the configuration. A section is a mapping, as in a recipe:
`train("unet", training={"epochs": 3})`. Arguments are checked before anything slow (torch, MLflow) is imported.
Runs go to the MLflow store that `MLFLOW_TRACKING_URI` names, or to `mlflow.db` in the current folder.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from spondylo_ml.config import ClinicalConfig, DataConfig, EvaluateConfig, nest, resolve_config, validate
from spondylo_ml.config.commands import DrawConfig, TrainOptions
from spondylo_ml.config.resolve import merge
from spondylo_ml.errors import ConfigError, DataError, unknown_name

if TYPE_CHECKING:
    from spondylo_ml.clinical.measurement import FilmMeasurement
    from spondylo_ml.config import Backend
    from spondylo_ml.data.decode import FilmDetails
    from spondylo_ml.data.films import FilmSet
    from spondylo_ml.landmarks import Facing, Film, Vertebra
    from spondylo_ml.models.base import LandmarkModel
    from spondylo_ml.serving.film_model import FilmInput, FilmModel
    from spondylo_ml.serving.film_result import FilmResult
    from spondylo_ml.workflows.evaluate import EvaluationResult
    from spondylo_ml.workflows.train import TrainResult

Folder: TypeAlias = str | Path
Section: TypeAlias = Mapping[str, Any]


def load(
    model: Folder = "champion", batch_size: int = 8, backend: Backend = "torch", digest: str | None = None
) -> FilmModel:
    """Load a trained model.

    Args:
        model: `starter`, the model that comes with the package; an alias (`champion`) or version of the registered
            model, `models:/<name>@<alias>`, `models:/<name>/<version>`, `runs:/<run id>/model`, a run by its id or
            first digits, by its name or as `latest`, or the folder of a model.
        batch_size: films that the network sees at once.
        backend: what computes the network: `torch`, or `onnx` for a folder that `export-onnx` has written.
        digest: SHA-256 of the model's manifest.json; no other model is loaded. The registry and runs keep the digests
            of their models; that of a folder must come from the caller.

    Raises:
        ConfigError: no such backend, or its packages are not installed.
        TrackingError: no such version, alias or run in the store, or it has no digest of the model.
        DataError: the model's files are missing, damaged, of another format or not those that the digest names, it has
            no network in ONNX, or this installation has no starter model.

    >>> import spondylo_ml
    >>> model = spondylo_ml.load("champion")
    >>> model.name
    'unet, spondylo-landmarks version 1 (champion)'
    """
    from spondylo_ml.serving.backends import open_model

    return open_model(_model_name(model), backend, batch_size, digest)


def predict(
    films: FilmInput | Iterable[FilmInput],
    model: Folder | FilmModel = "champion",
    *,
    facing: str | None = None,
    spacing_mm: float | None = None,
    pixel_aspect: float | str | None = None,
) -> list[FilmResult]:
    """Predict corners, slips and grades, one result per film in the same order.

    A film that cannot be read has an `error` instead of a `measurement`, and does not stop the others.

    Args:
        films: one or many: paths of image or DICOM files, the bytes of such files, (H, W) arrays of grey levels with
            bone bright, or `Film` objects.
        model: a loaded model, or what `load` accepts.
        facing: image side to which the patient's front points on all films: left, right, none (AP film) or unknown.
        spacing_mm: size of a pixel on all films.
        pixel_aspect: width of a pixel over its height on all films, or unknown.

    Raises:
        ConfigError: a value that is not allowed.
        DataError: an input that is not a film; or facing, spacing or aspect for a `Film`, which has these already.
        TrackingError: no such model in the store.

    >>> import spondylo_ml
    >>> film = spondylo_ml.draw_phantoms(1)[0]
    >>> (result,) = spondylo_ml.predict(film, model="champion")
    >>> result.prediction.corners_xy.shape  # vertebrae, corners, x and y in px of the film
    (10, 4, 2)
    """
    from spondylo_ml.serving.film_model import FilmModel

    inputs = _as_list(films)
    details = _details(inputs, facing, spacing_mm, pixel_aspect)
    loaded = model if isinstance(model, FilmModel) else load(model)
    return loaded.predict(inputs, details)


def train(
    model: str | Section | None = None,
    preset: str | None = None,
    data: Folder | Section | None = None,
    *,
    recipe: Folder | None = None,
    resume: str | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a model and log it to MLflow; the result names the run and its `metrics` on the validation films.

    Args:
        model: which network, such as `unet`; or the section `model`, such as `{"pretrained": "starter"}` to fine-tune
            the starter model. Absent: the recipe's, or `unet`.
        preset: `smoke` (under a minute), `quick` (minutes), `full`, `document` or `finetune` (of a trained model).
            Absent: the recipe's; `finetune` if `model` names one to fine-tune; else `quick`.
        data: folder of a dataset; or the section `data`. Absent: synthetic films.
        recipe: YAML file laid over the model's own recipe.
        resume: run to resume (its id or first digits, its name, or `latest`), or path of a last.ckpt.
        settings: other values of the configuration: `seed=1`, `training={"epochs": 3}`.

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.
        SpondyloError: bad films, a store that does not answer, or a loss that is not finite.

    >>> import spondylo_ml
    >>> run = spondylo_ml.train("unet", preset="smoke", data={"phantom_films": 20}, training={"epochs": 1})
    epoch 1/1 ...
    >>> run.metrics["mre_px512"] > 0  # mean radial error of the corners
    True
    """
    values = _nested(settings, model=_section(model, "name"), data=_section(data, "path"))
    if preset is not None:
        values["preset"] = preset
    options = validate(TrainOptions, {"recipe": recipe, "resume": resume})
    config = resolve_config(values, options.recipe_path, _config_of_model)
    config.data.require_source()
    if config.data.folds is not None and config.data.fold is None:
        raise ConfigError(
            "data.folds alone is a cross-validation, which is a command: python -m spondylo_ml train --folds "
            f"{config.data.folds}. Name a fold too: data={{'folds': {config.data.folds}, 'fold': 1}}"
        )

    from spondylo_ml.tracking.resume import requested_training
    from spondylo_ml.tracking.run_names import with_run_ids
    from spondylo_ml.workflows.train import train
    from spondylo_ml.workflows.train.start import with_run_id

    requested = requested_training(with_run_ids(options), values, _config_of_model)
    if requested.is_cross_validation:
        raise ConfigError(f"{resume} is a cross-validation: python -m spondylo_ml train --resume {resume}")
    return train(with_run_id(requested.config), requested.resume)


def evaluate(
    run_id: str, data: Folder | Section | None = None, split: str | None = None, **settings: Any
) -> EvaluationResult:
    """Evaluate the best model of a run on films, and log the results to a new run.

    Args:
        run_id: run that trained the model: its id or first digits, its name, or `latest`.
        data: folder of a dataset; or the section `data`. Values that are not set are those of the training run.
        split: part of the films: train, val (the default), test or all.
        settings: other values of the command `evaluate`: `resamples=500`.

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.
        TrackingError: no such run, or it has no model.
        DataError: bad films, or none in the part.

    >>> import spondylo_ml
    >>> run = spondylo_ml.train("unet", preset="smoke", data={"phantom_films": 20}, training={"epochs": 1})
    epoch 1/1 ...
    >>> result = spondylo_ml.evaluate(run.run_id, split="val")
    >>> result.metrics["sdr_6px"] <= 100  # percent of corners within 6 px512
    True
    """
    part = {} if split is None else {"split": split}
    values = _nested(settings | part, data=_section(data, "path"))
    config = validate(EvaluateConfig, {**values, "run_id": run_id})

    from spondylo_ml.tracking.run_names import with_run_ids
    from spondylo_ml.workflows.evaluate import evaluate

    return evaluate(with_run_ids(config))


def create_model(model: str | Section = "unet", preset: str = "quick", **settings: Any) -> LandmarkModel:
    """Create an untrained network: a `torch.nn.Module` with `losses(batch)` and `predict(images)`.

    Args:
        model: which network; or the section `model`.
        preset: whose recipe configures it.
        settings: other values of the configuration: `seed=1`, `data={"n_slots": 6}` for 6 levels from S1 up (10 where
            absent).

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.

    >>> import spondylo_ml, torch
    >>> network = spondylo_ml.create_model("unet", data={"n_slots": 6})
    >>> landmarks = network.eval().predict(torch.zeros(1, 1, 64, 64, dtype=torch.uint8))
    >>> landmarks.corners_xy.shape  # films, vertebrae, corners, x and y
    torch.Size([1, 6, 4, 2])
    """
    config = resolve_config(_nested(settings, model=_section(model, "name"), preset=preset))

    from spondylo_ml.data.synthetic import SLOTS
    from spondylo_ml.landmarks import SlotRange
    from spondylo_ml.models.zoo import build_model

    first = SLOTS.first if config.data.first_slot is None else config.data.first_slot
    return build_model(config, SlotRange(first, config.data.n_slots or SLOTS.count))


def read_films(folder: Folder, kind: str = "auto", **settings: Any) -> FilmSet:
    """Read the films and labels of a dataset; pixels are read when they are used.

    Args:
        folder: of the dataset.
        kind: its layout, such as `coco`; `auto` recognises it.
        settings: other values of the section `data`: `on_bad_file="skip"`.

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.
        DataError: no such folder or layout, or bad files, which are listed.

    >>> import spondylo_ml
    >>> films = spondylo_ml.read_films("films")
    >>> len(films), films[0].labelled
    (2, False)
    """
    config = validate(DataConfig, {**nest(settings), "path": folder, "kind": kind})
    config.require_source()

    from spondylo_ml.data.loading import read_films

    return read_films(config)


def draw_phantoms(count: int = 10, seed: int = 0, **settings: Any) -> FilmSet:
    """Draw synthetic films with exact labels; each film has another patient.

    Args:
        count: number of films.
        seed: the same seed draws the same films.
        settings: other values of the command `phantom`: `long_side_px`, `view`, `without`, `slips`, `additions`.

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.

    >>> import spondylo_ml
    >>> films = spondylo_ml.draw_phantoms(2, seed=7)
    >>> [vertebra.level for vertebra in films[0].vertebrae[:3]]
    ['S1', 'L5', 'L4']
    """
    config = validate(DrawConfig, {**settings, "count": count, "seed": seed})

    from spondylo_ml.data.loading import draw_films

    return draw_films(config)


def measure(film: Film | Sequence[Vertebra], *, facing: str | None = None, **rules: Any) -> FilmMeasurement:
    """Measure slips, grades, angles and heights at the corners of a labelled film, or of vertebrae alone.

    Args:
        film: a film with corners; or vertebrae from the sacrum up.
        facing: image side to which the patient's front points: left, right, none (AP film) or unknown. Absent: the
            film's own; that of vertebrae alone is inferred.
        rules: values of the section `clinical`: `slip_method="posterior_wall"`.

    Raises:
        ConfigError: an unknown name, with the nearest, or a value that is not allowed.
        DataError: the film has no corners.

    >>> import spondylo_ml
    >>> s1 = spondylo_ml.Vertebra(0, [[0, 50], [40, 50], [0, 80], [40, 80]])
    >>> l5 = spondylo_ml.Vertebra(1, [[-12, 10], [28, 10], [-12, 40], [28, 40]])
    >>> level = spondylo_ml.measure([s1, l5], facing="left").levels[0]
    >>> level.name, str(level.slip), level.grade
    ('L5/S1', '30.0 %', 2)
    """
    from spondylo_ml.clinical.measure import measure_film, measure_vertebrae
    from spondylo_ml.landmarks import Facing, Film

    config = validate(ClinicalConfig, rules)
    side = _facing(facing)
    if isinstance(film, Film):
        return measure_film(film, config, facing=side)
    return measure_vertebrae(film, side or Facing.UNKNOWN, config)


def _model_name(model: Folder) -> str:
    """How `find_model` names the model; a `Path` is a folder, even one that is called starter."""
    return str(model.absolute()) if model == Path("starter") else str(model)


def _config_of_model(which: str) -> Section:
    from spondylo_ml.serving.model_source import config_of_model

    return config_of_model(which)


def _section(value: object, key: str) -> Section:
    """A section of the configuration; a single value is the section's value `key`."""
    if value is None:
        return {}
    return value if isinstance(value, Mapping) else {key: value}


def _nested(settings: Section, **sections: Any) -> dict[str, Any]:
    """Settings by section or dotted name as nested values, merged with the `sections` that are not empty."""
    return merge(nest(settings), {name: value for name, value in sections.items() if value})


def _as_list(films: FilmInput | Iterable[FilmInput]) -> list[FilmInput]:
    """Many films as a list, and one film as a list of one."""
    from spondylo_ml.landmarks import Film

    if isinstance(films, str | bytes | Path | Film) or hasattr(films, "__array__"):
        return [cast("FilmInput", films)]
    return list(films)


def _facing(text: str | None) -> Facing | None:
    from spondylo_ml.landmarks import Facing

    if text is None:
        return None
    if text not in list(Facing):
        raise ConfigError(unknown_name("facing", text, map(str, Facing)))
    return Facing(text)


def _details(
    films: Sequence[FilmInput], facing: str | None, spacing_mm: float | None, pixel_aspect: float | str | None
) -> FilmDetails:
    """The details that apply to all films."""
    from spondylo_ml.data.decode import NO_DETAILS, FilmDetails
    from spondylo_ml.landmarks import Facing, Film
    from spondylo_ml.spacing import Spacing, parse_pixel_aspect

    if facing is None and spacing_mm is None and pixel_aspect is None:
        return NO_DETAILS
    if any(isinstance(film, Film) for film in films):
        raise DataError("a Film has its own facing, spacing and pixel_aspect: set them there (dataclasses.replace)")
    spacing = None if spacing_mm is None else Spacing(spacing_mm, spacing_mm, "given to predict")
    return FilmDetails(_facing(facing) or Facing.UNKNOWN, spacing, parse_pixel_aspect(pixel_aspect))
