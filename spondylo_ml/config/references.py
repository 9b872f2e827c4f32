"""Options that name a run: by its id, a unique beginning of it, its name, or `latest`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from spondylo_ml.config.section import Section

LATEST = "latest"
FEWEST_DIGITS = 4
"""Fewest digits of an id that are taken as its beginning."""

_WHOLE_ID, _BEGINNING = re.compile(r"[0-9a-f]{32}"), re.compile(rf"[0-9a-f]{{{FEWEST_DIGITS},31}}")

Kind = Literal["trained", "resumable", "benchmark", "noise floor"]
"""Which runs an option is about; `latest` is the newest of them."""


@dataclass(frozen=True)
class RunReference:
    """Marks a field that names a run, or a list of them.

    Attributes:
        or_checkpoint: whether a name that the store does not know may still be right, as that of a checkpoint.
    """

    kind: Kind
    or_checkpoint: bool = False


def is_whole_id(text: str) -> bool:
    """Whether the text has the form of a run's id."""
    return _WHOLE_ID.fullmatch(text) is not None


def is_beginning_of_id(text: str) -> bool:
    """Whether the text can be the beginning of a run's id."""
    return _BEGINNING.fullmatch(text) is not None


def references(options: Section) -> Mapping[str, RunReference]:
    """The options that are set and name runs in another way than by their ids."""
    found = {}
    for name, field in type(options).model_fields.items():
        value = getattr(options, name)
        texts = [value] if isinstance(value, str) else value or ()
        for reference in field.metadata:
            if isinstance(reference, RunReference) and not all(map(is_whole_id, texts)):
                found[name] = reference
    return found
