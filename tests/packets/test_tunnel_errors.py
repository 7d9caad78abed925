"""ICMP errors about a tunnel's outer packet: the client is told of its own packet, and Weir remembers the path MTU."""

import pytest
from flows import GUE_PORT, TUNNELS, Flow, compare
from rewrite import frame, hop, renewed
from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6ParamProblem, ICMPv6TimeExceeded, IPv6)
from scapy.packet import Raw
from world import START_NS, STEP_NS, V4, V6, received, replay, service

FAMILY = {4: V4, 6: V6}
ROUTER = {4: "10.0.0.200", 6: "2001:db8::c8"}
MTU = 1400
LIFE_NS = 600_000_000_000
tunnels = pytest.mark.parametrize("mode, inner, outer", TUNNELS, ids=lambda value: str(value))


def too_big(family, mtu=MTU):
    return ICMP(type=3, code=4, nexthopmtu=mtu) if family is V4 else ICMPv6PacketTooBig(mtu=mtu)


def headers_of(mode, outer):
    return (20 if outer == 4 else 40) + (12 if mode == "gue" else 0)


def length_of(flow, total):
    """A payload that makes the client's packet this long."""
    return b"odd" * 500, total - (20 if flow.family is V4 else 40) - (20 if flow.l4 is TCP else 8)


def large(flow, total=1440, **fields):
    payload, size = length_of(flow, total)
    if flow.l4 is TCP:
        fields = {"flags": "A", "seq": 1001, **fields}
    return flow.from_client(payload[:size], **fields)


def refusal(flow, kind, sent, size=None, source=None, to=None):
    """What a router between Weir and the server says about a frame that Weir sent: `size` bytes of it."""
    family = flow.server_family
    quote = Raw(sent[14:][:size or (548 if family is V4 else 1232)])
    source, to = source or ROUTER[family.version], to or family.weir
    ip = IP(src=source, dst=to, ttl=60, id=5) if family is V4 else IPv6(src=source, dst=to, hlim=60)
    return received(ip / kind.copy() / quote)


def told(flow, kind, size, inner):
    """The error that the client must get: about its packet `inner`, of which `size` bytes were quoted."""
    family = flow.family
    quote = Raw(raw(inner)[:min(size, 548 if family is V4 else 1232)])
    ip = (IP(src=family.weir, dst=flow.client, ttl=64, id=0, flags=0) if family is V4
          else IPv6(src=family.weir, dst=flow.client, hlim=64))
    return ip / kind / quote


def same_error(actual, wanted):
    """Identification, flags and flow label of an error are nobody's business."""
    layer = IP if isinstance(wanted, IP) else IPv6
    sent = layer(actual[14:])
    if layer is IP:
        wanted.id, wanted.flags = sent.id, sent.flags
    else:
        wanted.fl = sent.fl
    compare(actual, frame(wanted))


def scene(mode, inner, outer, directory, l4=TCP, **options):
    """The flow, its configuration, and Weir's frame that carries a large packet of it."""
    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=l4)
    configuration = service(mode, FAMILY[inner], udp=l4 is UDP, server_family=FAMILY[outer], **options)
    sent = replay(directory, configuration, [flow.from_client(), large(flow)]).one(1)
    return flow, configuration, sent


@tunnels
@pytest.mark.parametrize("l4", [TCP, UDP], ids=["tcp", "udp"])
def test_too_big_tells_the_client_at_once_and_later(tmp_path, mode, inner, outer, l4):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path, l4)
    growth = headers_of(mode, outer)
    fits = large(flow, MTU - growth)
    frames = [flow.from_client(), large(flow), refusal(flow, too_big(flow.server_family), sent), large(flow), fits,
              large(flow, MTU - growth + 1)]
    result = replay(tmp_path, configuration, frames)
    assert result.verdicts() == [["started"], ["forwarded"], ["error_relayed"], ["too_big_sent"], ["forwarded"],
                                 ["too_big_sent"]]
    kind = too_big(flow.family, MTU - growth)
    quoted = (548 if outer == 4 else 1232) - growth
    same_error(result.one(2), told(flow, kind, quoted, hop(renewed(large(flow).payload))))
    same_error(result.one(3), told(flow, kind, 2000, renewed(large(flow).payload)))
    compare(result.one(4), flow.at_server(fits, result.one(4)))


@tunnels
def test_is_forgotten_after_ten_minutes(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path, l4=UDP, options="proxy_timeout 1h;")
    frames = [flow.from_client(), refusal(flow, too_big(flow.server_family), sent), large(flow), large(flow)]
    learnt = START_NS + STEP_NS
    times = [START_NS, learnt, learnt + LIFE_NS - STEP_NS, learnt + LIFE_NS]
    result = replay(tmp_path, configuration, frames, times)
    assert result.verdicts() == [["started"], ["error_relayed"], ["too_big_sent"], ["forwarded"]]


@tunnels
def test_other_servers_are_not_concerned(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    others = (Flow(mode, FAMILY[inner], FAMILY[outer], sport=port) for port in range(40001, 40100))
    other = next(candidate for candidate in others if candidate.server != flow.server)
    frames = [flow.from_client(), other.from_client(), refusal(flow, too_big(flow.server_family), sent), large(other)]
    assert replay(tmp_path, configuration, frames).verdicts() == [["started"], ["started"], ["error_relayed"],
                                                                  ["forwarded"]]


@tunnels
def test_a_new_connection_is_told_by_its_mss(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path, options="mss_clamp on;")
    opening = flow.from_client(options=[("MSS", 1460)])
    error = refusal(flow, too_big(flow.server_family), sent)
    result = replay(tmp_path, configuration, [flow.from_client(), error, opening])
    packet = result.one(2)[14 + headers_of(mode, outer):]
    mss = dict(flow.family.layer(packet)[TCP].options)["MSS"]
    assert mss == MTU - headers_of(mode, outer) - (40 if inner == 4 else 60)


@tunnels
def test_without_a_flow_the_hash_says_whose_it_is(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    result = replay(tmp_path, configuration, [refusal(flow, too_big(flow.server_family), sent), large(flow)])
    assert result.verdicts() == [["error_relayed"], ["too_big_sent"]]


@tunnels
def test_a_quote_that_ends_behind_the_ports_is_only_remembered(tmp_path, mode, inner, outer):
    """Of the inner TCP header 4 bytes: enough to know the flow, not for the client."""
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    size = headers_of(mode, outer) + (20 if inner == 4 else 40) + 4
    frames = [flow.from_client(), refusal(flow, too_big(flow.server_family), sent, size), large(flow)]
    result = replay(tmp_path, configuration, frames)
    assert result.verdicts() == [["started"], ["passed"], ["too_big_sent"]]


@tunnels
def test_shorter_quotes_say_nothing(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    sizes = range(8, headers_of(mode, outer) + (20 if inner == 4 else 40) + 4)
    frames = [refusal(flow, too_big(flow.server_family), sent, size) for size in sizes]
    result = replay(tmp_path, configuration, [flow.from_client(), *frames, large(flow)])
    assert result.verdicts() == [["started"]] + [["passed"]] * len(frames) + [["forwarded"]]


@tunnels
def test_a_router_that_does_not_say_its_mtu(tmp_path, mode, inner, outer):
    """RFC 1191 section 7.1: the next of the usual sizes. IPv6 has always said it."""
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    frames = [flow.from_client(), refusal(flow, too_big(flow.server_family, 0), sent), large(flow, 1280),
              large(flow, 1006 - headers_of(mode, outer))]
    verdicts = replay(tmp_path, configuration, frames).verdicts()
    if outer == 6:
        assert verdicts == [["started"], ["passed"], ["forwarded"], ["forwarded"]]
    else:
        assert verdicts == [["started"], ["error_relayed"], ["too_big_sent" if inner == 4 else "forwarded"],
                            ["forwarded"]]


@tunnels
def test_lies_are_not_believed(tmp_path, mode, inner, outer):
    """Each names something that Weir did not send."""
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    family, inner_at = flow.server_family, 14 + headers_of(mode, outer)
    kind, lies = too_big(family), []

    def lie(at, value):
        data = bytearray(sent)
        data[at:at + len(value)] = value
        lies.append(refusal(flow, kind, bytes(data)))

    other = next(server for server in family.servers if server != flow.server)
    address = raw(family.layer(src=other, dst=other))[12:16] if outer == 4 else raw(IPv6(src=other))[8:24]
    lie(14 + (16 if outer == 4 else 24), address)  # another server
    lie(14 + (12 if outer == 4 else 8), address)  # from no address of ours
    lie(inner_at + (20 if inner == 4 else 40) + 2, b"\x00\x51")  # not the service's port
    lie(inner_at + (9 if inner == 4 else 6), b"\x11")  # not its protocol
    if mode == "gue":
        lie(inner_at - 12 + 2, (GUE_PORT + 1).to_bytes(2, "big"))
        lie(inner_at - 4, b"\x20")
        lie(inner_at - 4, b"\x01")
    lies.append(refusal(flow, too_big(family, len(sent) - 14), sent))  # it would have fitted
    lies.append(refusal(flow, kind, sent, to=family.vip))  # not to whom it quotes
    result = replay(tmp_path, configuration, [flow.from_client(), *lies, large(flow)])
    assert result.verdicts() == [["started"]] + [["passed"]] * len(lies) + [["forwarded"]]


def test_nobody_can_say_less_than_anybody_has(tmp_path):
    flow, configuration, sent = scene("ipip", 4, 4, tmp_path)
    frames = [flow.from_client(), refusal(flow, too_big(V4, 68), sent), large(flow, 532), large(flow, 533)]
    verdicts = replay(tmp_path, configuration, frames).verdicts()
    assert verdicts == [["started"], ["error_relayed"], ["forwarded"], ["too_big_sent"]]


@tunnels
def test_a_larger_mtu_does_not_replace_a_smaller(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    family = flow.server_family
    frames = [flow.from_client(), refusal(flow, too_big(family), sent), refusal(flow, too_big(family, 1450), sent),
              large(flow, MTU - headers_of(mode, outer) + 1)]
    assert replay(tmp_path, configuration, frames).verdicts()[3] == ["too_big_sent"]


# (what a router says, what the client hears); RFC 2003 section 4, RFC 2473 section 8
UNREACHABLE = {
    4: [(ICMP(type=3, code=0), 0), (ICMP(type=3, code=1), 1), (ICMP(type=3, code=2), 1), (ICMP(type=3, code=3), 1),
        (ICMP(type=3, code=13), 1), (ICMP(type=11, code=0), 1)],
    6: [(ICMPv6DestUnreach(code=0), 1), (ICMPv6DestUnreach(code=1), 1), (ICMPv6DestUnreach(code=4), 1),
        (ICMPv6TimeExceeded(code=0), 1)],
}
NOBODYS = {
    4: [ICMP(type=3, code=5), ICMP(type=11, code=1), ICMP(type=12, code=0, ptr=9)],
    6: [ICMPv6TimeExceeded(code=1), ICMPv6ParamProblem(code=1, ptr=6)],
}


@tunnels
def test_unreachable_is_about_the_clients_own_packet(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    errors = [refusal(flow, kind, sent) for kind, _ in UNREACHABLE[outer]]
    result = replay(tmp_path, configuration, [flow.from_client(), *errors, large(flow)])
    assert result.verdicts() == [["started"]] + [["error_relayed"]] * len(errors) + [["forwarded"]]
    quoted = (548 if outer == 4 else 1232) - headers_of(mode, outer)
    for index, (_, code) in enumerate(UNREACHABLE[outer]):
        kind = ICMP(type=3, code=code) if inner == 4 else ICMPv6DestUnreach(code=3)
        same_error(result.one(1 + index), told(flow, kind, quoted, hop(renewed(large(flow).payload))))


@tunnels
def test_errors_about_weirs_own_headers_go_to_no_client(tmp_path, mode, inner, outer):
    flow, configuration, sent = scene(mode, inner, outer, tmp_path)
    errors = [refusal(flow, kind, sent) for kind in NOBODYS[outer]]
    result = replay(tmp_path, configuration, [flow.from_client(), *errors])
    assert result.verdicts() == [["started"]] + [["passed"]] * len(errors)
    assert not any(result.frames[1:])


@pytest.mark.parametrize("mode, outer", [(mode, outer) for mode, inner, outer in TUNNELS if inner == 4],
                         ids=lambda value: str(value))
def test_what_may_be_fragmented_is_from_then_on(tmp_path, mode, outer):
    """Its sender is told nothing."""
    flow, configuration, sent = scene(mode, 4, outer, tmp_path)
    may_be = large(flow, ip={"flags": 0, "id": 4711})
    sent = replay(tmp_path, configuration, [flow.from_client(), may_be]).one(1)
    frames = [flow.from_client(), refusal(flow, too_big(flow.server_family), sent), may_be]
    result = replay(tmp_path, configuration, frames)
    assert result.verdicts() == [["started"], ["passed"], ["forwarded"]]
    assert not result.frames[1] and [len(data) - 14 <= MTU for data in result.frames[2]] == [True, True]
