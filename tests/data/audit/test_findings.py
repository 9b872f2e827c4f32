from __future__ import annotations

from dataclasses import replace

import pytest

from spondylo_ml.data.audit.findings import Audit, AuditFinding, Severity, in_order, require_no_errors, worst_first
from spondylo_ml.errors import DataError

ERROR = AuditFinding(Severity.ERROR, "duplicate", ("a", "b"), "2 films of the same exposure")
WARNING = AuditFinding(Severity.WARNING, "gap", ("c",), "L3 lies far above L4", (2, 3))
REMARK = AuditFinding(Severity.REMARK, "reader_remark", ("d.json",), "reordered")


def test_the_worst_comes_first() -> None:
    assert in_order([REMARK, WARNING, ERROR]) == (ERROR, WARNING, REMARK)


def test_the_worst_of_each_check_comes_before_the_second_worst_of_any() -> None:
    far, near = (replace(WARNING, films=(name,), excess=excess) for name, excess in (("z", 9.0), ("a", 1.0)))
    shape = AuditFinding(Severity.WARNING, "body_shape", ("m",), "unusual shape of L3", excess=2.0)
    assert worst_first([near, REMARK, shape, far, ERROR]) == (ERROR, shape, far, near, REMARK)
    assert Audit((far, near), "data", True).digest == Audit((near, replace(far, excess=0.0)), "data", True).digest


def test_the_digest_follows_the_findings_and_the_data_and_not_their_order() -> None:
    audit = Audit((ERROR, WARNING), "data", True)
    assert Audit((WARNING, ERROR), "data", True).digest == audit.digest
    different = [
        Audit((ERROR,), "data", True),
        Audit((ERROR, WARNING), "other", True),
        Audit((ERROR, WARNING), "data", False),
        Audit((replace(ERROR, severity=Severity.WARNING), WARNING), "data", True),
    ]
    assert len({audit.digest, *(other.digest for other in different)}) == 5


def test_counts_by_severity_and_by_check() -> None:
    counts = Audit((ERROR, WARNING, WARNING), "data", True).counts()
    assert counts == {"errors": 1, "warnings": 2, "remarks": 0, "check/duplicate": 1, "check/gap": 2}


def test_errors_stop_and_say_what_to_do() -> None:
    audit = Audit((ERROR, WARNING), "data", True)
    with pytest.raises(
        DataError, match=r"(?s)audit of films found 1 error.*duplicate: a, b: 2 films.*--data\.on_audit_error continue"
    ):
        require_no_errors(audit, "error", "films")
    require_no_errors(audit, "continue", "films")
    require_no_errors(Audit((WARNING, REMARK), "data", True), "error", "films")


def test_many_errors_are_listed_in_part_and_counted() -> None:
    errors = tuple(replace(ERROR, films=(f"film{i:02d}",)) for i in range(25))
    with pytest.raises(DataError, match=r"(?s)found 25 error.*film19.*and 5 more"):
        require_no_errors(Audit(in_order(errors), "data", True), "error", "films")
