"""A SOAP peer over a transport that answers what the test says."""

import pytest

from ocppgw.link.soap import SoapPeer
from ocppgw.net.base import HttpReply
from ocppgw.ocpp import Direction, Version
from ocppgw.testing.clock import FakeClock

URL = "http://10.0.0.7:9000/Ocpp/ChargePointService"


class Post:
    def __init__(self):
        self.posted = []
        self.answer = None

    async def post(self, url, body, *, content_type, deadline):
        self.posted.append((url, body, content_type, deadline))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Bench:
    def __init__(self):
        self.http = Post()
        self.seen = []
        self.endpoint = URL
        self.clock = FakeClock()

    def reply(self, body, status=200, **headers):
        encoded = {name.encode(): value.encode() for name, value in headers.items()}
        self.http.answer = HttpReply(status=status, headers=encoded, body=body)

    def peer(self, version=Version.V15, observe=True):
        return SoapPeer(
            self.http,
            identity="CP-1",
            version=version,
            direction=Direction.TO_CHARGE_POINT,
            endpoint=lambda: self.endpoint,
            own_address=lambda: "http://central/",
            new_message_id=lambda: "urn:uuid:1",
            observe=self.seen.append if observe else None,
            clock=self.clock,
            role="central",
            missing_endpoint="CP-1 has not told where it listens",
        )


@pytest.fixture
def bench():
    return Bench()
