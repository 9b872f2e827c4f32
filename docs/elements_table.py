"""The table of the elements of de-identified films, from the tables that the code uses."""

from __future__ import annotations

from collections.abc import Iterable

from pydicom.datadict import dictionary_description, tag_for_keyword

from spondylo_ml.data.deidentify.elements import (
    CODES,
    EMPTIED,
    LUTS,
    NUMBERS,
    PATIENT,
    PIXELS,
    REMOVED_EXAMPLES,
    SET,
    SOP_CLASSES,
    UIDS,
)

ELEMENTS_START, ELEMENTS_END = "<!-- elements, by docs/generate.py -->", "<!-- /elements -->"


def elements_table() -> str:
    """One row per element of a de-identified film, and a list of elements that are removed."""
    rows = [
        *_rows(["SOPClassUID"], "kept", f"of {'; '.join(SOP_CLASSES.values())}; other objects are refused"),
        *(_row(name, "kept", _codes(pattern)) for name, pattern in CODES.items()),
        *(_row(name, "kept", f"as {'a number' if n == 1 else f'{n} numbers'}") for name, n in NUMBERS.items()),
        *_rows(LUTS, "kept", "the table of the first item as numbers"),
        *_rows(PIXELS, "kept", "written anew from the decoded pixels, without compression"),
        *_rows(PATIENT, "replaced", "pseudonym of PatientID"),
        *_rows(UIDS, "replaced", "2.25 and a keyed number; the same for all films of a study or series"),
        *_rows(EMPTIED, "emptied", "an object must have it"),
        *(_row(name, "set", value.replace("\\", "\\\\")) for name, value in SET.items()),
        *_rows(["RescaleType"], "set", "US (unspecified), with a rescaling"),
        *_rows(["DeidentificationMethod", "DeidentificationMethodCodeSequence"], "set", "basic profile (113100)"),
    ]
    removed = ", ".join(f"{dictionary_description(name)} {_tag(name)}" for name in REMOVED_EXAMPLES)
    return "\n".join(
        [
            "| tag | element | in the new file | value |\n| --- | --- | --- | --- |",
            *rows,
            "",
            "**Everything else is removed**: private elements, overlays, all dates, times, texts and sequences. Among "
            f"them: {removed}.",
        ]
    )


def _codes(pattern: str) -> str:
    return f"if it is one of {', '.join(pattern.split('|'))}" if "|" in pattern else f"if it fits `{pattern}`"


def _rows(names: Iterable[str], action: str, value: str) -> list[str]:
    return [_row(name, action, value) for name in names]


def _row(name: str, action: str, value: str) -> str:
    return f"| {_tag(name)} | {name} | {action} | {value} |"


def _tag(name: str) -> str:
    tag = tag_for_keyword(name)
    assert tag is not None
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
