"""What holds for all tests: where nothing may be missing, a skipped test is a failed one."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

WSDL = "OCPPGW_WSDL_DIR"  # the official WSDLs cannot be had everywhere


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With ``OCPPGW_REQUIRE=all``, set in CI, turns a skip into a failure."""
    report = yield
    skipped = report.skipped and not hasattr(report, "wasxfail")
    if skipped and os.environ.get("OCPPGW_REQUIRE") == "all" and WSDL not in str(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"skipped although nothing may be missing here: {report.longrepr}"
    return report
