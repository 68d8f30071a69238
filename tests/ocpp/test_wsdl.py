"""The WSDL made from the table, beside the official one."""

from typing import Any

import pytest
from lxml import etree

from ocppgw.ocpp import Direction, Version, wsdl

XS = "{http://www.w3.org/2001/XMLSchema}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP12 = "{http://schemas.xmlsoap.org/wsdl/soap12/}"
WSAW = "{http://www.w3.org/2006/05/addressing/wsdl}"
ADDRESS = "http://h.example:9220/Ocpp?a=1&b=2"


def ours(direction: Direction) -> etree._Element:
    return etree.fromstring(wsdl.render(Version.V15, direction, ADDRESS))


def resolved(root: etree._Element) -> dict[str, Any]:
    """Each element of the schema with its type spelled out, whatever the types are called."""
    schema = root.find(f".//{XS}schema")
    types = {t.get("name"): t for t in schema if t.tag != f"{XS}element"}
    return {e.get("name"): _type(e, types) for e in schema.findall(f"{XS}element")}


def _type(element: etree._Element, types: dict[str, etree._Element]) -> Any:
    name = element.get("type")
    if name is None:
        return _content(element.find(f"{XS}complexType"), types)
    prefix, _, local = name.partition(":")
    if element.nsmap[prefix] == XS[1:-1]:
        return local
    return _content(types[local], types)


def _content(kind: etree._Element, types: dict[str, etree._Element]) -> Any:
    restriction = kind.find(f"{XS}restriction")
    if restriction is not None:
        return [(facet.tag, facet.get("value")) for facet in restriction.iterchildren("{*}*")]
    extension = kind.find(f"{XS}simpleContent/{XS}extension")
    if extension is not None:
        return [
            (a.get("name"), a.get("use"), _type(a, types))
            for a in extension.iterchildren(f"{XS}attribute")
        ]
    return [
        (e.get("name"), e.get("minOccurs", "1"), e.get("maxOccurs", "1"), _type(e, types))
        for e in kind.iterfind(f"{XS}sequence/{XS}element")
    ]


def operations(root: etree._Element) -> dict[str, Any]:
    """Of each operation: actions, soapAction, the body's elements, the header."""
    elements = {
        message.get("name"): message.find(f"{WSDL}part").get("element")
        for message in root.iterfind(f"{WSDL}message")
    }
    bound = {o.get("name"): o for o in root.iterfind(f"{WSDL}binding/{WSDL}operation")}
    result = {}
    for operation in root.iterfind(f"{WSDL}portType/{WSDL}operation"):
        ends = [operation.find(f"{WSDL}input"), operation.find(f"{WSDL}output")]
        binding = bound[operation.get("name")]
        header = binding.find(f"{WSDL}input/{SOAP12}header")
        result[operation.get("name")] = (
            [(end.get(f"{WSAW}Action"), elements[end.get("message")[4:]]) for end in ends],
            dict(binding.find(f"{SOAP12}operation").attrib),
            elements[header.get("message")[4:]],
            [body.get("use") for body in binding.iter(f"{SOAP12}body")],
        )
    return result


def service(root: etree._Element) -> list[str]:
    """The names and bindings of the one port."""
    found = root.find(f"{WSDL}service")
    port = found.find(f"{WSDL}port")
    binding = root.find(f"{WSDL}binding")
    transport = binding.find(f"{SOAP12}binding").get("transport")
    return [
        root.get("targetNamespace"),
        root.find(f"{WSDL}portType").get("name"),
        binding.get("name"),
        binding.get("type"),
        transport,
        found.get("name"),
        port.get("name"),
        port.get("binding"),
    ]


@pytest.mark.parametrize("direction", Direction)
def test_it_says_what_the_official_one_says(direction: Direction, official) -> None:
    theirs = official(direction)
    made = ours(direction)

    assert resolved(made) == resolved(theirs)
    assert operations(made) == operations(theirs)
    assert service(made) == service(theirs)


@pytest.mark.parametrize("direction", Direction)
def test_its_schema_is_one(direction: Direction) -> None:
    schema = ours(direction).find(f".//{XS}schema")

    assert etree.XMLSchema(etree.fromstring(etree.tostring(schema)))


def test_the_address() -> None:
    address = ours(Direction.TO_CENTRAL_SYSTEM).find(f".//{SOAP12}address")

    assert address.get("location") == ADDRESS


def test_a_version_without_a_table_has_none() -> None:
    with pytest.raises(KeyError):
        wsdl.render(Version.V16, Direction.TO_CENTRAL_SYSTEM, ADDRESS)
