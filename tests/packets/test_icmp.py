"""ICMP errors about flows: to the end that sent the packet, in that end's terms, with every sum right."""

import pytest
from flows import MODES, Flow, compare
from rewrite import frame, hop, renewed
from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6)
from scapy.packet import Raw
from world import V4, V6, received, replay, service

FAMILY = {4: V4, 6: V6}
modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))
answering = pytest.mark.parametrize("mode, family", [(mode, family) for mode in ("full_nat", "nat")
                                                     for family in (V4, V6)], ids=lambda value: str(value))
protocols = pytest.mark.parametrize("l4", [TCP, UDP], ids=["tcp", "udp"])
FAR_ROUTER = {4: "192.0.2.200", 6: "2001:db8:77::c8"}
NEAR_ROUTER = {4: "10.0.0.200", 6: "2001:db8::c8"}
KINDS = {
    4: [ICMP(type=3, code=1), ICMP(type=3, code=3), ICMP(type=3, code=4, nexthopmtu=1400), ICMP(type=11, code=0),
        ICMP(type=12, code=0, ptr=9)],
    6: [ICMPv6DestUnreach(code=0), ICMPv6DestUnreach(code=4), ICMPv6PacketTooBig(mtu=1400), ICMPv6TimeExceeded(code=0),
        ICMPv6ParamProblem(code=1, ptr=6)],
}
QUOTES = [8, 20, 600]  # bytes behind the IP header


def quoted(flow, src, sport, dst, dport, size):
    """The beginning of a packet on its way, as a router that refuses it has it."""
    family = flow.family
    ip = (IP(src=src, dst=dst, ttl=50, id=99, flags="DF") if family is V4 else IPv6(src=src, dst=dst, hlim=50, fl=0x777))
    l4 = TCP(sport=sport, dport=dport, flags="PA", seq=77, ack=88) if flow.l4 is TCP else UDP(sport=sport, dport=dport)
    packet = ip / l4 / Raw(b"odd" * 201)
    return Raw(raw(packet)[:(20 if family is V4 else 40) + size])


def error(flow, kind, src, dst, quote, ttl=60):
    ip = IP(src=src, dst=dst, ttl=ttl, id=5) if flow.family is V4 else IPv6(src=src, dst=dst, hlim=ttl)
    return ip / kind.copy() / quote


def scene(mode, family, server_family, l4, directory):
    flow = Flow(mode, family, server_family, l4=l4, server_port=8080 if mode in ("full_nat", "nat") else None)
    configuration = service(mode, family, udp=l4 is UDP, server_family=server_family, server_port=flow.server_port)
    flow.rehearse(directory, configuration)
    return flow, configuration


def as_server_knows(flow, size):
    to = (flow.family.weir, flow.local_port) if flow.mode == "full_nat" else (flow.client, flow.sport)
    return quoted(flow, flow.server, flow.server_port, *to, size)


@modes
@protocols
def test_about_an_answer_goes_to_the_server(tmp_path, mode, inner, outer, l4):
    flow, configuration = scene(mode, FAMILY[inner], FAMILY[outer], l4, tmp_path)
    cases = [(kind, size) for kind in KINDS[inner] for size in QUOTES]
    errors = [error(flow, kind, FAR_ROUTER[inner], flow.family.vip,
                    quoted(flow, flow.family.vip, flow.dport, flow.client, flow.sport, size)) for kind, size in cases]
    result = replay(tmp_path, configuration, [flow.from_client()] + [received(packet) for packet in errors])
    assert result.verdicts() == [["started"]] + [["error_relayed"]] * len(cases)
    for index, (kind, size) in enumerate(cases):
        actual = result.one(1 + index)
        if mode in ("full_nat", "nat"):
            packet = error(flow, kind, FAR_ROUTER[inner], flow.server, as_server_knows(flow, size), ttl=59)
            compare(actual, frame(packet))
        elif mode == "dsr":
            compare(actual, frame(hop(renewed(errors[index])), next_hop=flow.server))
        else:
            compare(actual, frame(flow.tunnel(hop(renewed(errors[index])), actual)))


@answering
@protocols
def test_about_a_forwarded_packet_goes_to_the_client(tmp_path, mode, family, l4):
    flow, configuration = scene(mode, family, family, l4, tmp_path)
    cases = [(kind, size) for kind in KINDS[family.version] for size in QUOTES]
    ours = (family.weir, flow.local_port) if mode == "full_nat" else (flow.client, flow.sport)
    errors = [error(flow, kind, NEAR_ROUTER[family.version], ours[0],
                    quoted(flow, *ours, flow.server, flow.server_port, size)) for kind, size in cases]
    result = replay(tmp_path, configuration, [flow.from_client()] + [received(packet) for packet in errors])
    assert result.verdicts() == [["started"]] + [["error_relayed"]] * len(cases)
    for index, (kind, size) in enumerate(cases):
        wanted = error(flow, kind, NEAR_ROUTER[family.version], flow.client,
                       quoted(flow, flow.client, flow.sport, family.vip, flow.dport, size), ttl=59)
        compare(result.one(1 + index), frame(wanted))


@answering
def test_about_no_flow_of_ours(tmp_path, mode, family):
    flow, configuration = scene(mode, family, family, TCP, tmp_path)
    kind = KINDS[family.version][0]
    stranger = quoted(flow, family.vip, flow.dport, family.client_of(77), 7777, 8)
    other_port = quoted(flow, family.weir, 65000, flow.server, flow.server_port, 8)
    frames = [received(error(flow, kind, FAR_ROUTER[family.version], family.vip, stranger)),
              received(error(flow, kind, NEAR_ROUTER[family.version], family.weir, other_port))]
    result = replay(tmp_path, configuration, [flow.from_client()] + frames)
    assert not result.frames[1] and not result.frames[2]
    assert {result.decisions[index][0]["verdict"] for index in (1, 2)} <= {"passed", "drop_no_flow"}


@modes
def test_a_quote_too_short_to_know_the_flow(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, FAMILY[inner], FAMILY[outer], TCP, tmp_path)
    packets = [error(flow, kind, FAR_ROUTER[inner], flow.family.vip,
                     quoted(flow, flow.family.vip, flow.dport, flow.client, flow.sport, 4)) for kind in KINDS[inner]]
    result = replay(tmp_path, configuration, [flow.from_client()] + [received(packet) for packet in packets])
    assert result.frames[1:] == [[]] * len(packets)


@modes
def test_an_error_without_hops_left(tmp_path, mode, inner, outer):
    """Nobody is told about errors."""
    flow, configuration = scene(mode, FAMILY[inner], FAMILY[outer], TCP, tmp_path)
    packet = error(flow, KINDS[inner][1], FAR_ROUTER[inner], flow.family.vip,
                   quoted(flow, flow.family.vip, flow.dport, flow.client, flow.sport, 8), ttl=1)
    result = replay(tmp_path, configuration, [flow.from_client(), received(packet)])
    assert result.verdicts() == [["started"], ["drop_ttl"]] and not result.frames[1]


@modes
def test_a_bad_checksum_of_an_error(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, FAMILY[inner], FAMILY[outer], TCP, tmp_path)
    data = bytearray(raw(received(error(flow, KINDS[inner][1], FAR_ROUTER[inner], flow.family.vip, quoted(
        flow, flow.family.vip, flow.dport, flow.client, flow.sport, 8)))))
    data[-1] ^= 1
    result = replay(tmp_path, configuration, [flow.from_client(), Raw(bytes(data))])
    assert result.verdicts() == [["started"], ["drop_parse"]] and not result.frames[1]
