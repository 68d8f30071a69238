"""A site with a foreign central system, shared by the tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.foreign.site import WSDLS, ForeignSite
from tests.site.blocking import wait_for


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ForeignSite]:
    """Every test leaves it as it found it: free and in service."""
    if not WSDLS.is_dir():
        pytest.skip(f"no official WSDLs: OCPPGW_WSDL_DIR names no folder ({WSDLS})")
    site = ForeignSite(tmp_path_factory.mktemp("site"), connectors=2)
    wait_for(site.__aenter__)
    try:
        yield site
    finally:
        wait_for(site.end)
