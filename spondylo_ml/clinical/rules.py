"""Name of a set of clinical rules: the same rules have the same digest, anywhere."""

from __future__ import annotations

import hashlib
import json

from spondylo_ml.config import ClinicalConfig


def rules_json(rules: ClinicalConfig) -> str:
    """The rules as canonical JSON: names sorted, no spaces."""
    return json.dumps(rules.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))


def rules_digest(rules: ClinicalConfig) -> str:
    """SHA-256 of the rules' canonical JSON."""
    return hashlib.sha256(rules_json(rules).encode()).hexdigest()
