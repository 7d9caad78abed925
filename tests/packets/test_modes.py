"""Every mode, every address family: a TCP connection and a UDP exchange, byte for byte."""

import pytest
from flows import MODES, Flow, compare
from scapy.layers.inet import TCP, UDP
from world import V4, V6, replay, service

FAMILY = {4: V4, 6: V6}
OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)]

modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))


def sees_answers(mode):
    return mode in ("full_nat", "nat")


def connection(flow):
    """(direction, frame, verdict) of a handshake, a request, an answer and the end."""
    to_server = [
        ("S", b"", {"options": OPTIONS}, "started"),
        ("A", b"", {"seq": 1001, "ack": 2001}, "forwarded"),
        ("PA", b"GET / HTTP/1.0\r\n\r\n", {"seq": 1001, "ack": 2001}, "forwarded"),
        ("FA", b"", {"seq": 1019, "ack": 2004}, "forwarded"),
    ]
    to_client = [
        ("SA", b"", {"options": OPTIONS, "seq": 2000, "ack": 1001}),
        ("PA", b"odd", {"seq": 2001, "ack": 1019}),
        ("FA", b"", {"seq": 2004, "ack": 1020}),
    ]
    steps = []
    for index, (flags, payload, fields, verdict) in enumerate(to_server):
        steps.append(("server", flow.from_client(payload, flags, **fields), verdict))
        if sees_answers(flow.mode) and index != 1:
            flags, payload, fields = to_client[max(0, index - 1)]
            steps.append(("client", flow.from_server(payload, flags, **fields), "answered"))
    return steps


def exchange(flow):
    steps = [("server", flow.from_client(b"query"), "started")]
    if sees_answers(flow.mode):
        steps.append(("client", flow.from_server(b"answer"), "answered"))
    steps.append(("server", flow.from_client(b"another" * 100), "forwarded"))
    return steps


def check(flow, configuration, steps_of, directory):
    flow.rehearse(directory, configuration)
    steps = steps_of(flow)
    result = replay(directory, configuration, [frame for _, frame, _ in steps])
    assert result.verdicts() == [[verdict] for _, _, verdict in steps]
    for index, (direction, frame, _) in enumerate(steps):
        sent = result.one(index)
        compare(sent, flow.at_server(frame, sent) if direction == "server" else flow.at_client(frame))


@modes
def test_a_tcp_connection(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    check(flow, service(mode, FAMILY[inner], server_family=FAMILY[outer]), connection, tmp_path)


@modes
def test_a_udp_exchange(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=UDP, dport=53)
    check(flow, service(mode, FAMILY[inner], port=53, udp=True, server_family=FAMILY[outer]), exchange, tmp_path)


@pytest.mark.parametrize("mode", ["full_nat", "nat"])
@pytest.mark.parametrize("family", [V4, V6], ids=repr)
@pytest.mark.parametrize("l4", [TCP, UDP], ids=["tcp", "udp"])
def test_a_server_on_another_port(tmp_path, mode, family, l4):
    flow = Flow(mode, family, l4=l4, server_port=8080)
    check(flow, service(mode, family, udp=l4 is UDP, server_port=8080), connection if l4 is TCP else exchange, tmp_path)


@modes
def test_traffic_class_and_ecn_are_carried(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    marks = {"tos": 0xba} if inner == 4 else {"tc": 0xba}
    check(flow, service(mode, FAMILY[inner], server_family=FAMILY[outer]),
          lambda flow: [("server", flow.from_client(ip=marks), "started")], tmp_path)


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_udp_over_ipv4_without_a_checksum_stays_without(tmp_path, mode):
    flow = Flow(mode, V4, l4=UDP, dport=53)
    check(flow, service(mode, port=53, udp=True),
          lambda flow: [("server", flow.from_client(b"no sum", chksum=0), "started")], tmp_path)


@modes
def test_a_partial_checksum_leaves_complete(tmp_path, mode, inner, outer):
    """A local kernel's frame has the pseudo-header's sum alone in its checksum field."""
    from scapy.layers.inet import in4_pseudoheader
    from scapy.layers.inet6 import in6_pseudoheader
    from scapy.utils import checksum

    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=UDP, dport=53)

    def steps(flow):
        frame = flow.from_client(b"partial")
        ip, length = frame.payload, 8 + len(b"partial")
        pseudo = in4_pseudoheader(17, ip, length) if inner == 4 else bytes(in6_pseudoheader(17, ip, length))
        frame[UDP].chksum = ~checksum(pseudo) & 0xffff
        return [("server", frame, "started")]

    check(flow, service(mode, FAMILY[inner], port=53, udp=True, server_family=FAMILY[outer]), steps, tmp_path)


@modes
def test_the_largest_packet_that_fits(tmp_path, mode, inner, outer):
    """And its payload is of odd length: sums over all of it."""
    overhead = {"ipip": 0, "gue": 12}.get(mode, -1)
    room = 1500 - (0 if overhead < 0 else overhead + (20 if outer == 4 else 40)) - (20 if inner == 4 else 40) - 8
    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=UDP, dport=53)
    check(flow, service(mode, FAMILY[inner], port=53, udp=True, server_family=FAMILY[outer]),
          lambda flow: [("server", flow.from_client(bytes(range(256)) * 5 + b"x" * (room - 1280)), "started"),
                        ("server", flow.from_client(b"y" * (room - 1)), "forwarded")], tmp_path)
