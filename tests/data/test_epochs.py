"""Films of an epoch shared among several processes: those of one process, each once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spondylo_ml.data.epochs import EpochIndex, EpochSampler, Share, SharedBatches, in_turn
from spondylo_ml.processes import Process


def shares_of(n_films: int, batch_size: int, n_processes: int) -> list[SharedBatches]:
    return [
        SharedBatches(EpochSampler(n_films, 0, shown=1), batch_size, Process(rank, n_processes))
        for rank in range(n_processes)
    ]


@given(st.integers(1, 40), st.integers(1, 5), st.integers(1, 4), st.integers(0, 3))
def test_each_batch_holds_the_same_films_whatever_the_number_of_processes(
    n_films: int, per_process: int, n_processes: int, epoch: int
) -> None:
    batch_size = per_process * n_processes
    (alone,) = shares_of(n_films, batch_size, 1)
    processes = shares_of(n_films, batch_size, n_processes)
    for batches in (alone, *processes):
        batches.sampler.set_epoch(epoch)
    loaded = [list(batches) for batches in processes]
    assert {len(batches) for batches in loaded} == {len(alone)} == {len(batches) for batches in processes}
    for step, whole in enumerate(alone):
        shares = [batches.share(step) for batches in processes]
        counted: list[EpochIndex] = []
        for share, of_process in zip(shares, loaded, strict=True):
            if share.fraction:
                assert len(of_process[step]) == pytest.approx(share.fraction * len(whole))
                counted += of_process[step]
            else:
                assert of_process[step] == loaded[0][step], "the films of the first process stand in"
        assert counted == whole
        assert {share.n_films for share in shares} == {len(whole)}
        assert sum(share.fraction for share in shares) == pytest.approx(1)


@pytest.mark.parametrize(
    ("left_over", "sizes"), [(0, [2, 2, 2]), (2, [2, 0, 0]), (3, [3, 0, 0]), (4, [2, 2, 0]), (5, [3, 2, 0])]
)
def test_no_process_has_a_single_film_of_a_last_batch(left_over: int, sizes: list[int]) -> None:
    # Batches of 6 for 3 processes: a last one of 1 film is left out altogether.
    shares = [batches.share(len(batches) - 1) for batches in shares_of(12 + left_over, 6, 3)]
    n_films = left_over or 6
    assert shares == [Share(n_films, size / n_films) for size in sizes]
    assert len(shares_of(13, 6, 3)[0]) == 2


@given(st.lists(st.integers(), max_size=12, unique=True), st.integers(1, 5))
def test_batches_are_dealt_out_in_turn_to_equally_many_rounds(batches: list[int], n_processes: int) -> None:
    dealt = [in_turn(batches, Process(rank, n_processes)) for rank in range(n_processes)]
    assert len({len(own) for own in dealt}) == 1, "a process with fewer batches would leave the others waiting"
    in_order = [batch for turn in zip(*dealt, strict=True) for batch in turn]
    assert in_order[: len(batches)] == batches
    assert set(in_order[len(batches) :]) <= {*batches[-1:]}
    assert len(in_order) - len(batches) < n_processes
