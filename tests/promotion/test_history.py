"""The history of champions: events, reigns and the pages that show them."""

from __future__ import annotations

import pytest

from spondylo_ml.errors import TrackingError
from spondylo_ml.promotion.decision import Decision, Verdict
from spondylo_ml.promotion.history import LONGEST_TEXT, Event, EventKind, former_champion, reigns
from spondylo_ml.promotion.registry_pages import LONGEST_PAGE, history_text, model_page, version_page, with_later_event


def event(kind: EventKind, version: int, former: int | None, day: int, *reasons: str) -> Event:
    return Event(
        kind=kind,
        time=f"2026-05-{day:02d}T10:00:00+00:00",
        version=version,
        model="unet",
        run_id=f"run{version}",
        former=former,
        reasons=reasons,
        promotion_run="" if kind is EventKind.ROLLED_BACK else f"p{day}",
    )


FIRST = event(EventKind.PROMOTED, 1, None, 1, "it is the first model", "it beats the mean shape; by far")
SECOND = event(EventKind.PROMOTED, 2, 1, 2, "a gain | of 4")
FILMS = event(EventKind.NEW_FILMS, 2, 2, 3, "evaluated on other films from now on")
BACK = event(EventKind.ROLLED_BACK, 1, 2, 4, "rollback: misses L5")
THIRD = event(EventKind.PROMOTED, 3, 1, 5, "a gain of 9")
ALL = [FIRST, SECOND, FILMS, BACK, THIRD]


def test_an_event_is_unchanged_when_written_and_read() -> None:
    for one in ALL:
        assert Event.from_text(one.to_text()) == one


def test_an_event_reads_as_text_and_the_json_of_version_0_1_is_read() -> None:
    assert "kind: promoted\n" in FIRST.to_text()
    assert "- it is the first model\n" in FIRST.to_text()
    assert "{" not in FIRST.to_text()
    for one in ALL:
        assert Event.from_text(one.model_dump_json()) == one


def test_an_event_with_too_many_reasons_keeps_the_first_and_a_note() -> None:
    long_event = SECOND.model_copy(update={"reasons": tuple(f"{i} " + "x" * 300 for i in range(30))})
    text = long_event.to_text()
    shortened = Event.from_text(text)
    assert len(text) <= LONGEST_TEXT
    assert shortened.reasons[0] == long_event.reasons[0]
    assert shortened.reasons[-1] == "more in the promotion's run"
    assert 5 < len(shortened.reasons) < 30


def test_an_invalid_event_in_the_history_is_an_error() -> None:
    with pytest.raises(TrackingError, match="the history contains an invalid event: 'nonsense'"):
        Event.from_text("nonsense")


def test_each_reign_ends_when_the_next_begins_with_the_reason() -> None:
    history = reigns(ALL)
    assert [r.version for r in history] == [1, 2, 1, 3]
    assert [r.ended for r in history] == [
        "replaced by version 2: a gain | of 4",
        "rolled back to version 1: rollback: misses L5",
        "replaced by version 3: a gain of 9",
        "",
    ]
    assert [r.until for r in history] == [SECOND.time, BACK.time, THIRD.time, None]
    assert history[0].came == FIRST.reasons
    assert reigns([]) == []


@pytest.mark.parametrize(
    ("events", "former"),
    [
        ([], None),
        ([FIRST], None),
        ([FIRST, SECOND], 1),
        ([FIRST, SECOND, FILMS], 1),
        ([FIRST, SECOND, BACK], None),
        (ALL, 1),
        ([FIRST, SECOND, THIRD.model_copy(update={"former": 2})], 2),
    ],
)
def test_a_rollback_returns_to_the_previous_champion_that_was_not_rolled_back(
    events: list[Event], former: int | None
) -> None:
    assert former_champion(events) == former


def test_a_rollback_returns_to_a_champion_that_was_set_by_hand() -> None:
    """Version 3 got the alias by hand, after version 1; version 4 came in place of it."""
    by_hand = [FIRST, event(EventKind.PROMOTED, 4, 3, 2, "a gain")]
    assert former_champion(by_hand) == 3
    assert former_champion([*by_hand, event(EventKind.ROLLED_BACK, 3, 4, 3, "rollback: misses L5")]) == 1


def test_the_page_names_the_champion_with_its_reasons_and_lists_all_newest_first() -> None:
    page = model_page("spondylo-landmarks", ALL)
    assert "**Champion: version 3** (unet), since 2026-05-05" in page
    assert "### Why it is champion\n* a gain of 9\n" in page
    assert "models:/spondylo-landmarks@champion" in page
    rows = [line for line in page.splitlines() if line.startswith("| ")][2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 3", "| 1", "| 2", "| 1"]
    assert "a gain / of 4" in rows[-1], "a bar in a reason would break the table"
    assert "Research software, not a medical device." in page


def test_a_page_with_many_champions_lists_the_newest_and_counts_the_rest() -> None:
    events = [event(EventKind.PROMOTED, i, i - 1 or None, 1 + i % 28, "a gain " + "x" * 200) for i in range(1, 60)]
    page = model_page("m", events)
    assert len(page) <= LONGEST_PAGE
    shown = sum(line.startswith("| ") for line in page.splitlines()) - 2
    assert 3 < shown < 59
    assert f"{59 - shown} earlier: `python -m spondylo_ml registry`" in page
    assert "| 59 |" in page


def test_the_page_of_a_version_states_the_decision_and_later_events() -> None:
    decision = Decision(Verdict.CHALLENGER, ("too slow",), ("a gain",))
    page = version_page(decision, "2026-05-01", [("films", "phantom-0 | test")], "[run](#/x)")
    assert page.startswith("Challenger by the promotion of 2026-05-01 ([run](#/x)).")
    assert "### Why it is challenger and not champion\n* too slow\n" in page
    assert "### What speaks for it\n* a gain\n" in page
    assert "| films | phantom-0 / test |" in page
    assert with_later_event(page, "Rolled back.").startswith("**Rolled back.**\n\nChallenger")
    many = Decision(Verdict.CHALLENGER, tuple("x" * 300 for _ in range(40)), ())
    assert len(version_page(many, "2026-05-01", [], "")) <= LONGEST_PAGE


def test_the_terminal_lists_all_events_and_an_alias_moved_by_hand() -> None:
    text = history_text("m", ALL, 3)
    assert "2026-05-02 10:00:00  promoted: version 2 (unet), in place of version 1" in text
    assert "2026-05-01 10:00:00  promoted: version 1 (unet), the first champion" in text
    assert "2026-05-03 10:00:00  new films: version 2 (unet) evaluated again" in text
    assert "    - rollback: misses L5" in text
    assert "    promotion run p5" in text
    assert text.endswith("champion now: version 3")
    assert "the alias was moved by hand" in history_text("m", ALL, 1)
    assert "champion now: none" in history_text("m", ALL, None)
