"""An audit as tags and files of a run."""

from __future__ import annotations

import json

import mlflow
import pandas as pd

from spondylo_ml.data.audit.findings import Audit


def log_audit(found: Audit) -> None:
    """Digest and counts as tags of the active run, findings as CSV and JSON in `audit/`."""
    counts = found.counts()
    mlflow.set_tags(
        {
            "audit_digest": found.digest,
            "audit_errors": str(counts["errors"]),
            "audit_warnings": str(counts["warnings"]),
            "audit_images_checked": str(found.images_checked).lower(),
        }
    )
    mlflow.log_text(findings_table(found).to_csv(index=False), "audit/findings.csv")
    rows = [finding.to_json() for finding in found.findings]
    mlflow.log_text(json.dumps({"digest": found.digest, "findings": rows}, indent=1), "audit/findings.json")


def findings_table(found: Audit) -> pd.DataFrame:
    """One row a finding, worst first."""
    rows = [
        (f.severity.value, f.check, ";".join(f.films), ";".join(map(str, f.slots)), f.message) for f in found.findings
    ]
    return pd.DataFrame(rows, columns=["severity", "check", "films", "slots", "message"])
