"""Where a station is called back: never anywhere but where it is, unless the operator says so."""

from ipaddress import ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ocppgw.link.endpoint import MAX_LENGTH, address_of, callback_url, caller, within

REMOTE = "203.0.113.9"
ANONYMOUS = "http://www.w3.org/2005/08/addressing/anonymous"
ANONYMOUS_2004 = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"


@pytest.mark.parametrize(
    ("said", "url"),
    [
        ("http://10.0.0.1:9000/Ocpp/ChargePointService", f"http://{REMOTE}:9000/Ocpp/ChargePointService"),
        ("http://box.local/cp", f"http://{REMOTE}:80/cp"),
        ("https://box.local/cp/", f"https://{REMOTE}:443/cp/"),
        ("http://box.local", f"http://{REMOTE}:80/"),
        ("HTTP://BOX:81/A?b=c#d", f"http://{REMOTE}:81/A?b=c"),
        (" http://box:81/\n", f"http://{REMOTE}:81/"),
        ("http://:8082/", f"http://{REMOTE}:8082/"),
        ("http://user:password@box:81/", f"http://{REMOTE}:81/"),
        ("http://[fe80::1]:81/", f"http://{REMOTE}:81/"),
        (ANONYMOUS, None),
        (ANONYMOUS_2004, None),
        ("http://www.w3.org/2005/08/addressing/none", None),
        (None, None),
        ("", None),
        ("box", None),
        ("http://", None),
        ("http:///path", None),
        ("ftp://box/", None),
        ("file:///etc/passwd", None),
        ("gopher://box:70/", None),
        ("http://box:0/", None),
        ("http://box:99999/", None),
        ("http://box:eighty/", None),
        ("http://[::1/", None),
        ("http://box/a b", None),
        ("http://box/a\r\nX: y", None),
        ("http://box/ä", None),
        ("http://box/" + "x" * MAX_LENGTH, None),
    ],
)  # fmt: skip
def test_what_a_station_says_of_itself(said, url):
    assert callback_url(said, REMOTE) == url


@pytest.mark.parametrize(
    ("remote", "host"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8::7", "[2001:db8::7]"),
        ("[2001:db8::7]", "[2001:db8::7]"),
    ],
)
def test_the_host_is_the_connections(remote, host):
    assert callback_url("http://box:81/x", remote) == f"http://{host}:81/x"


def test_a_connection_without_an_address_tells_nothing():
    assert callback_url("http://box:81/x", "a unix socket") is None


def test_reply_to_is_second_best():
    assert callback_url(None, REMOTE, reply_to="http://box:5/r") == f"http://{REMOTE}:5/r"
    assert callback_url(ANONYMOUS, REMOTE, reply_to="http://b:5/r") == f"http://{REMOTE}:5/r"
    assert callback_url("http://b:4/f", REMOTE, reply_to="http://b:5/") == f"http://{REMOTE}:4/f"
    assert callback_url(None, REMOTE, reply_to=ANONYMOUS) is None


def test_trusted_networks_are_taken_at_their_word():
    trusted = [ip_network("10.20.0.0/16")]

    assert callback_url("http://10.20.3.4:81/", REMOTE, trusted=trusted) == "http://10.20.3.4:81/"
    assert callback_url("http://10.21.3.4:81/", REMOTE, trusted=trusted) == f"http://{REMOTE}:81/"
    assert callback_url("http://box:81/", REMOTE, trusted=trusted) == f"http://{REMOTE}:81/"


urls = st.one_of(
    st.text(),
    st.builds(
        "{}://{}{}{}/{}".format,
        st.sampled_from(["http", "https", "ftp", "HTTP", "http:http"]),
        st.sampled_from(["", "u:p@", "@", "\\", "evil.example@"]),
        st.sampled_from(["evil.example", "169.254.169.254", "[::1]", "", "127.0.0.1#", "a b"]),
        st.sampled_from(["", ":80", ":9000", ":", ":-1", ":80:81", "\\@x"]),
        st.text(max_size=20),
    ),
)
addresses = st.ip_addresses().map(str)


@given(said=urls, reply_to=urls, remote=addresses)
def test_nobody_points_us_at_a_third_party(said, reply_to, remote):
    url = callback_url(said, remote, reply_to=reply_to)

    if url is not None:
        parts = urlsplit(url)
        assert parts.scheme in ("http", "https")
        assert address_of(parts.hostname) == address_of(remote)
        assert 0 < parts.port < 65536
        assert parts.path.startswith("/")
        assert parts.username is None
        assert url.isascii()
        assert url.isprintable()


@given(port=st.integers(1, 65535), path=st.from_regex(r"/[a-zA-Z0-9/_.-]{0,30}", fullmatch=True))
def test_port_and_path_are_kept(port, path):
    url = callback_url(f"http://somewhere:{port}{path}", REMOTE)

    assert url is None or url == f"http://{REMOTE}:{port}{path}"
    assert url is not None or "addressing" in path


# Who calls

PROXIES = [ip_network("10.0.0.0/24"), ip_network("fd00::/64")]


@pytest.mark.parametrize(
    ("remote", "header", "who"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", b"1.2.3.4", "192.0.2.1"),  # no proxy of ours: anybody can write that
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", b"1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
        ("10.0.0.1", b"10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", b"1.2.3.4, unknown", "10.0.0.1"),
        ("10.0.0.1", b"[2001:db8::1]", "2001:db8::1"),
        ("fd00::1", b"::ffff:1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", b"\xff", "10.0.0.1"),
    ],
)
def test_who_calls(remote, header, who):
    assert caller(remote, header, PROXIES) == who
    assert caller(remote, header, ()) == remote


@given(st.ip_addresses())
def test_addresses_as_text(address):
    mapped = getattr(address, "ipv4_mapped", None)

    assert address_of(str(address)) == (mapped or address)
    assert within(str(address), [ip_network(str(mapped or address))])
    assert not within("nonsense", [ip_network("0.0.0.0/0")])


def test_an_ipv4_mapped_address_is_the_ipv4_one():
    assert address_of("::ffff:1.2.3.4") == ip_address("1.2.3.4")
