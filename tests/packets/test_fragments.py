"""Fragments go the way of their flow, in whatever order they come; a server can put together what it was sent."""

import itertools

import pytest
from flows import MODES, Flow, compare
from rewrite import changed, frame, hop, layer_of
from scapy.compat import raw
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6, IPv6ExtHdrFragment, fragment6
from world import START_NS, STEP_NS, V4, V6, received, replay, service

FAMILY = {4: V4, 6: V6}
PAYLOAD = bytes(range(256)) * 12  # three fragments
modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))
answering = pytest.mark.parametrize("mode, inner, outer", [row for row in MODES if row[0] in ("full_nat", "nat")],
                                    ids=lambda value: str(value))


def whole(frame_of_flow, identification=0x1234):
    """An IP packet that is to be cut up."""
    ip = layer_of(frame_of_flow).copy()
    if isinstance(ip, IP):
        ip.flags, ip.id = 0, identification
        return ip
    payload = ip.payload
    ip.remove_payload()
    return ip / IPv6ExtHdrFragment(id=identification) / payload


def cut(ip):
    """IP packets: the fragments of one."""
    if isinstance(ip, IP):
        return [IP(raw(part)) for part in fragment(ip, 1208)]
    return [IPv6(raw(part)) for part in fragment6(ip, 1280)]


def hop_alone(ip):
    """One hop less and nothing else: a fragment's L4 checksum is over more than the fragment."""
    data = bytearray(raw(ip))
    data[8 if isinstance(ip, IP) else 7] -= 1
    copy = type(ip)(bytes(data))
    if isinstance(ip, IP):
        data[10:12] = b"\0\0"
        copy = IP(bytes(data))
        copy.chksum = None
    return copy


def expected(flow, ip, actual):
    """Frames that the server must get for the fragments of `ip`; `actual` are those it got, in the order of the parts."""
    if flow.mode == "full_nat":
        return [frame(part) for part in cut(changed(ip, src=flow.family.weir, dst=flow.server, sport=flow.local_port,
                                                    dport=flow.server_port))]
    if flow.mode == "nat":
        return [frame(part) for part in cut(changed(ip, dst=flow.server, dport=flow.server_port))]
    parts = [hop_alone(part) for part in cut(ip)]
    if flow.mode == "dsr":
        return [frame(part, next_hop=flow.server) for part in parts]
    return [frame(flow.tunnel(part, sent)) for part, sent in zip(parts, actual)]


def scene(mode, inner, outer, l4=UDP):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=l4, dport=53)
    return flow, service(mode, flow.family, port=53, udp=l4 is UDP, server_family=flow.server_family)


@modes
def test_in_any_order(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, inner, outer)
    flow.rehearse(tmp_path, configuration)
    orders = list(itertools.permutations(range(3)))
    wholes = [whole(flow.from_client(PAYLOAD), identification=100 + number) for number in range(len(orders))]
    result = replay(tmp_path, configuration,
                    [received(cut(ip)[part]) for ip, order in zip(wholes, orders) for part in order])
    for number, (ip, order) in enumerate(zip(wholes, orders)):
        frames = result.frames[3 * number:3 * number + 3]
        # What comes before the first waits for it, and leaves behind it in the order it came.
        before = order.index(0)
        leaving = (0, *order[:before], *order[before + 1:])
        assert [len(sent) for sent in frames] == [0] * before + [1 + before] + [1] * (2 - before)
        sent = [frame for frames_at_a_time in frames for frame in frames_at_a_time]
        in_order = [sent[leaving.index(part)] for part in range(3)]
        for actual, wanted in zip(in_order, expected(flow, ip, in_order), strict=True):
            compare(actual, wanted)


@answering
def test_of_an_answer(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, inner, outer)
    query = flow.from_client(b"query")
    flow.rehearse(tmp_path, configuration)
    ip = whole(flow.from_server(PAYLOAD))
    parts = cut(ip)
    result = replay(tmp_path, configuration, [query] + [received(parts[index]) for index in (1, 0, 2)])
    sent = [sent for frames in result.frames[1:] for sent in frames]
    wanted = [frame(part) for part in cut(changed(ip, src=flow.family.vip, dst=flow.client, sport=53, dport=flow.sport))]
    for actual, index in zip(sent, (0, 1, 2), strict=True):
        compare(actual, wanted[index])


@modes
def test_of_tcp(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, inner, outer, l4=TCP)
    flow.rehearse(tmp_path, configuration)
    ip = whole(flow.from_client(PAYLOAD, "PA", seq=1001))
    result = replay(tmp_path, configuration, [flow.from_client()] + [received(part) for part in cut(ip)])
    assert result.verdicts() == [["started"], ["forwarded"], ["forwarded"], ["forwarded"]]
    sent = [result.one(index) for index in (1, 2, 3)]
    for actual, wanted in zip(sent, expected(flow, ip, sent), strict=True):
        compare(actual, wanted)


@modes
def test_packets_that_are_cut_up_at_the_same_time(tmp_path, mode, inner, outer):
    """Two flows, the same identification where the ends differ, fragments that alternate."""
    _, configuration = scene(mode, inner, outer)
    flows = [Flow(mode, FAMILY[inner], FAMILY[outer], l4=UDP, dport=53, client=FAMILY[inner].client_of(300 + index))
             for index in range(2)]
    for flow in flows:
        flow.rehearse(tmp_path, configuration)
    wholes = [whole(flow.from_client(PAYLOAD)) for flow in flows]
    openings = [flow.from_client() for flow in flows]
    frames = [received(part) for pair in zip(*map(cut, wholes)) for part in pair]
    if mode == "full_nat":
        first = replay(tmp_path, configuration, openings)
        for index, flow in enumerate(flows):
            flow.learn(first.one(index))
    result = replay(tmp_path, configuration, openings + frames)
    for index, flow in enumerate(flows):
        sent = [result.one(2 + index + 2 * part) for part in range(3)]
        for actual, wanted in zip(sent, expected(flow, wholes[index], sent), strict=True):
            compare(actual, wanted)


@modes
def test_whose_first_never_comes(tmp_path, mode, inner, outer):
    flow, configuration = scene(mode, inner, outer)
    parts = cut(whole(flow.from_client(PAYLOAD)))
    result = replay(tmp_path, configuration, [received(part) for part in parts[1:]])
    assert result.frames == [[], []] and result.verdicts() == [["fragment_waits"]] * 2
    assert "drop_fragment_timeout 2" in result.stderr


def test_whose_first_comes_too_late(tmp_path):
    flow, configuration = scene("ipip", 4, 4)
    first, second, third = cut(whole(flow.from_client(PAYLOAD)))
    times = [START_NS, START_NS + 10_000_000_000, START_NS + 10_000_000_000 + STEP_NS]
    result = replay(tmp_path, configuration, [received(second), received(first), received(third)], times)
    assert [len(frames) for frames in result.frames] == [0, 1, 1]


def test_more_than_may_wait(tmp_path):
    """Later fragments of a thousand packets: a bounded number waits, the rest is dropped by name."""
    flow, configuration = scene("dsr", 4, 4)
    frames = [received(cut(whole(flow.from_client(PAYLOAD), identification=number))[1]) for number in range(1, 1001)]
    result = replay(tmp_path, configuration, frames)
    assert not any(result.frames)
    assert "drop_fragments_full" in result.stderr and "drop_fragment_timeout" in result.stderr


def test_that_are_no_services(tmp_path):
    flow, configuration = scene("dsr", 4, 4)
    ip = whole(flow.from_client(PAYLOAD))
    ip.dst = V4.weir
    result = replay(tmp_path, configuration, [received(part) for part in cut(ip)])
    assert result.verdicts() == [["passed"]] * 3


def test_hop(tmp_path):
    """The expectation itself: taking one hop by the bytes is what scapy makes of it."""
    packet = IP(src="192.0.2.1", dst="192.0.2.2", ttl=9) / UDP() / b"x"
    assert raw(hop_alone(IP(raw(packet)))) == raw(hop(packet))
