"""Absent numbers are NaN in memory and null in JSON."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import BaseModel

from spondylo_ml.nan import Number, drop_nan, finite_or_none, is_absent


class Row(BaseModel):
    value: Number


def test_nan_is_null_in_json_and_nan_again_when_read() -> None:
    text = Row(value=math.nan).model_dump_json()
    assert text == '{"value":null}'
    assert math.isnan(Row.model_validate_json(text).value)
    assert Row.model_validate_json('{"value":1.5}').value == 1.5


def test_values_that_json_cannot_hold_become_none() -> None:
    assert [finite_or_none(value) for value in (1.5, math.nan, math.inf, np.float64(2))] == [1.5, None, None, 2.0]


def test_only_nan_is_dropped() -> None:
    assert drop_nan({"a": 0.0, "b": math.nan, "c": math.inf}) == {"a": 0.0, "c": math.inf}


@pytest.mark.parametrize("value", [None, math.nan, np.float32("nan")])
def test_none_and_nan_are_absent(value: object) -> None:
    assert is_absent(value)


@pytest.mark.parametrize("value", ["", "text", 0, 0.0, math.inf, [], {}])
def test_any_other_value_is_present(value: object) -> None:
    assert not is_absent(value)
