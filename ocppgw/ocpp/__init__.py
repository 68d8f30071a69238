"""The protocol: messages, versions, SOAP. Bytes and messages only, no I/O.

``model`` and ``enums`` hold the messages and their values, ``operations`` the register of
operations; the names below turn SOAP bytes into them and back.
"""

from ocppgw.ocpp import enums, model, wsdl
from ocppgw.ocpp.encode import Unsayable
from ocppgw.ocpp.enums import Unknown
from ocppgw.ocpp.faults import Fault, FaultCode, Wire
from ocppgw.ocpp.model import Request, Response
from ocppgw.ocpp.operations import (
    OPERATIONS,
    Direction,
    Operation,
    Version,
    by_name,
    by_request,
)
from ocppgw.ocpp.scalars import UNREADABLE_TIME
from ocppgw.ocpp.soap import (
    Call,
    NotAnAnswer,
    content_type,
    decode_call,
    decode_reply,
    encode_call,
    encode_fault,
    encode_reply,
)

__all__ = [
    "OPERATIONS",
    "UNREADABLE_TIME",
    "Call",
    "Direction",
    "Fault",
    "FaultCode",
    "NotAnAnswer",
    "Operation",
    "Request",
    "Response",
    "Unknown",
    "Unsayable",
    "Version",
    "Wire",
    "by_name",
    "by_request",
    "content_type",
    "decode_call",
    "decode_reply",
    "encode_call",
    "encode_fault",
    "encode_reply",
    "enums",
    "model",
    "wsdl",
]
