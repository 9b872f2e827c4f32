"""Parse requests to a scoring server: a table of films for the model, or a clear error.

`mlflow models serve` has no hook between a request and the model. MLflow 3.17.2 answers 500 to a body without a content
type, to deeply nested JSON and to huge numbers; repeats the whole body in its errors; puts tracebacks with paths of the
machine into its answers to CSV and Parquet; and drops unknown columns. Therefore the function that answers
`/invocations` is replaced when the model is loaded, only in the process of that server.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from io import StringIO
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse
from mlflow.types import DataType

log = logging.getLogger(__name__)

SERVER = "mlflow.pyfunc.scoring_server.app"
"""Module that only the server process imports; it loads the model."""

MAX_BODY_BYTES = 128 << 20
MAX_FILMS = 128
MAX_COLUMNS = 16
"""More than a table of films has; a wrong name among fewer is answered with the nearest right one."""

MAX_MESSAGE_CHARACTERS = 1000
"""Length of an error message, since MLflow's messages may quote the request."""

JSON = "application/json"
TABLES = ("dataframe_records", "dataframe_split")
EXAMPLE = '{"dataframe_records": [{"image": "<base64 of the film\'s bytes>"}]}'

Check = Callable[[object], None]


def replace_mlflow_answer(check: Check) -> bool:
    """Answer `/invocations` with `answer` if this process is MLflow's scoring server, and return whether it is.

    Args:
        check: raises MlflowException for a table that is not one of films. The model cannot check that itself, since
            MLflow passes on only the columns of the signature.
    """
    if SERVER not in sys.modules:
        return False
    if not hasattr(scoring_server, "invocations"):
        log.warning("this version of MLflow handles requests differently: MLflow itself answers bad requests")
        return False

    def invocations(data: bytes, content_type: str | None, model: Any, input_schema: Any) -> InvocationsResponse:
        return answer(data, content_type, model, input_schema, check)

    scoring_server.invocations = invocations
    return True


def answer(data: bytes, content_type: str | None, model: Any, input_schema: Any, check: Check) -> InvocationsResponse:
    """The answer to one request: one row per film with status 200, or an error.

    400 if the body is not a table of films, 413 if it is too large, 415 for another content type, 500 if the model
    fails. No answer quotes the body at length or names files and code.
    """
    if refusal := _reason_against_type(content_type):
        return _refused("UNSUPPORTED_MEDIA_TYPE", refusal, 415)
    if len(data) > MAX_BODY_BYTES:
        return _too_large(f"{len(data) / 2**20:.1f} MiB", f"{MAX_BODY_BYTES / 2**20:g} MiB")
    try:
        tree = parse_json(data)
        require_plain_names(tree)
        require_numbers(tree, input_schema)
        n_films, n_columns = table_size(tree)
        if n_films > MAX_FILMS:
            return _too_large(f"{n_films} films", f"{MAX_FILMS} films")
        if n_columns > MAX_COLUMNS:
            return _too_large(f"{n_columns} columns", f"{MAX_COLUMNS} columns")
        table = parse_table(tree, input_schema)
        check(table)
        if len(table) > MAX_FILMS:  # columns that name their rows differently
            return _too_large(f"{len(table)} films", f"{MAX_FILMS} films")
        predictions = model.predict(table)
    except MlflowException as error:
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]
        return _refused(error.error_code, error.message, status)
    except Exception as error:
        # Message and traceback may contain paths, so they only go to the server's log.
        log.exception("a request could not be answered")
        return _refused("INTERNAL_ERROR", f"the model failed ({type(error).__name__}): the server's log says why", 500)
    stream = StringIO()
    scoring_server.predictions_to_json(predictions, stream)  # type: ignore[no-untyped-call]
    return InvocationsResponse(stream.getvalue(), 200, JSON)


def parse_json(data: bytes) -> dict[str, Any]:
    """The body of a request: one table in one of the forms `TABLES`.

    Raises:
        MlflowException: not JSON, or not one table.
    """
    try:
        tree = json.loads(data, object_pairs_hook=_different_names)
    except MlflowException:
        raise
    except (ValueError, RecursionError) as error:
        # Only the type of the error, since its message quotes the whole body.
        raise _bad_request(f"the body cannot be read as JSON ({type(error).__name__})") from None
    if not isinstance(tree, dict) or len(tree) != 1 or not tree.keys() <= set(TABLES):
        content = ", ".join(sorted(tree)) or "nothing" if isinstance(tree, dict) else f"a JSON {type(tree).__name__}"
        raise _bad_request(f"the body holds one table as {' or '.join(TABLES)}; given {content[:200]}")
    return tree


def _different_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, in which no name occurs twice: the last value would replace the others."""
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _bad_request("an object of the body has a name twice")
    return values


def require_plain_names(tree: Mapping[str, Any]) -> None:
    """Refuse lists and objects where a table names its columns and rows.

    pandas takes lists of lists for names of several levels, and the keys of an object for names: a request of a few KB
    with n columns and n rows named like that gets n x n cells, which `table_size` cannot count.

    Raises:
        MlflowException: `columns` or `index` of `dataframe_split` is an object, or a list of lists or objects; or a
            name of a column occurs twice.
    """
    table = tree.get("dataframe_split")
    if not isinstance(table, dict):
        return
    for part in ("columns", "index"):
        names = table.get(part)
        if isinstance(names, dict) or (
            isinstance(names, list) and any(isinstance(name, list | dict) for name in names)
        ):
            raise _bad_request(f"{part} of dataframe_split is a list of plain names; given lists or objects")
    columns = table.get("columns")
    if isinstance(columns, list) and len(set(map(str, columns))) < len(columns):
        raise _bad_request("columns of dataframe_split has a name twice")


def require_numbers(tree: Mapping[str, Any], input_schema: Any) -> None:
    """Refuse true and false in columns of numbers, where MLflow reads them as 1 and 0.

    Raises:
        MlflowException: a cell of such a column is true or false.
    """
    ((form, table),) = tree.items()
    numeric = {column.name for column in input_schema if column.type in (DataType.double, DataType.float)}
    for name in sorted(numeric):
        if any(isinstance(cell, bool) for cell in _cells(form, table, name)):
            raise _bad_request(f"{name} is a number; given true or false")


def _cells(form: str, table: object, name: str) -> list[Any]:
    """The cells of a column, in whatever form of a table; none of what MLflow refuses to read."""
    if form == "dataframe_split" and isinstance(table, dict):
        columns, rows = table.get("columns"), table.get("data")
        if isinstance(rows, dict):
            return _values(rows.get(name))
        if not isinstance(columns, list) or name not in columns or not isinstance(rows, list):
            return []
        at = columns.index(name)
        return [row[at] for row in rows if isinstance(row, list) and len(row) > at]
    if isinstance(table, dict):
        return _values(table.get(name))
    return [row.get(name) for row in table if isinstance(row, dict)] if isinstance(table, list) else []


def _values(column: object) -> list[Any]:
    return list(column.values()) if isinstance(column, dict) else column if isinstance(column, list) else [column]


def table_size(tree: Mapping[str, Any]) -> tuple[int, int]:
    """Number of rows and columns of a table at least; 0 for what MLflow refuses to read.

    They are counted before pandas sees the table, since it makes a cell for each row and column: 20,000 rows, each with
    a column of its own, take 240 KB as JSON and gigabytes as a table.
    """
    ((form, table),) = tree.items()
    if form == "dataframe_split" and isinstance(table, dict):
        rows = table.get("data")
        return max(map(_length, (rows, table.get("index")))), max(_length(table.get("columns")), _n_columns(rows))
    return _length(table), _n_columns(table)


def _n_columns(rows: object) -> int:
    """Number of different names in records, or the length of the longest row of cells."""
    if isinstance(rows, dict):  # pandas takes each key for a column
        return len(rows)
    listed = rows if isinstance(rows, list) else []
    names = {name for row in listed if isinstance(row, dict) for name in row}
    return max([len(names), *(len(row) for row in listed if isinstance(row, list))])


def _length(part: object) -> int:
    if isinstance(part, dict):  # columns of pandas: the rows are their content
        return max(map(_length, part.values()), default=0)
    return len(part) if isinstance(part, list) else 0


def parse_table(tree: Mapping[str, Any], input_schema: Any) -> pd.DataFrame:
    """The table of a request, with columns of the types in the schema.

    Raises:
        MlflowException: not a table, or values of a wrong type.
    """
    try:
        table: pd.DataFrame = scoring_server.infer_and_parse_data(tree, input_schema)
    except MlflowException:
        raise
    except Exception as error:
        raise _bad_request(f"the table cannot be read ({type(error).__name__})") from None
    return table


def _reason_against_type(content_type: str | None) -> str:
    """Why the content type is refused; empty if it is not.

    Parquet and CSV are refused: a small Parquet file can expand to any size, and CSV cannot hold a film.
    """
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if name != JSON or set(parameters) - {"", "charset=utf-8", 'charset="utf-8"'}:
        return f"the content type must be {JSON} in UTF-8; given {(content_type or 'none')[:100]}"
    return ""


def _bad_request(reason: str) -> MlflowException:
    return MlflowException(f"{reason}. A request is, for example, {EXAMPLE}", error_code=BAD_REQUEST)


def _too_large(size: str, limit: str) -> InvocationsResponse:
    return _refused("CONTENT_TOO_LARGE", f"a request of {size}: at most {limit} are read, send fewer at once", 413)


def _refused(code: str, message: str, status: int) -> InvocationsResponse:
    text = message if len(message) <= MAX_MESSAGE_CHARACTERS else f"{message[:MAX_MESSAGE_CHARACTERS]} ..."
    return InvocationsResponse(json.dumps({"error_code": code, "message": text}), status, JSON)
