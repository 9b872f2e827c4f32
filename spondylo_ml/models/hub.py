"""Fetch a file from a model hub, or return the reason for failure within seconds.

The hub's client runs in a separate process, which is killed once the download stalls: the client itself has a timeout
per read and retries, but no deadline for the whole download.
"""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

START_S = 60.0
"""Time limit for Python and the client to start on a busy machine, before the hub is contacted."""
FIRST_ANSWER_S = 5.0
STALL_S = 10.0
"""Time without progress after which the download is given up."""
LEAST_BYTES_PER_STALL = 1 << 16
"""Least progress within `STALL_S`: a hub that sends a byte now and then has stalled too."""

READY, FOUND, FAILED = "ready", "found ", "failed "
_CLIENT = f"""
import sys
import requests
from huggingface_hub import constants, hf_hub_download, hf_hub_url
print({READY!r}, flush=True)
repository, name, cache = sys.argv[1:]
try:
    if not constants.HF_HUB_OFFLINE:  # one plain request first: the client retries a refusing hub for 24 s
        requests.head(hf_hub_url(repository, name), timeout={FIRST_ANSWER_S}, allow_redirects=True).raise_for_status()
    print({FOUND!r} + hf_hub_download(repository, name, cache_dir=cache))
except BaseException as error:
    status = getattr(getattr(error, "response", None), "status_code", "")
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__
    print({FAILED!r} + f"{{type(error).__name__}} {{status}}".strip())
"""
# Xet downloads are disabled because they write to a folder where progress cannot be measured.
_ENVIRONMENT = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "10"}


def cached_file(repository: str, name: str) -> Path | None:
    """The file in the hub's cache on this machine, or None."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, name, cache_dir=cache_folder())
    return Path(path) if isinstance(path, str) else None


def cache_folder() -> Path:
    """The folder in which the hub's client caches files."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_HUB_CACHE") or constants.HF_HUB_CACHE)


def fetched_file(repository: str, name: str, stall_s: float = STALL_S) -> Path | str:
    """The path of the file, fetched into the cache, or the reason for failure as text.

    Args:
        stall_s: time to wait without progress.
    """
    cache = cache_folder()
    with _client(repository, name, cache) as lines:
        if _next(lines, START_S) != READY:
            return "the hub's client did not start"
        seen, since = _bytes_in(cache, repository), time.monotonic()
        while True:
            line = _next(lines, 0.1)
            if line is None:
                return "the hub's client ended without a result"
            if line.startswith(FOUND):
                return Path(line.removeprefix(FOUND))
            if line.startswith(FAILED):
                return line.removeprefix(FAILED)
            now, size = time.monotonic(), _bytes_in(cache, repository)
            if size >= seen + LEAST_BYTES_PER_STALL:
                seen, since = size, now
            elif now - since > stall_s:
                return f"it stalled: less than {LEAST_BYTES_PER_STALL >> 10} KiB in {stall_s:.0f} s"


@contextmanager
def _client(repository: str, name: str, cache: Path) -> Iterator[queue.Queue[str | None]]:
    """The lines that the client prints, None after the last. The client is killed at the end of the block."""
    command = [sys.executable, "-c", _CLIENT, repository, name, str(cache)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        text=True,
        env=os.environ | _ENVIRONMENT,
    )
    assert process.stdout is not None
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read, args=(process.stdout, lines), daemon=True)
    reader.start()
    try:
        yield lines
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()


def _read(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _next(lines: queue.Queue[str | None], seconds: float) -> str | None:
    """The next line, empty if none came in time, None after the last."""
    try:
        return lines.get(timeout=seconds)
    except queue.Empty:
        return ""


def _bytes_in(cache: Path, repository: str) -> int:
    """Bytes of the repository in the cache, partial files included."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    total = 0
    for path in folder.rglob("*"):
        try:
            total += 0 if path.is_symlink() else path.lstat().st_size
        except OSError:  # renamed between the two
            continue
    return total
