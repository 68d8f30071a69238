"""What holds for all tests: where nothing may be missing, a skipped test is a failed one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

# What no installation can bring: such a skip is told, and that is all.
EXCUSED = (
    "OCPPGW_WSDL_DIR",  # the official WSDLs cannot be had everywhere
    "no IPv6 here",
    "needs the right to mount",
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``OCPPGW_REQUIRE=all``, set in CI, turns a skip into a failure."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    required = os.environ.get("OCPPGW_REQUIRE") == "all"
    if skipped and required and not any(reason in str(report.longrepr) for reason in EXCUSED):
        report.outcome = "failed"
        report.longrepr = f"skipped although nothing may be missing here: {report.longrepr}"
    return report
