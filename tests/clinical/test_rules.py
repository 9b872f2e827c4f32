"""Clinical rules: their digest, rejected values, and their section of the configuration."""

from __future__ import annotations

import hashlib

import pytest

from spondylo_ml.clinical.rules import rules_digest, rules_json
from spondylo_ml.config import ClinicalConfig, flatten, resolve_config, validate
from spondylo_ml.errors import ConfigError


def test_the_digest_is_sha256_of_the_canonical_json() -> None:
    text = rules_json(ClinicalConfig())
    assert text.startswith('{"degenerate_fraction":0.2,"grade0_mm":3.0,')
    assert " " not in text
    assert rules_digest(ClinicalConfig()) == hashlib.sha256(text.encode()).hexdigest()


def test_equal_rules_share_a_digest_and_every_change_gives_another() -> None:
    changes = (
        {},
        {"slip_method": "posterior_wall"},
        {"grade_limits_percent": (25.0, 50.0, 75.0, 90.0)},
        {"grade0_mm": 2.0},
        {"grade0_percent": 4.0},
        {"grade0_rule": "percent"},
        {"lordosis": "L1-L5"},
        {"degenerate_fraction": 0.3},
        {"least_facing_confidence": 0.8},
        {"least_sacrum_confidence": 0.8},
        {"instability_mm": 4.0},
        {"instability_deg": 10.0},
    )
    digests = {rules_digest(validate(ClinicalConfig, change)) for change in changes}
    assert len(digests) == len(changes) == len(ClinicalConfig.model_fields)
    assert rules_digest(ClinicalConfig(grade0_mm=3)) == rules_digest(ClinicalConfig(grade0_mm=3.0))


def test_the_rules_are_a_section_of_the_configuration() -> None:
    config = resolve_config({"clinical": {"slip_method": "posterior_wall"}})
    assert config.clinical.slip_method == "posterior_wall"
    assert flatten(config.model_dump(mode="json"))["clinical.grade_limits_percent"] == [25.0, 50.0, 75.0, 100.0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"grade_limits_percent": (25, 25, 75, 100)}, "the limits must rise, the first above 0"),
        ({"grade_limits_percent": (0, 50, 75, 100)}, "the limits must rise, the first above 0"),
        ({"grade0_percent": 25}, "grade0_percent must lie below the first of grade_limits_percent"),
        ({"slip_method": "image_x"}, "slip_method: given 'image_x'"),
        ({"version": 2}, "version: given 2"),
        ({"grade0": 3}, "unknown name 'grade0'. Did you mean 'grade0_"),
    ],
)
def test_rules_that_make_no_sense_are_refused(given: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(ClinicalConfig, given)
