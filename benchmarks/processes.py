"""Measures how training runs side by side slow each other: 1, 2 and 4 processes with one and with more threads each.

Each process makes training steps of the U-Net for the same seconds; all start together. The table, in films per second
of all processes together, goes into benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from multiprocessing.synchronize import Barrier

from benchmarks.page import machine, write_table

BEGIN, END = "<!-- processes: begin -->", "<!-- processes: end -->"
PROCESSES = (1, 2, 4)
SIDE_PX, BATCH_SIZE = 128, 2


def main() -> None:
    """Measure each number of processes with each number of threads."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2], help="of each process")
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--note", default="", help="about the machine")
    arguments = parser.parse_args()
    lines = ["| threads each | " + " | ".join(f"{count} process(es)" for count in PROCESSES) + " |"]
    lines.append("| --- " * (1 + len(PROCESSES)) + "|")
    for threads in arguments.threads:
        rates = [films_per_s(count, threads, arguments.seconds) for count in PROCESSES]
        lines.append(f"| {threads} | " + " | ".join(f"{rate:.1f}" for rate in rates) + " |")
        sys.stdout.write(lines[-1] + "\n")
        sys.stdout.flush()
    text = machine(max(arguments.threads), arguments.note) + ".\n\n" + "\n".join(lines) + "\n"
    write_table(text, BEGIN, END)


def films_per_s(count: int, threads: int, seconds: float) -> float:
    """Films per second of so many processes together."""
    os.environ["OMP_NUM_THREADS"] = str(threads)  # read when a process imports PyTorch
    spawn = multiprocessing.get_context("spawn")
    barrier, films = spawn.Barrier(count), spawn.Queue()
    processes = [spawn.Process(target=train, args=(barrier, seconds, films)) for _ in range(count)]
    for process in processes:
        process.start()
    total = float(sum(films.get() for _ in processes))
    for process in processes:
        process.join()
    return total / seconds


def train(barrier: Barrier, seconds: float, films: multiprocessing.Queue[float]) -> None:
    """Make training steps for so many seconds, and put the number of films, in parts of a step, into the queue."""
    import torch

    from spondylo_ml.config import resolve_config
    from spondylo_ml.data.batches import plain_loader
    from spondylo_ml.data.prepare import prepare_films
    from spondylo_ml.data.synthetic import SLOTS, phantom_films
    from spondylo_ml.models.zoo import build_model

    config = resolve_config({"model": {"name": "unet"}, "preset": "quick"})
    model = build_model(config, SLOTS).train()
    drawn = phantom_films(BATCH_SIZE, 0, long_side_px=SIDE_PX).films
    (batch,) = plain_loader(prepare_films(drawn, SLOTS, (SIDE_PX, SIDE_PX)), BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters())

    def step() -> float:
        started = time.perf_counter()
        optimizer.zero_grad()
        torch.stack(list(model.losses(batch).values())).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return time.perf_counter() - started

    step()
    barrier.wait()
    used_s, n_steps = 0.0, 0.0
    while used_s < seconds:
        step_s = step()
        n_steps += min(1.0, (seconds - used_s) / step_s)
        used_s += step_s
    films.put(n_steps * BATCH_SIZE)


if __name__ == "__main__":
    main()
