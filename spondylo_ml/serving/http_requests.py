"""What a scoring server makes of a request: a table of films for the model, or a plain refusal.

`mlflow models serve` has no hook between a request and the model, and MLflow 3.17.2's own reading of one answers 500
to a body without a content type, to deeply nested JSON and to huge numbers; gives the whole body back in its refusal;
writes tracebacks with the machine's paths into its answers to CSV and Parquet; and drops columns that it does not know.
So the function that answers `/invocations` is replaced while the model loads, in the process of that server alone.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from io import StringIO
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc import scoring_server
from mlflow.pyfunc.scoring_server import InvocationsResponse

log = logging.getLogger(__name__)

SERVER = "mlflow.pyfunc.scoring_server.app"
"""Imported by the server's process and by no other; it loads the model."""

MAX_BODY_BYTES = 128 << 20
MAX_FILMS = 128
MAX_MESSAGE_CHARACTERS = 1000
"""Of a refusal: MLflow's messages may quote what was sent."""

JSON = "application/json"
TABLES = ("dataframe_records", "dataframe_split")
EXAMPLE = '{"dataframe_records": [{"image": "<base64 of the film\'s bytes>"}]}'

Check = Callable[[object], None]


def replace_mlflows_answer(check: Check) -> bool:
    """Answer `/invocations` by `answer` where this process is MLflow's scoring server; whether it is.

    Args:
        check: raises MlflowException for a table that is no table of films. MLflow hands on only the columns of the
            signature, so that the model itself never sees what it would refuse.
    """
    if SERVER not in sys.modules:
        return False
    if not hasattr(scoring_server, "invocations"):
        log.warning("this version of MLflow reads requests by another way: its own answers to bad ones are given")
        return False

    def invocations(data: bytes, content_type: str | None, model: Any, input_schema: Any) -> InvocationsResponse:
        return answer(data, content_type, model, input_schema, check)

    scoring_server.invocations = invocations
    return True


def answer(data: bytes, content_type: str | None, model: Any, input_schema: Any, check: Check) -> InvocationsResponse:
    """The answer to one request: a row a film with status 200, or why there is none.

    400 for a body that is no table of films, 413 for one too large, 415 for another content type, 500 where the model
    itself fails. No answer quotes the body at length or names files and code.
    """
    if refusal := _reason_against_type(content_type):
        return _refused("UNSUPPORTED_MEDIA_TYPE", refusal, 415)
    if len(data) > MAX_BODY_BYTES:
        return _too_large(f"{len(data) / 2**20:.1f} MiB", f"{MAX_BODY_BYTES / 2**20:g} MiB")
    try:
        table = read_table(data, input_schema)
        check(table)
        if len(table) > MAX_FILMS:
            return _too_large(f"{len(table)} films", f"{MAX_FILMS} films")
        found = model.predict(table)
    except MlflowException as error:
        status = error.get_http_status_code()  # type: ignore[no-untyped-call]
        return _refused(error.error_code, error.message, status)
    except Exception as error:
        # Its words and its traceback may hold paths: they are for whoever runs the server.
        log.exception("a request could not be answered")
        return _refused("INTERNAL_ERROR", f"the model failed ({type(error).__name__}): the server's log says why", 500)
    stream = StringIO()
    scoring_server.predictions_to_json(found, stream)  # type: ignore[no-untyped-call]
    return InvocationsResponse(stream.getvalue(), 200, JSON)


def read_table(data: bytes, input_schema: Any) -> pd.DataFrame:
    """The table in the body of a request, its columns of the types that the schema names.

    Raises:
        MlflowException: no JSON, not one table in one of the forms `TABLES`, or values that are not of their type.
    """
    try:
        tree = json.loads(data)
    except (ValueError, RecursionError) as error:
        # Of a ValueError that the body caused only the type is given: it quotes the body whole.
        raise _bad_request(f"the body is no JSON that can be read ({type(error).__name__})") from None
    if not isinstance(tree, dict) or len(tree) != 1 or not tree.keys() <= set(TABLES):
        given = ", ".join(sorted(tree)) or "nothing" if isinstance(tree, dict) else f"a JSON {type(tree).__name__}"
        raise _bad_request(f"the body holds one table as {' or '.join(TABLES)}; given {given[:200]}")
    try:
        table: pd.DataFrame = scoring_server.infer_and_parse_data(tree, input_schema)
    except MlflowException:
        raise
    except Exception as error:
        raise _bad_request(f"the table cannot be read ({type(error).__name__})") from None
    return table


def _reason_against_type(content_type: str | None) -> str:
    """Parquet and CSV are not read: a small file of the one can unfold to any size, the other holds no film whole."""
    name, *parameters = (part.strip().lower() for part in (content_type or "").split(";"))
    if name != JSON or set(parameters) - {"", "charset=utf-8", 'charset="utf-8"'}:
        return f"the content type must be {JSON} in UTF-8; given {(content_type or 'none')[:100]}"
    return ""


def _bad_request(reason: str) -> MlflowException:
    return MlflowException(f"{reason}. A request is, for example, {EXAMPLE}", error_code=BAD_REQUEST)


def _too_large(given: str, most: str) -> InvocationsResponse:
    return _refused("CONTENT_TOO_LARGE", f"a request of {given}: at most {most} are read, send fewer at once", 413)


def _refused(code: str, message: str, status: int) -> InvocationsResponse:
    shown = message if len(message) <= MAX_MESSAGE_CHARACTERS else f"{message[:MAX_MESSAGE_CHARACTERS]} ..."
    return InvocationsResponse(json.dumps({"error_code": code, "message": shown}), status, JSON)
