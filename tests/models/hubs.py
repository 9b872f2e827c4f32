"""A model hub on this machine that answers well, badly, or not at all; a real server on a socket."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Hub"], None]


class Hub(BaseHTTPRequestHandler):
    """Describes one file in the way of Hugging Face's hub; how it sends the file is its server's `answer`."""

    def do_HEAD(self) -> None:
        """The file's name and size."""
        if self.server.answer is failing:  # type: ignore[attr-defined]
            failing(self)
        elif self.server.answers_head:  # type: ignore[attr-defined]
            self.headers_of_file()
        else:
            self.wait()

    def do_GET(self) -> None:
        """The file."""
        self.server.answer(self)  # type: ignore[attr-defined]

    @property
    def data(self) -> bytes:
        """The file's bytes."""
        return self.server.data  # type: ignore[attr-defined, no-any-return]

    def headers_of_file(self) -> None:
        """What comes before the bytes."""
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()

    def wait(self) -> None:
        """Say nothing until the server ends, with the connection open."""
        self.server.ended.wait()  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        """Nothing on the terminal."""


def whole(hub: Hub) -> None:
    """The file."""
    hub.headers_of_file()
    hub.wfile.write(hub.data)


def half_then_silent(hub: Hub) -> None:
    """Half of the file, then nothing."""
    hub.headers_of_file()
    hub.wfile.write(hub.data[: len(hub.data) // 2])
    hub.wfile.flush()
    hub.wait()


def a_byte_now_and_then(hub: Hub) -> None:
    """Every read of the client ends in time, and the file never does."""
    hub.headers_of_file()
    for byte in hub.data:
        hub.wfile.write(bytes([byte]))
        hub.wfile.flush()
        if hub.server.ended.wait(0.1):  # type: ignore[attr-defined]
            return


def half_then_gone(hub: Hub) -> None:
    """Half of the file, then the end of the connection."""
    hub.headers_of_file()
    hub.wfile.write(hub.data[: len(hub.data) // 2])


def failing(hub: Hub) -> None:
    """Status 500."""
    hub.send_error(500)


def silent(hub: Hub) -> None:
    """Nothing."""
    hub.wait()


@contextmanager
def hub(answer: Answer, data: bytes = bytes(400_000), answers_head: bool = True) -> Iterator[str]:
    """The address of a hub that sends its file so."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.answer, server.data, server.answers_head = answer, data, answers_head  # type: ignore[attr-defined]
    server.ended = threading.Event()  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()
