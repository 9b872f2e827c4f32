"""What the short measurements are made of: the stopwatch, and the tables of the page."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import pytest

from benchmarks import page
from benchmarks.stopwatch import Stopwatch


class Work:
    def outer(self, value: int) -> int:
        return self.inner() + value

    def inner(self) -> int:
        return 1


def test_the_stopwatch_adds_up_calls_with_those_within_them_and_leaves_the_owner_as_it_was() -> None:
    watch, ticks, work, original = Stopwatch(), count(), Work(), Work.outer
    with (
        watch.watching(Work, "outer", "outer", lambda: float(next(ticks))),
        watch.watching(work, "inner", lambda: "inner", lambda: float(next(ticks))),
    ):
        assert [work.outer(1), work.outer(2)] == [2, 3]
    assert watch.seconds == {"outer": 6.0, "inner": 2.0}  # ticks 0 1 2 3 and 4 5 6 7, of which inner has 1 2 and 5 6
    assert Work.outer is original
    assert "inner" not in vars(work)


def test_the_time_of_a_call_that_fails_counts() -> None:
    watch, ticks, work = Stopwatch(), count(), Work()
    with watch.watching(Work, "inner", "inner", lambda: float(next(ticks))), pytest.raises(TypeError):
        work.inner("too much")  # type: ignore[call-arg]
    assert watch.seconds == {"inner": 1.0}


def test_a_table_replaces_what_is_between_its_markers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    readme = tmp_path / "README.md"
    monkeypatch.setattr(page, "README", readme)
    readme.write_text("before\n<a>\nold\n</a>\nafter\n")
    for _ in range(2):
        page.write_table("new\n", "<a>", "</a>")
        assert readme.read_text() == "before\n<a>\nnew\n</a>\nafter\n"
    with pytest.raises(ValueError, match=r"README\.md does not have <b> and </b> once each"):
        page.write_table("new\n", "<b>", "</b>")
