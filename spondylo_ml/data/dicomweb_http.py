"""HTTP to a DICOMweb server: limits of its answers, credentials of the environment, and errors that quote nothing."""

from __future__ import annotations

import ipaddress
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, ReadTimeoutError

from spondylo_ml.data.film_pixels import LIMITS as FILM_LIMITS
from spondylo_ml.errors import ConfigError, DataError

Result = TypeVar("Result")

USER, PASSWORD, TOKEN = "SPONDYLO_DICOMWEB_USER", "SPONDYLO_DICOMWEB_PASSWORD", "SPONDYLO_DICOMWEB_TOKEN"
"""Environment variables of the credentials: name and password, or a bearer token."""

MAX_ANSWER_BYTES = FILM_LIMITS.max_bytes + (1 << 20)
"""Of one answer: a film of the largest size that is read, and what surrounds it."""

MAX_FILM_BYTES = 4 << 30
"""Of all films of one command, which are kept on the disk meanwhile."""


@dataclass(frozen=True)
class ServerLimits:
    """What a server may send, and how long it may take.

    Attributes:
        answer_bytes: of one answer, unpacked.
        film_bytes: of all films together.
        silence_s: until a connection is made, and between two pieces of an answer.
        answer_s: until an answer is complete; a server could send it byte by byte.
        unanswered: films one after the other without an answer, after which no other is asked for.
    """

    answer_bytes: int = MAX_ANSWER_BYTES
    film_bytes: int = MAX_FILM_BYTES
    silence_s: float = 60
    answer_s: float = 600
    unanswered: int = 3


LIMITS = ServerLimits()


class NoAnswerError(DataError):
    """The server cannot be reached or takes too long."""


class _SlowError(Exception):
    """An answer takes too long."""


def answer(ask: Callable[[], Result], what: str) -> Result:
    """What the server answers, or `DataError`; `what` completes "did not".

    The messages of the libraries quote the server, so only their type is kept.
    """
    try:
        return ask()
    except DataError:
        raise
    except (requests.Timeout, _SlowError):
        raise NoAnswerError(f"the server did not {what} in time") from None
    except requests.HTTPError as error:
        status = getattr(error.response, "status_code", "unknown")
        hint = f": set {USER} and {PASSWORD}, or {TOKEN}" if status in (401, 403) else ""
        raise DataError(f"the server did not {what} (status {status}){hint}") from None
    except requests.RequestException as error:
        raise NoAnswerError(f"the server did not {what}: it cannot be reached ({type(error).__name__})") from None
    except HTTPError as error:
        raise NoAnswerError(f"the server did not {what}: its answer breaks off ({type(error).__name__})") from None
    except Exception as error:
        raise DataError(f"the server did not {what} as the standard says ({type(error).__name__})") from None


class Credentials(requests.auth.AuthBase):
    """Adds the credentials of the environment to each request; read then, so that no object keeps them."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if bool(os.environ.get(USER)) != bool(os.environ.get(PASSWORD)):
            raise ConfigError(f"{USER} and {PASSWORD} belong together: set both, or {TOKEN} alone")
        if _given() and parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
            raise ConfigError("credentials are not sent over http, where anyone can read them: give the https URL")

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if token := os.environ.get(TOKEN):
            request.headers["Authorization"] = f"Bearer {token}"
        elif user := os.environ.get(USER):
            requests.auth.HTTPBasicAuth(user, os.environ.get(PASSWORD, ""))(request)
        return request


def _given() -> bool:
    return any(os.environ.get(name) for name in (USER, TOKEN))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class LimitedAdapter(HTTPAdapter):
    """Stops an answer that is too long, compressed ones included, or too slow, before it fills the memory."""

    def __init__(self, limits: ServerLimits) -> None:
        self._limits = limits
        super().__init__()

    def send(self, *arguments: Any, **options: Any) -> requests.Response:
        """See `HTTPAdapter`; the body is read here."""
        until = time.monotonic() + self._limits.answer_s
        response = super().send(*arguments, **{**options, "stream": True})
        body = bytearray()
        try:
            # read1 returns what has come; read would wait until the whole piece is there, however slowly it comes.
            while piece := response.raw.read1(1 << 16, decode_content=True):
                body += piece
                if len(body) > self._limits.answer_bytes:
                    raise DataError(
                        f"an answer of more than the {self._limits.answer_bytes / 2**20:.0f} MiB that are read"
                    )
                if time.monotonic() > until:
                    raise _SlowError
        except BaseException as error:
            response.close()
            if isinstance(error, ReadTimeoutError):
                raise _SlowError from None
            raise
        response._content = bytes(body)
        return response
