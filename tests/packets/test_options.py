"""What `mss_clamp`, `toa` and `proxy_protocol` change in the packets of a connection, byte for byte."""

import ipaddress
import struct

import pytest
from flows import MODES, Flow, compare
from rewrite import changed, frame, layer_of
from scapy.layers.inet import TCP
from scapy.packet import Raw
from world import V4, V6, replay, service

FAMILY = {4: V4, 6: V6}
modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))
families = pytest.mark.parametrize("family", [V4, V6], ids=repr)
OVERHEAD = {("ipip", 4): 20, ("ipip", 6): 40, ("gue", 4): 32, ("gue", 6): 52}
OPTIONS = [("MSS", 8960), ("SAckOK", b""), ("Timestamp", (7, 0)), ("NOP", None), ("WScale", 7)]


def with_mss(packet, mss):
    packet = packet.copy()
    packet[TCP].options = [("MSS", mss) if name == "MSS" else (name, value) for name, value in packet[TCP].options]
    return packet


@modes
@pytest.mark.parametrize("setting, number", [("on", None), ("1200", 1200)], ids=["by the way", "number"])
def test_a_syn_offers_no_more_than_fits(tmp_path, mode, inner, outer, setting, number):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    configuration = service(mode, flow.family, server_family=flow.server_family, options=f"mss_clamp {setting};")
    flow.rehearse(tmp_path, configuration)
    fits = number or 1500 - OVERHEAD.get((mode, outer), 0) - (40 if inner == 4 else 60)
    small = Flow(mode, FAMILY[inner], FAMILY[outer], sport=40001)
    frames = [flow.from_client(options=OPTIONS), flow.from_client(b"data", "PA", seq=1001),
              small.from_client(options=[("MSS", 536)])]
    answers = mode in ("full_nat", "nat")
    if answers:
        frames.append(flow.from_server(options=OPTIONS))
    result = replay(tmp_path, configuration, frames)
    compare(result.one(0), flow.at_server(with_mss(frames[0], fits), result.one(0)))
    compare(result.one(1), flow.at_server(frames[1], result.one(1)))
    small.learn(result.one(2))
    compare(result.one(2), small.at_server(frames[2], result.one(2)))
    if answers:
        compare(result.one(3), flow.at_client(with_mss(frames[3], fits)))


@families
def test_the_client_in_a_tcp_option(tmp_path, family):
    """In what may complete the handshake and in the first data; a client's own such option does not get through."""
    flow = Flow("full_nat", family)
    configuration = service("full_nat", family, options="toa on;")
    flow.rehearse(tmp_path, configuration)
    toa = struct.pack(">H", flow.sport) + ipaddress.ip_address(flow.client).packed
    stamp = [("NOP", None), ("NOP", None), ("Timestamp", (8, 9))]
    steps = [
        (flow.from_client(), []),
        (flow.from_client(flags="A", seq=1001, ack=2001, options=stamp), [(254, toa), *stamp]),
        (flow.from_client(b"GET", "PA", seq=1001, ack=2001), [(254, toa)]),
        (flow.from_client(b"GET", "PA", seq=1001, ack=2001), [(254, toa)]),  # sent again
        (flow.from_client(b"late", "PA", seq=1001 + (1 << 20), ack=2001), []),
    ]
    result = replay(tmp_path, configuration, [packet for packet, _ in steps])
    for index, (packet, options) in enumerate(steps):
        wanted = layer_of(packet).copy()
        wanted[TCP].options = options
        compare(result.one(index), flow.at_server(wanted, result.one(index)))


def proxy_header(flow):
    v4 = flow.family is V4
    addresses = b"".join(ipaddress.ip_address(address).packed for address in (flow.client, flow.family.vip))
    rest = addresses + struct.pack(">HH", flow.sport, flow.dport)
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x21, 0x11 if v4 else 0x21]) + struct.pack(">H", len(rest)) + rest


@families
def test_the_proxy_protocol_in_front_of_the_first_data(tmp_path, family):
    flow = Flow("full_nat", family)
    configuration = service("full_nat", family, options="proxy_protocol on;")
    flow.rehearse(tmp_path, configuration)
    header = proxy_header(flow)
    assert len(header) == (28 if family is V4 else 52)
    moved = len(header)
    to_server = [  # flags, payload, sequence number; payload and sequence number as they must arrive
        ("S", b"", 1000, b"", 1000),
        ("A", b"", 1001, b"", 1001),
        ("PA", b"GET /", 1001, header + b"GET /", 1001),
        ("PA", b"GET /", 1001, header + b"GET /", 1001),  # sent again, it has the header again
        ("PA", b" HTTP", 1006, b" HTTP", 1006 + moved),
        ("FA", b"", 1011, b"", 1011 + moved),
    ]
    frames, wanted = [], []
    for flags, payload, sequence, payload_there, sequence_there in to_server:
        packet = flow.from_client(payload, flags, seq=sequence)
        expected = layer_of(packet).copy()
        expected[TCP].seq = sequence_there
        expected[TCP].remove_payload()
        frames.append(packet)
        wanted.append(flow.at_server(expected / Raw(payload_there), None))
    answers = [(2000, 1001, 1001), (2001, 1001 + moved + 5, 1006), (2001, 1011 + moved, 1011), (2001, 1012 + moved, 1012)]
    for position, (sequence, acknowledged, acknowledged_there) in zip((1, 5, 7, 9), answers):
        packet = flow.from_server(flags="SA" if position == 1 else "A", seq=sequence, ack=acknowledged)
        expected = layer_of(packet).copy()
        expected[TCP].ack = acknowledged_there
        frames.insert(position, packet)
        wanted.insert(position, frame(changed(expected, src=family.vip, dst=flow.client, sport=80, dport=flow.sport)))
    result = replay(tmp_path, configuration, frames)
    for index, expected in enumerate(wanted):
        compare(result.one(index), expected)
