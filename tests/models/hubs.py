"""A local model hub, a real HTTP server, that serves a file correctly, badly or not at all."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = Callable[["Hub"], None]


class Hub(BaseHTTPRequestHandler):
    """Handler that mimics Hugging Face's hub for one file; the `answer` of its server decides how the file is sent."""

    def do_HEAD(self) -> None:
        """Answer with the headers of the file."""
        if self.server.answer is server_error:  # type: ignore[attr-defined]
            server_error(self)
        elif self.server.answers_head:  # type: ignore[attr-defined]
            self.send_file_headers()
        else:
            self.wait()

    def do_GET(self) -> None:
        """Answer with the file."""
        self.server.answer(self)  # type: ignore[attr-defined]

    @property
    def data(self) -> bytes:
        """Content of the file."""
        return self.server.data  # type: ignore[attr-defined, no-any-return]

    def send_file_headers(self) -> None:
        """Send status and headers."""
        self.send_response(200)
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("ETag", f'"{hashlib.sha256(self.data).hexdigest()}"')
        self.send_header("Content-Length", str(len(self.data)))
        self.end_headers()

    def wait(self) -> None:
        """Keep the connection open and send nothing until the server stops."""
        self.server.stopped.wait()  # type: ignore[attr-defined]

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def whole_file(hub: Hub) -> None:
    """Send the whole file."""
    hub.send_file_headers()
    hub.wfile.write(hub.data)


def half_then_silent(hub: Hub) -> None:
    """Send half of the file, then keep the connection open."""
    hub.send_file_headers()
    hub.wfile.write(hub.data[: len(hub.data) // 2])
    hub.wfile.flush()
    hub.wait()


def slow_bytes(hub: Hub) -> None:
    """Send single bytes: no read of the client times out, but the file never completes."""
    hub.send_file_headers()
    for byte in hub.data:
        hub.wfile.write(bytes([byte]))
        hub.wfile.flush()
        if hub.server.stopped.wait(0.1):  # type: ignore[attr-defined]
            return


def half_then_disconnect(hub: Hub) -> None:
    """Send half of the file, then close the connection."""
    hub.send_file_headers()
    hub.wfile.write(hub.data[: len(hub.data) // 2])


def server_error(hub: Hub) -> None:
    """Answer with status 500."""
    hub.send_error(500)


def silent(hub: Hub) -> None:
    """Send nothing."""
    hub.wait()


@contextmanager
def hub(answer: Answer, data: bytes = bytes(400_000), answers_head: bool = True) -> Iterator[str]:
    """Start a hub that answers with `answer`, and yield its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.answer, server.data, server.answers_head = answer, data, answers_head  # type: ignore[attr-defined]
    server.stopped = threading.Event()  # type: ignore[attr-defined]
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.stopped.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()
