"""Digest of a set of clinical rules: equal rules have equal digests on any machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from spondylo_ml.config import ClinicalConfig


def rules_json(rules: ClinicalConfig) -> str:
    """The rules as canonical JSON: sorted keys, no spaces."""
    return _canonical(rules.model_dump(mode="json"))


def rules_digest(rules: ClinicalConfig) -> str:
    """SHA-256 of the rules' canonical JSON."""
    return hashlib.sha256(rules_json(rules).encode()).hexdigest()


def stored_rules_digest(tree: Mapping[str, Any]) -> str:
    """`rules_digest` of the rules stored in a file, which may lack options that were added since."""
    return hashlib.sha256(_canonical(tree).encode()).hexdigest()


def _canonical(tree: Mapping[str, Any]) -> str:
    return json.dumps(tree, sort_keys=True, separators=(",", ":"))
