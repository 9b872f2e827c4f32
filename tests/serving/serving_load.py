"""Latency and throughput of a scoring server on this machine: `python tests/serving/serving_load.py --url <url>`.

Each client sends one film a request and waits for the answer before it sends the next. Films are synthetic unless
`--films` names some. Client and server share the machine's cores: the numbers are those of this machine and load.
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
    """What some clients met.

    Attributes:
        seconds: of each request that was answered with a film's result.
        failed: requests without one: an error, another status, no answer.
        wall_seconds: from the first request to the last answer.
    """

    clients: int
    seconds: tuple[float, ...]
    failed: int
    wall_seconds: float

    def row(self) -> str:
        """A line of the table."""
        median, p95 = np.percentile(self.seconds, [50, 95]) if self.seconds else (np.nan, np.nan)
        rate = len(self.seconds) / self.wall_seconds
        sent = len(self.seconds) + self.failed
        return f"| {self.clients} | {sent} | {self.failed} | {1000 * median:.0f} | {1000 * p95:.0f} | {rate:.2f} |"


def put_under_load(url: str, bodies: Sequence[bytes], clients: int, n_requests: int, most_seconds: float) -> Load:
    """At most `n_requests` from `clients` threads; none is begun after `most_seconds`."""
    numbers: Iterator[int] = iter(range(n_requests))
    lock, seconds, failed = threading.Lock(), [], []
    start = time.monotonic()

    def client() -> None:
        with requests.Session() as session:
            while time.monotonic() - start < most_seconds:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                begun = time.monotonic()
                reason = reason_against(session, url, bodies[number % len(bodies)])
                (failed if reason else seconds).append(time.monotonic() - begun)

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return Load(clients, tuple(seconds), len(failed), time.monotonic() - start)


def reason_against(session: requests.Session, url: str, body: bytes) -> str:
    """Send one film; why there is no result, empty where there is one."""
    try:
        answer = session.post(url, data=body, headers={"Content-Type": "application/json"}, timeout=TIMEOUT_SECONDS)
        if answer.status_code != 200:
            return f"status {answer.status_code}: {answer.text[:200]}"
        return answer.json()["predictions"][0]["error"] or ""
    except (requests.RequestException, ValueError, LookupError) as error:
        return type(error).__name__


def films_of(paths: Sequence[Path], long_side_px: int) -> list[bytes]:
    """The films' bytes; without paths those of synthetic films as JPEG."""
    if paths:
        return [path.read_bytes() for path in paths]
    made = [render(phantom_film(0, index, long_side_px)) for index in range(N_FILMS)]
    return [cv2.imencode(".jpg", pixels)[1].tobytes() for pixels in made]


def say(text: str) -> None:
    """A line for the terminal, now."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a table; 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:5000/invocations")
    parser.add_argument("--clients", default="1,4,16", help="how many at the same time, one measurement each")
    parser.add_argument("--requests", type=int, default=64, help="of each measurement, at most")
    parser.add_argument("--seconds", type=float, default=60.0, help="after which a measurement begins no request")
    parser.add_argument("--films", type=Path, nargs="*", default=[], help="files to send, in turn")
    parser.add_argument("--long-side-px", type=int, default=2048, help="of the synthetic films")
    given = parser.parse_args(arguments)
    if urlparse(given.url).hostname not in LOOPBACK:
        parser.error(f"--url must be on this machine ({', '.join(LOOPBACK)}); given {given.url}")
    counts = [int(part) for part in given.clients.split(",")]
    if not (0 < min(counts) <= max(counts) <= MAX_CLIENTS):
        parser.error(f"--clients must be from 1 to {MAX_CLIENTS}; given {given.clients}")
    if not (0 < given.requests <= MAX_REQUESTS and 0 < given.seconds <= MAX_SECONDS):
        parser.error(f"--requests go up to {MAX_REQUESTS}, --seconds up to {MAX_SECONDS:g}")
    films = films_of(given.films, given.long_side_px)
    bodies = [json.dumps({"dataframe_records": [{"image": base64.b64encode(f).decode()}]}).encode() for f in films]
    with requests.Session() as session:  # the first request pays for what is loaded late
        if reason := reason_against(session, given.url, bodies[0]):
            say(f"no result from {given.url}: {reason}")
            return 1
    say(f"{len(films)} films of {np.mean([len(f) for f in films]) / 1024:.0f} KiB on average")
    say(f"{os.cpu_count()} cores, load average of the last minute before it {os.getloadavg()[0]:.1f}\n")
    say("| clients | requests | failed | median ms | p95 ms | films/s |\n| --- | --- | --- | --- | --- | --- |")
    loads = []
    for count in counts:
        loads.append(put_under_load(given.url, bodies, count, given.requests, given.seconds))
        say(loads[-1].row())
    return int(any(load.failed for load in loads))


if __name__ == "__main__":
    sys.exit(main())
