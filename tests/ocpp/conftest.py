"""The official WSDLs as oracles, where they are at hand (they are not ours to ship)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

from ocppgw.ocpp import Direction

XS = "{http://www.w3.org/2001/XMLSchema}"
FILES = {
    Direction.TO_CENTRAL_SYSTEM: "ocpp_centralsystemservice_1.5_final.wsdl",
    Direction.TO_CHARGE_POINT: "ocpp_chargepointservice_1.5_final.wsdl",
}


@pytest.fixture(scope="session")
def official() -> Callable[[Direction], etree._Element]:
    """The official WSDL of a service of 1.5, parsed."""
    repository = Path(__file__).parents[2]
    folder = repository / os.environ.get("OCPPGW_WSDL_DIR", "../shared/spec/wsdl")
    if not folder.is_dir():
        pytest.skip(f"no official WSDLs: OCPPGW_WSDL_DIR names no folder ({folder})")
    return lambda direction: etree.parse(folder / FILES[direction]).getroot()


@pytest.fixture(scope="session")
def schemas(official: Callable[[Direction], etree._Element]) -> dict[Direction, etree.XMLSchema]:
    """The official schema of each service."""
    return {
        # written out, for the prefixes that are declared around it
        d: etree.XMLSchema(etree.fromstring(etree.tostring(official(d).find(f".//{XS}schema"))))
        for d in Direction
    }


@pytest.fixture(scope="session")
def check_schema(schemas: dict[Direction, etree.XMLSchema]) -> Callable[[bytes, Direction], None]:
    """Fails unless the body and the chargeBoxIdentity of an envelope are valid."""

    def check(envelope: bytes, direction: Direction) -> None:
        header, body = etree.fromstring(envelope)
        schemas[direction].assertValid(body[0])
        assert len(body) == 1
        ours = [h for h in header if h.tag.endswith("}chargeBoxIdentity")]
        assert len(ours) == 1
        schemas[direction].assertValid(ours[0])

    return check
