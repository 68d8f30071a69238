"""A service's WSDL 1.1, generated from its table; equivalent to the official one."""

from __future__ import annotations

from collections.abc import Iterator

from ocppgw.ocpp import wire
from ocppgw.ocpp.model import Message
from ocppgw.ocpp.operations import OPERATIONS, Direction, Operation, Version
from ocppgw.ocpp.scalars import escape
from ocppgw.ocpp.table import (
    Boolean,
    Choice,
    Field,
    Group,
    Integer,
    Place,
    Service,
    Text,
    Time,
    Type,
    element_name,
)

_BEGIN = """<?xml version="1.0" encoding="UTF-8"?>
<wsdl:definitions xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/"
 xmlns:soap12="http://schemas.xmlsoap.org/wsdl/soap12/"
 xmlns:xs="http://www.w3.org/2001/XMLSchema"
 xmlns:wsaw="http://www.w3.org/2006/05/addressing/wsdl"
 xmlns:wsp="http://schemas.xmlsoap.org/ws/2004/09/policy"
 xmlns:wsu="http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
 xmlns:tns="{0}" targetNamespace="{0}">
<wsp:Policy wsu:Id="ServicePolicy"><wsp:ExactlyOne><wsp:All><wsaw:UsingAddressing/></wsp:All>\
</wsp:ExactlyOne></wsp:Policy>
<wsdl:types>
<xs:schema elementFormDefault="qualified" targetNamespace="{0}">"""


def render(version: Version, direction: Direction, address: str) -> bytes:
    """The WSDL of one service, whose port is at ``address`` (a URL); KeyError if no wire yet."""
    table = wire.service(version, direction)
    operations = [o for o in OPERATIONS if o.direction is direction and o.request in table.messages]
    lines = [
        _BEGIN.format(escape(table.namespace)),
        *_types(table),
        '<xs:element name="chargeBoxIdentity" type="xs:string"/>',
        *(_element(message) for message in table.messages),
        "</xs:schema>",
        "</wsdl:types>",
        '<wsdl:message name="Header">',
        '<wsdl:part name="ChargeBoxIdentity" element="tns:chargeBoxIdentity"/>',
        "</wsdl:message>",
        *(line for o in operations for line in _messages(o)),
        f'<wsdl:portType name="{direction.value}">',
        *(line for o in operations for line in _port_operation(o)),
        "</wsdl:portType>",
        f'<wsdl:binding name="{direction.value}Soap" type="tns:{direction.value}">',
        '<soap12:binding transport="http://schemas.xmlsoap.org/soap/http"/>',
        '<wsp:PolicyReference URI="#ServicePolicy"/>',
        *(line for o in operations for line in _bound_operation(o)),
        "</wsdl:binding>",
        f'<wsdl:service name="{direction.value}">',
        f'<wsdl:port name="{direction.value}Soap12" binding="tns:{direction.value}Soap">',
        f'<soap12:address location="{escape(address)}"/>',
        "</wsdl:port>",
        "</wsdl:service>",
        "</wsdl:definitions>",
    ]
    return "\n".join([*lines, ""]).encode()


def _types(table: Service) -> Iterator[str]:
    """Each named type once, before the types that use it."""
    named: dict[str, str] = {}
    for message in table.messages.values():
        _collect(message, named)
    yield from named.values()


def _collect(kind: Type, named: dict[str, str]) -> None:
    match kind:
        case Group():
            for field in kind.fields:
                _collect(field.type, named)
            if kind.name:
                named.setdefault(kind.name, _complex_type(kind, f' name="{kind.name}"'))
        case Choice():
            words = "".join(f'<xs:enumeration value="{word}"/>' for word in kind.words)
            named.setdefault(kind.name, _simple_type(kind.name, words))
        case Text(name=str(name), limit=limit):
            named.setdefault(name, _simple_type(name, f'<xs:maxLength value="{limit}"/>'))
        case _:
            pass  # built-in types


def _simple_type(name: str, facets: str) -> str:
    return (
        f'<xs:simpleType name="{name}"><xs:restriction base="xs:string">{facets}'
        f"</xs:restriction></xs:simpleType>"
    )


def _complex_type(group: Group, name: str = "") -> str:
    attributes = "".join(
        f'<xs:attribute name="{f.wire}" type="{_type_name(f.type)}" use="optional"/>'
        for f in group.fields
        if f.place is Place.ATTRIBUTE
    )
    elements = "".join(_field(f) for f in group.fields if f.place is Place.ELEMENT)
    contents = [f for f in group.fields if f.place is Place.CONTENT]
    if contents:
        inside = (
            f'<xs:simpleContent><xs:extension base="{_type_name(contents[0].type)}">'
            f"{attributes}</xs:extension></xs:simpleContent>"
        )
    else:
        inside = f"<xs:sequence>{elements}</xs:sequence>"
    return f"<xs:complexType{name}>{inside}</xs:complexType>"


def _field(field: Field) -> str:
    often = (
        f'minOccurs="{1 if field.mandatory else 0}"'
        f' maxOccurs="{"unbounded" if field.repeated else 1}"'
    )
    if isinstance(field.type, Group) and field.type.name is None:
        inside = _complex_type(field.type)
        return f'<xs:element name="{field.wire}" {often}>{inside}</xs:element>'
    return f'<xs:element name="{field.wire}" type="{_type_name(field.type)}" {often}/>'


def _type_name(kind: Type) -> str:
    match kind:
        case Integer():
            return "xs:int"
        case Boolean():
            return "xs:boolean"
        case Time():
            return "xs:dateTime"
        case Text(name=None, uri=uri):
            return "xs:anyURI" if uri else "xs:string"
        case _:
            return f"tns:{kind.name}"


def _element(message: type[Message]) -> str:
    return f'<xs:element name="{element_name(message)}" type="tns:{message.__name__}"/>'


def _messages(operation: Operation) -> Iterator[str]:
    for end, message in (("Input", operation.request), ("Output", operation.response)):
        yield f'<wsdl:message name="{operation.name}{end}">'
        yield f'<wsdl:part name="parameters" element="tns:{element_name(message)}"/>'
        yield "</wsdl:message>"


def _port_operation(operation: Operation) -> Iterator[str]:
    name = operation.name
    yield f'<wsdl:operation name="{name}">'
    yield f'<wsdl:input message="tns:{name}Input" wsaw:Action="/{name}"/>'
    yield f'<wsdl:output message="tns:{name}Output" wsaw:Action="/{name}Response"/>'
    yield "</wsdl:operation>"


def _bound_operation(operation: Operation) -> Iterator[str]:
    yield f'<wsdl:operation name="{operation.name}">'
    yield f'<soap12:operation soapAction="/{operation.name}" style="document"/>'
    yield "<wsdl:input>"
    yield '<soap12:header message="tns:Header" part="ChargeBoxIdentity" use="literal"/>'
    yield '<soap12:body use="literal"/>'
    yield "</wsdl:input>"
    yield '<wsdl:output><soap12:body use="literal"/></wsdl:output>'
    yield "</wsdl:operation>"
