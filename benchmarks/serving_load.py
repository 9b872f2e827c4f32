"""Measures latency and throughput of a scoring server on this machine.

Each client sends one film per request and waits for the answer before it sends the next. Films are synthetic unless
`--films` names some. Clients and server share the cores, so that the numbers hold for this machine and load only.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlparse

import cv2
import numpy as np
import requests

from spondylo_ml.data.phantom import phantom_film, render

LOOPBACK = ("127.0.0.1", "localhost", "::1")
N_FILMS = 4
MAX_CLIENTS, MAX_REQUESTS, MAX_SECONDS = 64, 10_000, 600.0
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Load:
    """The result of one measurement.

    Attributes:
        seconds: duration of each request that returned a film's result.
        failed: number of requests that did not: an error, another status, no answer.
        wall_seconds: time from the first request to the last answer.
    """

    clients: int
    seconds: tuple[float, ...]
    failed: int
    wall_seconds: float

    def row(self) -> str:
        """A row of the table."""
        median, p95 = np.percentile(self.seconds, [50, 95]) if self.seconds else (np.nan, np.nan)
        rate = len(self.seconds) / self.wall_seconds
        sent = len(self.seconds) + self.failed
        return f"| {self.clients} | {sent} | {self.failed} | {1000 * median:.0f} | {1000 * p95:.0f} | {rate:.2f} |"


def put_under_load(url: str, bodies: Sequence[bytes], clients: int, n_requests: int, most_seconds: float) -> Load:
    """Send up to `n_requests` from `clients` threads; none is started after `most_seconds`."""
    numbers: Iterator[int] = iter(range(n_requests))
    lock, seconds, failed = threading.Lock(), list[float](), list[float]()
    start = time.monotonic()

    def client() -> None:
        with requests.Session() as session:
            while time.monotonic() - start < most_seconds:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                started = time.monotonic()
                reason = failure_of(session, url, bodies[number % len(bodies)])
                (failed if reason else seconds).append(time.monotonic() - started)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(clients, tuple(seconds), len(failed), time.monotonic() - start)


def failure_of(session: requests.Session, url: str, body: bytes) -> str:
    """Send one film; the reason why there is no result, or an empty string."""
    try:
        answer = session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_SECONDS)
        if answer.status_code != 200:
            return f"status {answer.status_code}: {answer.text[:200]}"
        return answer.json()["predictions"][0]["error"] or ""
    except (requests.RequestException, ValueError, LookupError) as error:
        return type(error).__name__


def films_of(paths: Sequence[Path], long_side_px: int) -> list[bytes]:
    """The content of the files; without paths, synthetic films as JPEG."""
    if paths:
        return [path.read_bytes() for path in paths]
    films = [render(phantom_film(0, index, long_side_px)) for index in range(N_FILMS)]
    return [cv2.imencode(".jpg", pixels)[1].tobytes() for pixels in films]


def print_line(text: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; the exit code is 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:5000/invocations")
    parser.add_argument("--clients", default="1,4,16", help="numbers of concurrent clients, one measurement each")
    parser.add_argument("--requests", type=int, default=64, help="most requests per measurement")
    parser.add_argument("--seconds", type=float, default=60.0, help="time after which a measurement starts no request")
    parser.add_argument("--films", type=Path, nargs="*", default=[], help="files to send in turn")
    parser.add_argument("--long-side-px", type=int, default=2048, help="long side of the synthetic films")
    options = parser.parse_args(arguments)
    if urlparse(options.url).hostname not in LOOPBACK:
        parser.error(f"--url must be on this machine ({', '.join(LOOPBACK)}); given {options.url}")
    counts = [int(part) for part in options.clients.split(",")]
    if not (0 < min(counts) <= max(counts) <= MAX_CLIENTS):
        parser.error(f"--clients must be from 1 to {MAX_CLIENTS}; given {options.clients}")
    if not (0 < options.requests <= MAX_REQUESTS and 0 < options.seconds <= MAX_SECONDS):
        parser.error(f"--requests go up to {MAX_REQUESTS}, --seconds up to {MAX_SECONDS:g}")
    films = films_of(options.films, options.long_side_px)
    bodies = [json.dumps({"dataframe_records": [{"image": base64.b64encode(f).decode()}]}).encode() for f in films]
    with requests.Session() as session:  # warm up: the first request loads what is loaded lazily
        if reason := failure_of(session, options.url, bodies[0]):
            print_line(f"no result from {options.url}: {reason}")
            return 1
    print_line(f"{len(films)} films of {np.mean([len(f) for f in films]) / 1024:.0f} KiB on average")
    print_line(f"{os.cpu_count()} cores, load average over the last minute {os.getloadavg()[0]:.1f}\n")
    print_line("| clients | requests | failed | median ms | p95 ms | films/s |\n| --- | --- | --- | --- | --- | --- |")
    loads = []
    for count in counts:
        loads.append(put_under_load(options.url, bodies, count, options.requests, options.seconds))
        print_line(loads[-1].row())
    return int(any(load.failed for load in loads))


if __name__ == "__main__":
    sys.exit(main())
