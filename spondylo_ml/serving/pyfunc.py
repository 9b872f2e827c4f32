"""The model as an MLflow pyfunc: a table of films in, a table of corners, slips and grades out.

A request is a table with the column `image`. Each cell is one film: the bytes of a PNG, JPEG, TIFF, BMP or DICOM file
as base64 text (or as bytes), or a (height, width) array or nested list of grey levels. Paths are refused unless the
environment of the server or the loading program names a folder of films; then `file:<path>` opens files below it.
Optional columns: `facing` (left, right, none, unknown), `spacing_x_mm` and `spacing_y_mm`, `pixel_aspect` (width of a
pixel over its height, or unknown for a film stretched by an unknown amount).
"""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

from spondylo_ml.data.decode import FilmDetails, open_array, open_bytes, open_file
from spondylo_ml.data.film_pixels import LIMITS
from spondylo_ml.errors import DataError, unknown_name
from spondylo_ml.landmarks import Facing, Film
from spondylo_ml.nan import is_absent
from spondylo_ml.serving.bundle import bundle_digest, load_bundle
from spondylo_ml.serving.film_model import FilmModel, FilmSource
from spondylo_ml.serving.film_result import COLUMNS
from spondylo_ml.serving.http_requests import replace_mlflow_answer
from spondylo_ml.serving.registered import require_as_registered
from spondylo_ml.serving.spark_rows import in_spark_task, without_none
from spondylo_ml.spacing import Spacing, parse_pixel_aspect

IMAGE_COLUMN = "image"
SPACING_COLUMNS = ("spacing_x_mm", "spacing_y_mm")
OPTIONAL_COLUMNS = ("facing", *SPACING_COLUMNS, "pixel_aspect")
BUNDLE = "bundle"
LOGGED_DIGEST = "bundle_digest.txt"
"""File beside the bundle: SHA-256 of the bundle's manifest, as logged. Models logged before have it as `DIGEST`."""

DIGEST = "digest"
"""Key of the `model_config`: SHA-256 that the caller expects in place of the logged one."""

FILMS_BELOW, FILMS_BELOW_VARIABLE = "films_below", "SPONDYLO_FILMS_BELOW"
"""Key of the `model_config` and environment variable that name the folder below which paths may be opened."""

FILE_PREFIX = "file:"


class LandmarkPyfunc(PythonModel):
    """One row of results per film, in order, with the columns `film_result.COLUMNS`.

    A film that cannot be read has the reason in `error` and None elsewhere, in a task of Spark `INSTEAD_OF_NONE`. A
    request that is not a table of films is refused as a whole.
    """

    def load_context(self, context: Any) -> None:
        """Load the bundle that was logged with this code; in a scoring server, also replace MLflow's error answers.

        Raises:
            DataError: its files are not those that were logged, or not those of the registered version.
        """
        folder = Path(context.artifacts[BUNDLE])
        bundle = load_bundle(folder, _expected_digest(context))
        require_as_registered(folder, bundle_digest(folder))
        self._model = FilmModel(bundle, f"{bundle.config.model.name}, digest {bundle_digest(folder)[:12]}")
        below = (context.model_config or {}).get(FILMS_BELOW) or os.environ.get(FILMS_BELOW_VARIABLE)
        self._films_below = Path(below).expanduser().resolve() if below else None
        replace_mlflow_answer(_require_films)

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """One row per film, in order.

        Raises:
            MlflowException: wrong columns, or no film at all; a server answers with status 400.
        """
        _require_films(model_input)
        records = model_input.to_dict("records")
        sources = [_source(number, record, self._films_below) for number, record in enumerate(records)]
        rows = [result.to_row() for result in self._model.results(sources)]
        if in_spark_task():
            rows = [without_none(row) for row in rows]
        return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def _expected_digest(context: Any) -> str | None:
    """SHA-256 that the caller expects of the bundle, otherwise the logged one."""
    named = (context.model_config or {}).get(DIGEST)
    if named or LOGGED_DIGEST not in context.artifacts:
        return named or None
    return Path(context.artifacts[LOGGED_DIGEST]).read_text(encoding="utf-8").strip()


def _require_films(table: object) -> None:
    if not isinstance(table, pd.DataFrame) or IMAGE_COLUMN not in table.columns:
        content = list(table.columns) if isinstance(table, pd.DataFrame) else type(table).__name__
        raise _refused(f"a table with the column {IMAGE_COLUMN!r} is needed; given {content}")
    for name in table.columns:
        if name not in (IMAGE_COLUMN, *OPTIONAL_COLUMNS):
            raise _refused(unknown_name("column", str(name)[:100], (IMAGE_COLUMN, *OPTIONAL_COLUMNS)))
    if table.empty:
        raise _refused("the request holds no film")


def _refused(reason: str) -> MlflowException:
    return MlflowException(reason, error_code=INVALID_PARAMETER_VALUE)


def _source(number: int, record: Mapping[Any, Any], below: Path | None) -> FilmSource:
    return FilmSource(f"film-{number}", lambda: _opened(f"film-{number}", record, below))


def _opened(film_id: str, record: Mapping[Any, Any], below: Path | None) -> Film:
    cell, details = record[IMAGE_COLUMN], _details(record)
    if isinstance(cell, bytes):
        return open_bytes(cell, film_id, details)
    if isinstance(cell, str):
        if cell.startswith(FILE_PREFIX):
            return open_file(_allowed(cell.removeprefix(FILE_PREFIX), below), film_id, details)
        return open_bytes(_decoded(cell), film_id, details)
    if isinstance(cell, list | np.ndarray):
        return open_array(_array(cell), film_id, details)
    if is_absent(cell):
        raise DataError(f"the row has nothing in {IMAGE_COLUMN}")
    raise DataError(
        f"{IMAGE_COLUMN} holds a {type(cell).__name__}: base64 text of an image or DICOM file, or a "
        "(height, width) array is needed"
    )


def _decoded(text: str) -> bytes:
    # MIME, PEM and the command base64 insert line breaks.
    compact = "".join(text.split())
    if len(compact) > LIMITS.max_bytes * 4 / 3 + 4:
        raise DataError(f"more base64 text than the {LIMITS.max_bytes / 2**20:g} MiB of the largest film that is read")
    try:
        return base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise DataError("the text is not base64; a path is not opened unless it is written file:<path>") from None


def _array(cell: Any) -> np.ndarray[Any, Any]:
    """The cell as an array; nested rows become two axes."""
    try:
        return np.array(list(cell)) if isinstance(cell, np.ndarray) and cell.dtype == object else np.asarray(cell)
    except ValueError:
        raise DataError("the rows of the array differ in length") from None


def _allowed(path: str, below: Path | None) -> Path:
    """The path, if paths are enabled and it lies below their folder."""
    if below is None:
        raise DataError(
            f"paths are not opened here: send the film's bytes as base64. Whoever runs the server may allow a folder "
            f"with {FILMS_BELOW_VARIABLE}=<folder>"
        )
    resolved = (below / path.removeprefix("//")).resolve()
    if not resolved.is_relative_to(below):
        raise DataError("the path lies outside the folder from which films are read here")
    return resolved


def _details(record: Mapping[Any, Any]) -> FilmDetails:
    facing = record.get("facing")
    if is_absent(facing) or facing == "":
        facing = Facing.UNKNOWN
    if facing not in list(Facing):
        raise DataError(f"facing must be one of {', '.join(Facing)}")
    x_y = [record.get(name) for name in SPACING_COLUMNS]
    present = [not is_absent(value) for value in x_y]
    if any(present) and not all(present):
        raise DataError("spacing_x_mm and spacing_y_mm must be given together or not at all")
    try:
        spacing = Spacing(float(str(x_y[0])), float(str(x_y[1])), "given with the request") if all(present) else None
    except ValueError:
        raise DataError("spacing_x_mm and spacing_y_mm are numbers, in mm") from None
    return FilmDetails(Facing(facing), spacing, parse_pixel_aspect(record.get("pixel_aspect")))
