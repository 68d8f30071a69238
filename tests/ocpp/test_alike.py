"""Samples qualified alike are copies of one: nothing of one shows in another."""

import pytest

from ocppgw.ocpp import Direction, Wire, decode, decode_call
from ocppgw.ocpp import enums as e
from ocppgw.ocpp import model as m

BODY = """<S:Envelope xmlns:S="http://www.w3.org/2003/05/soap-envelope"
 xmlns:o="urn://Ocpp/Cs/2012/06/"><S:Header><o:chargeBoxIdentity>BOX-1</o:chargeBoxIdentity>
</S:Header><S:Body><o:meterValuesRequest><o:connectorId>1</o:connectorId><o:values>
<o:timestamp>2024-05-31T12:00:00Z</o:timestamp>{}</o:values></o:meterValuesRequest></S:Body>
</S:Envelope>"""


def samples(*values: str) -> tuple[tuple[m.SampledValue, ...], Wire]:
    markup = "".join(value.replace("value", "o:value") for value in values)
    call = decode_call(BODY.format(markup).encode(), Direction.TO_CENTRAL_SYSTEM)
    assert isinstance(call.request, m.MeterValuesRequest)
    return call.request.meter_value[0].sampled_value, call.wire


def test_each_has_its_own_text_and_the_attributes_in_any_order() -> None:
    found, wire = samples(
        "<value unit='Wh' format='Raw'>1</value>",
        "<value format='Raw' unit='Wh'>2</value>",
        "<value unit='Wh' format='Raw'> 3 </value>",
        "<value unit='Wh' format='Raw'/>",
        "<value>4</value>",
    )

    like = {"unit": e.UnitOfMeasure.WH, "format": e.ValueFormat.RAW}
    assert found == (
        *(m.SampledValue(value=text, **like) for text in ("1", "2", "3", "")),
        m.SampledValue(value="4"),
    )
    assert not wire.warnings


@pytest.mark.parametrize("odd", ["unit='wh'", "unit='Furlong'", "vendor='x'"])
def test_what_is_odd_is_said_each_time(odd: str) -> None:
    once = samples(f"<value {odd}>1</value>")
    again = samples(f"<value {odd}>1</value>")

    assert len(once[1].warnings) == 1
    assert once == again


def test_beyond_so_many_ways_each_is_read_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "MAX_ALIKE", 0)
    found, _ = samples(*(f"<value location='{place}'>1</value>" for place in ("Body", "Inlet")))

    assert [sample.location for sample in found] == [e.Location.BODY, e.Location.INLET]
