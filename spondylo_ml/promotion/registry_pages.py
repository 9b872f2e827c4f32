"""Descriptions in the registry, in Markdown: of the registered model and of each version."""

from __future__ import annotations

from collections.abc import Sequence

from spondylo_ml.disclaimer import DISCLAIMER
from spondylo_ml.promotion.decision import Decision, Verdict
from spondylo_ml.promotion.history import Event, EventKind, Reign, reigns

LONGEST_PAGE = 4800
LONGEST_CELL = 220
HEADINGS = {
    Verdict.CHAMPION: "Why it is champion",
    Verdict.CHALLENGER: "Why it is challenger and not champion",
    Verdict.REFUSED: "Why it was refused",
}


def model_page(name: str, events: Sequence[Event]) -> str:
    """The description of a registered model: the champion with its reasons, and the table of champions, newest first.

    Shows as many champions as fit, and the number of the others.
    """
    rows = reigns(events)[::-1]
    if not rows:
        return "No champion yet.\n"
    for n_shown in range(len(rows), 0, -1):
        text = _model_page(name, rows, n_shown, _films_line(events))
        if len(text) <= LONGEST_PAGE:
            break
    return text


def version_page(decision: Decision, when: str, facts: Sequence[tuple[str, str]], promotion: str) -> str:
    """The description of a version: the verdict with its reasons, results and origin.

    Args:
        facts: (name, value) pairs, in order.
        promotion: link to the run that logged the decision.
    """
    # Without bold face: MLflow's list of versions shows the beginning as it is written.
    lines = [f"{decision.verdict.capitalize()} by the promotion of {when} ({promotion}).", ""]
    lines += [f"### {HEADINGS[decision.verdict]}", *(f"* {reason}" for reason in decision.reasons), ""]
    if decision.against and decision.in_favour:
        lines += ["### What speaks for it", *(f"* {reason}" for reason in decision.in_favour), ""]
    lines += ["| | |", "| --- | --- |", *(f"| {name} | {_cell(value)} |" for name, value in facts), "", DISCLAIMER]
    return _shortened("\n".join(lines))


def with_later_event(page: str, event: str) -> str:
    """The description of a version with a later event added at the top."""
    return _shortened(f"**{event}**\n\n{page}")


def history_text(name: str, events: Sequence[Event], champion: int | None) -> str:
    """The history for a terminal, oldest first.

    Args:
        champion: version that has the alias now, if any.
    """
    lines = [f"{name}: {len(events)} event(s), times in UTC"]
    for event in events:
        lines.append(f"\n{event.time[:19].replace('T', ' ')}  {event.kind}: {_event_text(event)}")
        lines.append(f"    run {event.run_id}")
        lines += [f"    - {reason}" for reason in event.reasons]
        if event.promotion_run:
            lines.append(f"    promotion run {event.promotion_run}")
    lines.append(f"\nchampion now: {'none' if champion is None else f'version {champion}'}")
    if champion != events[-1].version:
        by_history = f"According to the history it is version {events[-1].version}"
        lines.append(f"{by_history}: the alias was moved by hand, or that version was deleted")
    return "\n".join(lines)


def _event_text(event: Event) -> str:
    who = f"version {event.version} ({event.model})"
    if event.kind is EventKind.NEW_FILMS:
        return f"{who} evaluated again"
    predecessor = "the first champion" if event.former is None else f"in place of version {event.former}"
    return f"{who}, {predecessor}"


def _model_page(name: str, rows: Sequence[Reign], n_shown: int, films: str) -> str:
    champion = rows[0]
    lines = [
        f"Corners of vertebrae on radiographs of the spine. **Champion: version {champion.version}** "
        f"({champion.model}), since {_day(champion.since)}.",
        "",
        "### Why it is champion",
        *(f"* {reason}" for reason in champion.came),
        *([films] if films else []),
        "",
        "A model becomes champion only by `promote`: evaluated on the same frozen films as the champion, with an "
        "interval of the gain above zero and above the noise between seeds, and no guarded metric worse by more than "
        "its margin. The first one only needs to beat the mean shape, which ignores the film. "
        f"Load it as `models:/{name}@champion`. The page of each version has its reasons, results and digests; the "
        "model card is in its promotion run.",
        "",
        "### Champions",
        "| version | model | from | to | why it became champion | why it was replaced |",
        "| --- | --- | --- | --- | --- | --- |",
        *(
            f"| {r.version} | {r.model} | {_time(r.since)} | {_time(r.until) if r.until else 'now'} "
            f"| {_cell('; '.join(r.came))} | {_cell(r.ended)} |"
            for r in rows[:n_shown]
        ),
    ]
    if n_shown < len(rows):
        lines.append(f"\n{len(rows) - n_shown} earlier: `python -m spondylo_ml registry`")
    return "\n".join([*lines, "", DISCLAIMER])


def _films_line(events: Sequence[Event]) -> str:
    changed = [event for event in events if event.kind is EventKind.NEW_FILMS]
    return f"* {_day(changed[-1].time)}: {changed[-1].reasons[0]}" if changed else ""


def _cell(text: str) -> str:
    """Text shortened and cleaned for a table cell."""
    text = " ".join(text.replace("|", "/").split())
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 4] + " ..."


def _day(time: str) -> str:
    return time[:10]


def _time(time: str) -> str:
    return time[:16].replace("T", " ")


def _shortened(page: str) -> str:
    if len(page) <= LONGEST_PAGE:
        return page
    return page[: LONGEST_PAGE - 60] + "\n\n... (the rest is in the promotion run)"
