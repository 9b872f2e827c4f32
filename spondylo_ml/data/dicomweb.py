"""Films from a DICOMweb server, and results back to it: QIDO-RS, WADO-RS and STOW-RS (PS3.18) by dicomweb-client.

What the server sends is as little trusted as a file: the length of answers, the time they take and the number of
objects are limited, an object must be the one that was asked for, and redirections are not followed. Credentials are
read from the environment, sent to that server alone, and neither logged nor quoted.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests
from pydicom import Dataset, dcmread

from spondylo_ml.config.paths import SERVER
from spondylo_ml.data.dicomweb_http import (
    LIMITS,
    PASSWORD,
    TOKEN,
    USER,
    Credentials,
    LimitedAdapter,
    NoAnswerError,
    ServerLimits,
    answer,
)
from spondylo_ml.errors import ConfigError, DataError, NamedFilmsError

if TYPE_CHECKING:
    from dicomweb_client.web import DICOMwebClient

MAX_OBJECTS_A_STUDY = 200
UID = re.compile(r"[0-9]+(\.[0-9]+)*")
LONGEST_UID = 64
SERIES_TAG, INSTANCE_TAG, MODALITY_TAG = "0020000E", "00080018", "00080060"
NOT_FILMS = ("SR", "PR", "KO", "SEG", "DOC", "REG", "RTSTRUCT", "RTPLAN", "AU", "ECG")
"""Modalities of objects without a film."""


@dataclass(frozen=True)
class Retrieved:
    """The films of studies.

    Attributes:
        files: the films that were retrieved.
        failed: SOP instance UIDs of films that could not be retrieved, each with the reason.
        skipped: SOP instance UIDs of other objects in the studies, such as reports.
    """

    files: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...]
    skipped: tuple[str, ...]


def require_installed() -> None:
    """Raise `ConfigError` if dicomweb-client, an optional package, is missing."""
    if find_spec("dicomweb_client") is None:
        raise ConfigError(
            "dicomweb needs dicomweb-client: pip install 'spondylo_ml[dicom]', or in a clone pip install -e '.[dicom]'"
        )


class DicomwebServer:
    """A server by its address, `dicomweb:<url>`, with the credentials of the environment."""

    def __init__(self, address: str, limits: ServerLimits = LIMITS) -> None:
        """Raises `ConfigError` for a URL or credentials that cannot be used. Nothing is sent yet."""
        require_installed()
        from dicomweb_client.web import DICOMwebClient

        url = checked_url(address)
        session = requests.Session()
        session.max_redirects = 0
        session.auth = Credentials(url)
        for scheme in ("http://", "https://"):
            session.mount(scheme, LimitedAdapter(limits))
        logging.getLogger("dicomweb_client").setLevel(logging.CRITICAL)  # it logs what the server writes
        self._client: DICOMwebClient = DICOMwebClient(url, session=session, timeout=limits.silence_s)
        self._client.set_http_retry_params(retry=False)
        self._limits = limits

    def retrieve(self, studies: Sequence[str], folder: Path) -> Retrieved:
        """Write the films of studies to `folder`, named by their UIDs.

        Raises:
            DataError: the server cannot be reached, does not know a study, has more films than are read, or they cannot
                be written. Nothing is left in `folder` then.
        """
        films = _Films(folder, self._limits.film_bytes)
        failed, skipped = list[tuple[str, str]](), list[str]()
        unanswered = 0
        try:
            for study in dict.fromkeys(studies):
                for series, instance, modality in self._instances(study):
                    if modality in NOT_FILMS:
                        skipped.append(instance)
                        continue
                    if unanswered == self._limits.unanswered:
                        failed.append((instance, f"not asked for: the server left {unanswered} films unanswered"))
                        continue
                    try:
                        data = self._film(study, series, instance)
                        unanswered = 0
                    except DataError as error:
                        unanswered = unanswered + 1 if isinstance(error, NoAnswerError) else 0
                        failed.append((instance, str(error)))
                        continue
                    films.add(instance, data)
        except BaseException:
            films.remove()
            raise
        return Retrieved(tuple(films.files), tuple(failed), tuple(skipped))

    def store(self, instances: Sequence[Dataset]) -> None:
        """Store objects on the server; `DataError` if it takes one of them not."""
        for instance in instances:
            instance.preamble = bytes(128)  # STOW-RS sends files, and dicomweb-client adds none
        taken = answer(lambda: self._client.store_instances(list(instances)), "store the objects")
        refused = len(taken.get("FailedSOPSequence") or ())
        stored = len(taken.get("ReferencedSOPSequence") or ())
        if refused or stored != len(instances):
            raise DataError(f"the server has stored {stored} of {len(instances)} objects")

    def _instances(self, study: str) -> Iterator[tuple[str, str, str]]:
        """UIDs of series and instance, and the modality, of each object of a study."""
        require_uid(study)
        found: dict[str, tuple[str, str, str]] = {}
        while len(found) <= MAX_OBJECTS_A_STUDY:
            before = len(found)
            for entry in self._page(study, before):
                series, instance, modality = (_value(entry, tag) for tag in (SERIES_TAG, INSTANCE_TAG, MODALITY_TAG))
                require_uid(series)
                require_uid(instance)
                found[instance] = (series, instance, modality)
            if len(found) == before:
                break
        if not found:
            raise NamedFilmsError(f"the server has no study {study}", "the server has no such study")
        if len(found) > MAX_OBJECTS_A_STUDY:
            message = f"has more than the {MAX_OBJECTS_A_STUDY} objects that are read"
            raise NamedFilmsError(f"the study {study} {message}", f"a study {message}")
        yield from found.values()

    def _page(self, study: str, offset: int) -> list[dict[str, Any]]:
        """Objects of a study from `offset` on: a server may list fewer than it is asked for."""
        page: list[dict[str, Any]] = answer(
            lambda: self._client.search_for_instances(study, limit=MAX_OBJECTS_A_STUDY + 1, offset=offset),
            "list the study",
        )
        return page

    def _film(self, study: str, series: str, instance: str) -> bytes:
        def read() -> bytes:
            received = self._client.retrieve_instance(study, series, instance)
            stream = BytesIO()
            received.save_as(stream, enforce_file_format=True)
            return stream.getvalue()

        data = answer(read, "send the film")
        if answer(lambda: str(dcmread(BytesIO(data), specific_tags=["SOPInstanceUID"]).SOPInstanceUID), "") != instance:
            raise DataError("the server has sent another object than the one asked for")
        return data


def checked_url(address: str) -> str:
    """The URL of `dicomweb:<url>`; `ConfigError` if it is none, or holds a password."""
    url = address.removeprefix(SERVER).rstrip("/")
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError("dicomweb: is followed by the http(s) URL of a server, as in dicomweb:https://host/dicom-web")
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ConfigError(
            f"the URL of a DICOMweb server has no name, password or query, since it may be recorded: set {USER} and "
            f"{PASSWORD}, or {TOKEN}"
        )
    return url


def require_uid(text: str) -> None:
    """Raise `DataError` unless the text is a UID; it may become the name of a file."""
    if UID.fullmatch(text) is None or len(text) > LONGEST_UID:
        raise DataError("a UID has digits and dots, 64 at most: what was given, or what the server sent, is none")


def _value(entry: Any, tag: str) -> str:
    """The first value of an element in DICOM JSON; empty if there is none."""
    try:
        return str(entry[tag]["Value"][0])
    except (KeyError, IndexError, TypeError):
        return ""


class _Films:
    """The films that are kept in a folder."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.files: list[Path] = []
        self._folder, self._left, self._max_bytes = folder, max_bytes, max_bytes

    def add(self, instance: str, data: bytes) -> None:
        """Write a film; `DataError` if there is no room for it."""
        self._left -= len(data)
        if self._left < 0:
            raise DataError(
                f"the studies have more than the {self._max_bytes / 2**20:.0f} MiB of films that are read at once: "
                "give fewer studies"
            )
        path = self._folder / f"{instance}.dcm"
        self.files.append(path)
        try:
            path.write_bytes(data)
        except OSError as error:
            raise DataError(f"the films cannot be kept in the temporary folder: {error.strerror}") from None

    def remove(self) -> None:
        """Remove all films, written in part or not at all."""
        for path in self.files:
            path.unlink(missing_ok=True)
