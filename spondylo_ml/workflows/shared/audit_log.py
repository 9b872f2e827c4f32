"""Log an audit to a run, as tags and files."""

from __future__ import annotations

import json

import mlflow
import pandas as pd

from spondylo_ml.data.audit.findings import Audit
from spondylo_ml.tracking.provenance import nonzero_tags


def log_audit(audit: Audit) -> None:
    """Log counts of errors and warnings as tags of the active run, and the findings as CSV and JSON in `audit/`."""
    counts = audit.counts()
    mlflow.set_tags(nonzero_tags(audit_errors=counts["errors"], audit_warnings=counts["warnings"]))
    mlflow.log_text(findings_table(audit).to_csv(index=False), "audit/findings.csv")
    rows = [finding.to_json() for finding in audit.findings]
    content = {"digest": audit.digest, "images_checked": audit.images_checked, "findings": rows}
    mlflow.log_text(json.dumps(content, indent=1), "audit/findings.json")


def findings_table(audit: Audit) -> pd.DataFrame:
    """One row per finding, the worst first."""
    rows = [
        (f.severity.value, f.check, ";".join(f.films), ";".join(map(str, f.slots)), f.message) for f in audit.findings
    ]
    return pd.DataFrame(rows, columns=["severity", "check", "films", "slots", "message"])
