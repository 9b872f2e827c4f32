"""Summary of an audit."""

from __future__ import annotations

from pathlib import Path

from spondylo_ml.cli.summaries import next_steps
from spondylo_ml.cli.summaries.table import named_values
from spondylo_ml.cli.summaries.where import where_to_see
from spondylo_ml.data.audit.findings import Severity, worst_first
from spondylo_ml.data.readers.recognition import Recognition
from spondylo_ml.data.readers.tools.mapping import MAPPING
from spondylo_ml.workflows.audit import REPORT, AuditResult


def audit_summary(result: AuditResult) -> str:
    """Summary of an audit: what was recognised, all errors, and the number of other findings."""
    audit, recognition = result.audit, result.recognition
    rows = [
        *(recognition.facts if recognition else ()),
        ("films", str(result.n_films)),
        *((name, str(count)) for name, count in audit.counts().items()),
    ]
    errors = [f"  {audit.on_terminal(finding)}" for finding in worst_first(audit.of(Severity.ERROR))]
    lines = ["Errors, worst first:", *errors] if errors else ["No errors."]
    rows += [("digest", audit.digest[:16]), ("report", f"{REPORT}, under Artifacts"), ("run", result.run_id)]
    mapping = _proposed_mapping(recognition, result.mapping_file) if recognition and recognition.proposal.text else []
    return "\n".join([named_values(rows), *lines, where_to_see(result.run_id), *mapping])


def _proposed_mapping(found: Recognition, written: Path | None) -> list[str]:
    """The proposed mapping, or the file that has it, what is uncertain, and the next command."""
    place = f"written to {written}" if written else "proposed (for names that are not understood)"
    lines = ["", f"{MAPPING}, {place}:", *([] if written else [found.proposal.text])]
    lines += ["Uncertain:", *(f"  {doubt}" for doubt in found.proposal.doubts)] if found.proposal.doubts else []
    return [*lines, next_steps.use_mapping(found.root, written, found.adds)]
