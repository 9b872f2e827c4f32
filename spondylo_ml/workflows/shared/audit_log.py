"""Log an audit to a run, as tags and files."""

from __future__ import annotations

import json

import mlflow
import pandas as pd

from spondylo_ml.data.audit.findings import Audit


def log_audit(audit: Audit) -> None:
    """Log digest and counts as tags of the active run, and the findings as CSV and JSON in `audit/`."""
    counts = audit.counts()
    mlflow.set_tags(
        {
            "audit_digest": audit.digest,
            "audit_errors": str(counts["errors"]),
            "audit_warnings": str(counts["warnings"]),
            "audit_images_checked": str(audit.images_checked).lower(),
        }
    )
    mlflow.log_text(findings_table(audit).to_csv(index=False), "audit/findings.csv")
    rows = [finding.to_json() for finding in audit.findings]
    mlflow.log_text(json.dumps({"digest": audit.digest, "findings": rows}, indent=1), "audit/findings.json")


def findings_table(audit: Audit) -> pd.DataFrame:
    """One row per finding, the worst first."""
    rows = [
        (f.severity.value, f.check, ";".join(f.films), ";".join(map(str, f.slots)), f.message) for f in audit.findings
    ]
    return pd.DataFrame(rows, columns=["severity", "check", "films", "slots", "message"])
