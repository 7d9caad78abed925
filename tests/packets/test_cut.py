"""IPv4 packets that may be fragmented and do not fit the way: Weir cuts them up, and together they are the packet."""

import pytest
from flows import MODES, Flow
from rewrite import hop, layer_of, renewed
from scapy.compat import raw
from scapy.layers.inet import IP, IPOption_NOP, TCP, UDP, fragment, in4_pseudoheader
from scapy.utils import checksum
from world import V4, V6, received, replay, service

FAMILY = {4: V4, 6: V6}
MTU = 1400
modes = pytest.mark.parametrize("mode, inner, outer", [row for row in MODES if row[1] == 4], ids=str)
protocols = pytest.mark.parametrize("l4", [TCP, UDP], ids=["tcp", "udp"])


def overhead_of(mode, outer):
    return ((20 if outer == 4 else 40) + (12 if mode == "gue" else 0)) if mode in ("ipip", "gue") else 0


def whole(flow, size, **fields):
    payload = bytes(range(251)) * (size // 251 + 1)
    if flow.l4 is TCP:
        fields = {"flags": "A", "seq": 1001, **fields}
    return flow.from_client(payload[:size], **{"ip": {"flags": 0, "id": 4711}, **fields})


def pieces_of(frames, mode, outer):
    """The fragments inside the frames, whose outer lengths must be true and whose sums right."""
    overhead, found = overhead_of(mode, outer), []
    for data in frames:
        assert len(data) - 14 <= MTU
        if overhead:
            around = FAMILY[outer].layer(data[14:])
            assert (around.len if outer == 4 else around.plen + 40) == len(data) - 14
        piece = IP(data[14 + overhead:])
        assert piece.len == len(data) - 14 - overhead
        right = piece.copy()
        del right.chksum
        assert IP(raw(right)).chksum == piece.chksum
        found.append(piece)
    return found


def joined(pieces, first_offset=0):
    """The packet that the fragments are of. They come in order, without gaps, and share what they must."""
    payload = b""
    for index, piece in enumerate(pieces):
        assert piece.frag * 8 == first_offset + len(payload)
        assert bool(piece.flags.MF) == (index + 1 < len(pieces)) and not piece.flags.DF
        assert all(getattr(piece, name) == getattr(pieces[0], name) for name in ("id", "src", "dst", "ttl", "tos"))
        payload += bytes(piece.payload)
    packet = pieces[0].copy()
    packet.flags, packet.frag, packet.len, packet.chksum = 0, 0, None, None
    packet.remove_payload()
    return raw(packet / payload)


def expected(flow, sent, frames, mode):
    """What the server gets of the whole packet, inside a tunnel where there is one."""
    if mode in ("ipip", "gue"):
        return raw(hop(renewed(layer_of(sent))))
    return flow.at_server(sent, frames[0])[14:]


@modes
@protocols
@pytest.mark.parametrize("more", [1, 9, 700, 5000])
def test_a_client_packet(tmp_path, mode, inner, outer, l4, more):
    flow = Flow(mode, V4, FAMILY[outer], l4=l4)
    configuration = service(mode, V4, udp=l4 is UDP, server_family=FAMILY[outer], mtu=MTU)
    size = MTU - overhead_of(mode, outer) - 20 - (20 if l4 is TCP else 8) + more
    sent = whole(flow, size)
    flow.rehearse(tmp_path, configuration)
    result = replay(tmp_path, configuration, [flow.from_client(), sent])
    assert result.verdicts() == [["started"], ["forwarded"]]
    frames = result.frames[1]
    most = (MTU - overhead_of(mode, outer) - 20) // 8 * 8
    assert len(frames) == -(-(size + (20 if l4 is TCP else 8)) // most)
    assert joined(pieces_of(frames, mode, outer)).hex() == expected(flow, sent, frames, mode).hex()


@pytest.mark.parametrize("mode", ["full_nat", "nat"])
@protocols
def test_an_answer(tmp_path, mode, l4):
    flow = Flow(mode, V4, l4=l4)
    configuration = service(mode, V4, udp=l4 is UDP, mtu=MTU)
    flow.rehearse(tmp_path, configuration)
    answer = flow.from_server(bytes(range(251)) * 12, ip={"flags": 0, "id": 4712})
    result = replay(tmp_path, configuration, [flow.from_client(), answer])
    assert result.verdicts() == [["started"], ["answered"]] and len(result.frames[1]) == 3
    assert joined(pieces_of(result.frames[1], mode, 4)).hex() == flow.at_client(answer)[14:].hex()


@modes
def test_a_fragment_of_the_clients(tmp_path, mode, inner, outer):
    """Its offset is counted on, and only the last piece of the last fragment is the last."""
    flow = Flow(mode, V4, FAMILY[outer], l4=UDP)
    configuration = service(mode, V4, udp=True, server_family=FAMILY[outer], mtu=MTU)
    flow.rehearse(tmp_path, configuration)
    sent = whole(flow, 4000)
    parts = [received(part) for part in fragment(IP(raw(layer_of(sent))), 2000)]
    result = replay(tmp_path, configuration, [flow.from_client(), *parts])
    frames = [data for part in result.frames[1:] for data in part]
    assert len(parts) == 3 and len(frames) == 5
    assert joined(pieces_of(frames, mode, outer)).hex() == expected(flow, sent, frames, mode).hex()


@modes
def test_a_partial_checksum_is_complete_in_the_pieces(tmp_path, mode, inner, outer):
    flow = Flow(mode, V4, FAMILY[outer], l4=UDP)
    configuration = service(mode, V4, udp=True, server_family=FAMILY[outer], mtu=MTU)
    flow.rehearse(tmp_path, configuration)
    sent = whole(flow, 2000)
    sent[UDP].chksum = ~checksum(in4_pseudoheader(17, sent[IP], 2008)) & 0xffff
    frames = replay(tmp_path, configuration, [flow.from_client(), sent]).frames[1]
    assert joined(pieces_of(frames, mode, outer)).hex() == expected(flow, sent, frames, mode).hex()


@modes
def test_with_options_is_dropped_by_name(tmp_path, mode, inner, outer):
    flow = Flow(mode, V4, FAMILY[outer], l4=UDP)
    configuration = service(mode, V4, udp=True, server_family=FAMILY[outer], mtu=MTU)
    sent = whole(flow, 2000, ip={"flags": 0, "id": 5, "options": [IPOption_NOP()]})
    result = replay(tmp_path, configuration, [flow.from_client(), sent])
    assert result.verdicts() == [["started"], ["drop_too_big"]] and not result.frames[1]


def test_into_more_pieces_than_there_may_be(tmp_path):
    flow = Flow("dsr", V4, l4=UDP)
    configuration = service("dsr", V4, udp=True, mtu=576)
    most, too_many = whole(flow, 64 * 552 - 8), whole(flow, 64 * 552 - 7)
    result = replay(tmp_path, configuration, [flow.from_client(), most, too_many])
    assert result.verdicts()[1:] == [["forwarded"], ["drop_too_big"]]
    assert len(result.frames[1]) == 64 and not result.frames[2]
