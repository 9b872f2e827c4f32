"""Films from a DICOMweb server and objects back to it, with a real Orthanc and with a hostile server."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from dicoms import PATIENT, dataset, file_bytes, gradient, study_film
from pydicom import dcmread
from servers import orthanc

from spondylo_ml.data.dicom import decode_dicom
from spondylo_ml.data.dicomweb import DicomwebServer, checked_url
from spondylo_ml.data.dicomweb_http import LIMITS, PASSWORD, TOKEN, USER, ServerLimits
from spondylo_ml.errors import ConfigError, DataError

pytest.importorskip("dicomweb_client", reason="dicomweb-client is not installed: pip install 'spondylo_ml[dicom]'")

SECRET = "s3cret-word"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An empty Orthanc with DICOMweb; its URL."""
    with orthanc(tmp_path_factory.mktemp("orthanc"), "reader", SECRET) as url:
        yield url


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(USER, "reader")
    monkeypatch.setenv(PASSWORD, SECRET)


@pytest.mark.usefixtures("credentials")
def test_films_are_stored_and_retrieved_as_they_are(archive: str, tmp_path: Path) -> None:
    films = [study_film(gradient((64, 96))) for _ in range(2)]
    report = study_film(gradient((64, 96)), Modality="SR")
    for film in (*films, report):
        film.StudyInstanceUID = films[0].StudyInstanceUID
        file_bytes(film)  # gives it the information of a file
    server = DicomwebServer(f"dicomweb:{archive}")
    server.store([*films, report])
    retrieved = server.retrieve([films[0].StudyInstanceUID], tmp_path)
    assert sorted(path.stem for path in retrieved.files) == sorted(film.SOPInstanceUID for film in films)
    assert (retrieved.failed, retrieved.skipped) == ((), (report.SOPInstanceUID,))
    for film in films:
        after = (tmp_path / f"{film.SOPInstanceUID}.dcm").read_bytes()
        header = dcmread(tmp_path / f"{film.SOPInstanceUID}.dcm")
        assert {name: str(header[name].value) for name in PATIENT} == PATIENT
        shown = [decode_dicom(data, "film", 1_000_000).pixels for data in (after, file_bytes(film))]
        assert (shown[0] == shown[1]).all()
    with pytest.raises(DataError, match=r"the server has no study 1\.2\.3"):
        server.retrieve(["1.2.3"], tmp_path)
    with pytest.raises(DataError, match="a UID has digits and dots"):
        server.retrieve(["the study"], tmp_path)


def test_without_or_with_wrong_credentials_there_is_a_hint_and_no_password(
    archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(USER, raising=False)
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(DataError, match=rf"did not list the study \(status 401\): set {USER} and {PASSWORD}"):
        DicomwebServer(f"dicomweb:{archive}").retrieve(["1.2.3"], tmp_path)
    monkeypatch.setenv(USER, "reader")
    monkeypatch.setenv(PASSWORD, "wrong-word")
    with pytest.raises(DataError, match="status 401") as raised:
        DicomwebServer(f"dicomweb:{archive}").retrieve(["1.2.3"], tmp_path)
    assert "wrong-word" not in str(raised.value)


def test_urls_and_credentials_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked_url("dicomweb:https://host:8042/dicom-web/") == "https://host:8042/dicom-web"
    for url in ("dicomweb:", "dicomweb:ftp://host", "dicomweb:https://", "dicomweb:https://host:99999"):
        with pytest.raises(ConfigError, match=r"dicomweb: is followed by the http\(s\) URL"):
            checked_url(url)
    with pytest.raises(ConfigError, match="has no name, password or query") as raised:
        checked_url(f"dicomweb:https://reader:{SECRET}@host/dicom-web")
    assert SECRET not in str(raised.value)
    monkeypatch.setenv(USER, "reader")
    monkeypatch.delenv(PASSWORD, raising=False)
    with pytest.raises(ConfigError, match="belong together"):
        DicomwebServer("dicomweb:https://host")
    monkeypatch.setenv(PASSWORD, SECRET)
    with pytest.raises(ConfigError, match="credentials are not sent over http"):
        DicomwebServer("dicomweb:http://archive.example")
    DicomwebServer("dicomweb:http://localhost:1")


class Hostile(BaseHTTPRequestHandler):
    """Answers with what the test has put in `entries` and `film`."""

    entries: ClassVar[Any] = []
    film = b""
    status = 200
    at_a_time = 0
    stuck = ""
    """What does not come: `list` or `film` at all, `rest` of a film, or the film in one piece (`drip`)."""
    seen: ClassVar[list[str]] = []
    asked_for: ClassVar[list[str]] = []
    over: ClassVar[threading.Event] = threading.Event()

    def do_GET(self) -> None:
        """One answer for any path."""
        Hostile.seen.append(self.headers.get("Authorization", ""))
        what = "film" if "/series/" in self.path else "list"
        Hostile.asked_for.append(what)
        if self.stuck == what:
            self.over.wait()
            return
        if what == "film":
            head = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
            kind, body = 'multipart/related; type="application/dicom"; boundary=x', head + self.film + b"\r\n--x--"
        else:
            start = int(parse_qs(urlsplit(self.path).query).get("offset", ["0"])[0])
            entries = self.entries[start : start + self.at_a_time] if self.at_a_time else self.entries
            kind, body = "application/dicom+json", json.dumps(entries).encode()
        self.send_response(self.status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.stuck in ("rest", "drip") and what == "film":
            self.wfile.write(body[: len(body) // 2])
            while self.stuck == "drip" and not self.over.wait(0.02):
                self.wfile.write(b"x")
            return
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture
def hostile(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    for name, value in (("entries", []), ("film", b""), ("status", 200), ("at_a_time", 0), ("stuck", ""), ("seen", []),
                        ("asked_for", []), ("over", threading.Event())):  # fmt: skip
        monkeypatch.setattr(Hostile, name, value)
    yield f"dicomweb:http://127.0.0.1:{server.server_address[1]}"
    Hostile.over.set()
    server.shutdown()
    thread.join()
    server.server_close()


def entry(instance: str, series: str = "1.2", modality: str = "DX") -> dict[str, Any]:
    return {
        tag: {"Value": [value]} for tag, value in (("0020000E", series), ("00080018", instance), ("00080060", modality))
    }


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([entry("../../etc/passwd")], "a UID has digits and dots"),
        ([entry("1." + "2" * 80)], "a UID has digits and dots"),
        ([entry(f"1.{index}") for index in range(201)], "has more than the 200 objects"),
        ([{}], "a UID has digits and dots"),
        ({"00080018": 1}, "a UID has digits and dots|as the standard says"),
        ([entry("1.2")] * 20000, "an answer of more than the 1 MiB that are read"),
    ],
)
def test_what_a_hostile_server_lists_is_refused(hostile: str, tmp_path: Path, entries: Any, message: str) -> None:
    Hostile.entries = entries
    with pytest.raises(DataError, match=message):
        DicomwebServer(hostile, replace(LIMITS, answer_bytes=1 << 20)).retrieve(["1.2"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_lists_a_few_at_a_time_is_asked_for_the_rest(hostile: str, tmp_path: Path) -> None:
    Hostile.entries, Hostile.at_a_time = [entry(f"1.{index}", modality="SR") for index in range(1, 8)], 3
    retrieved = DicomwebServer(hostile).retrieve(["1.2", "1.2"], tmp_path)
    assert retrieved.skipped == tuple(f"1.{index}" for index in range(1, 8))


def test_a_film_that_is_too_long_broken_or_another_one_is_a_failure(hostile: str, tmp_path: Path) -> None:
    server = DicomwebServer(hostile, replace(LIMITS, answer_bytes=1 << 16))
    Hostile.entries = [entry("1.2.3")]
    reasons = []
    for film in (bytes(1 << 17), b"nothing", file_bytes(dataset(gradient()))):
        Hostile.film = film
        retrieved = server.retrieve(["1.2"], tmp_path)
        assert retrieved.files == ()
        ((uid, reason),) = retrieved.failed
        assert uid == "1.2.3"
        reasons.append(reason)
    assert "an answer of more than" in reasons[0]
    assert "did not send the film as the standard says" in reasons[1]
    assert reasons[2] == "the server has sent another object than the one asked for"
    assert list(tmp_path.iterdir()) == []


def test_redirections_are_not_followed_and_a_token_is_sent(
    hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN, SECRET)
    Hostile.status = 302
    with pytest.raises(DataError, match=r"did not list the study: it cannot be reached"):
        DicomwebServer(hostile).retrieve(["1.2"], tmp_path)
    assert Hostile.seen == [f"Bearer {SECRET}"]


QUICK = ServerLimits(silence_s=0.2, answer_s=0.3, unanswered=2)


def film_bytes_of(instance: str) -> bytes:
    film = dataset(gradient())
    film.SOPInstanceUID = instance
    return file_bytes(film)


def test_a_server_that_does_not_answer_ends_the_command(hostile: str, tmp_path: Path) -> None:
    Hostile.stuck = "list"
    with pytest.raises(DataError, match="the server did not list the study in time"):
        DicomwebServer(hostile, QUICK).retrieve(["1.2"], tmp_path)


@pytest.mark.parametrize(
    ("stuck", "reason"),
    [("film", "did not send the film in time"), ("drip", "did not send the film in time"),
     ("rest", r"did not send the film: its answer breaks off \(ProtocolError\)")],
)  # fmt: skip
def test_films_that_do_not_come_are_failures_and_no_others_are_asked_for(
    hostile: str, tmp_path: Path, stuck: str, reason: str
) -> None:
    Hostile.stuck, Hostile.film = stuck, film_bytes_of("1.1")
    Hostile.entries = [entry(f"1.{index}") for index in (1, 2, 3, 4)]
    retrieved = DicomwebServer(hostile, QUICK).retrieve(["1.2"], tmp_path)
    assert (retrieved.files, list(tmp_path.iterdir())) == ((), [])
    reasons = [why for _, why in retrieved.failed]
    assert all(re.search(reason, why) for why in reasons[:2])
    assert reasons[2:] == ["not asked for: the server left 2 films unanswered"] * 2
    assert Hostile.asked_for.count("film") == 2


def test_more_films_than_are_read_at_once_leave_nothing(hostile: str, tmp_path: Path) -> None:
    Hostile.entries, Hostile.film = [entry("1.1")], film_bytes_of("1.1")
    size = len(film_bytes_of("1.1"))
    (film,) = DicomwebServer(hostile, ServerLimits(film_bytes=size)).retrieve(["1.2"], tmp_path).files
    film.unlink()
    with pytest.raises(DataError, match=r"more than the 0 MiB of films that are read at once: give fewer studies"):
        DicomwebServer(hostile, ServerLimits(film_bytes=size - 1)).retrieve(["1.2"], tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_film_that_cannot_be_kept_is_said_and_nothing_is_left(hostile: str, tmp_path: Path) -> None:
    Hostile.entries, Hostile.film = [entry("1.1")], film_bytes_of("1.1")
    with pytest.raises(DataError, match="cannot be kept in the temporary folder: No such file or directory"):
        DicomwebServer(hostile).retrieve(["1.2"], tmp_path / "missing")
