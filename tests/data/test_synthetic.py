"""Fingerprints of synthetic films change with the code that draws the films, not with its words."""

from __future__ import annotations

from spondylo_ml.data.synthetic import code_only

PLAIN = "GAIN = 2\n\n\ndef gain(x):\n    return [x,\n            GAIN]\n"
DOCUMENTED = '''"""A module."""
GAIN = 2
"""A constant."""


# A comment.
def gain(x):
    """A function."""
    return [x, GAIN]  # another
'''


def test_docstrings_comments_and_formatting_are_no_part_of_the_code() -> None:
    assert code_only(DOCUMENTED) == code_only(PLAIN) == "GAIN = 2\n\ndef gain(x):\n    return [x, GAIN]"


def test_values_and_strings_that_are_used_are_part_of_the_code() -> None:
    assert code_only(PLAIN.replace("2", "3")) != code_only(PLAIN)
    assert code_only("NAME = 'a'") != code_only("NAME = 'b'")
