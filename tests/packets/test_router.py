"""What a router owes: hops, sizes, tags and options, and packets that nobody should forward."""

import pytest
from flows import MODES, Flow, compare
from rewrite import frame
from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP, IPOption_RR, IPOption_Timestamp
from scapy.layers.inet6 import (ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop,
                                PadN)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw
from world import MACS, ROUTER_MAC, V4, V6, WEIR_MAC, config, received, replay, service

FAMILY = {4: V4, 6: V6}
modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))
tunnels = pytest.mark.parametrize("mode, inner, outer", [row for row in MODES if row[0] in ("ipip", "gue")],
                                  ids=lambda value: str(value))
OVERHEAD = {("ipip", 4): 20, ("ipip", 6): 40, ("gue", 4): 32, ("gue", 6): 52}


def error_v4(actual, client, **fields):
    """The ICMP error that Weir sends, but for what the sender of an IP packet may choose."""
    told = IP(actual[14:])
    assert told.ttl >= 64 and told.proto == 1
    return IP(src=V4.weir, dst=client, ttl=told.ttl, tos=told.tos, id=told.id, flags=told.flags) / ICMP(**fields)


def quoted(ip, actual, header_len, limit):
    """As much of the packet as the error may carry; RFC 792 demands 8 bytes behind the header, RFC 1812 more."""
    data = raw(ip)
    size = min(len(data), limit - header_len)
    assert len(actual) - 14 - header_len == size
    return Raw(data[:size])


def expected_error(sent_frame, actual, family, client, code):
    """`code` is "ttl", or the MTU of a packet that is too big."""
    ip = sent_frame.payload
    if family is V4:
        fields = {"type": 11, "code": 0} if code == "ttl" else {"type": 3, "code": 4, "nexthopmtu": code}
        return frame(error_v4(actual, client, **fields) / quoted(ip, actual, 28, 576))
    told = IPv6(actual[14:])
    assert told.hlim >= 64
    icmp = ICMPv6TimeExceeded() if code == "ttl" else ICMPv6PacketTooBig(mtu=code)
    return frame(IPv6(src=V6.weir, dst=client, hlim=told.hlim, tc=told.tc, fl=told.fl) / icmp /
                 quoted(ip, actual, 48, 1280))


@modes
@pytest.mark.parametrize("ttl", [0, 1])
def test_a_packet_without_hops_left(tmp_path, mode, inner, outer, ttl):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    packet = flow.from_client(b"x" * 700, ttl=ttl)
    result = replay(tmp_path, service(mode, flow.family, server_family=flow.server_family), [packet])
    assert result.verdicts() == [["time_exceeded_sent"]]
    compare(result.one(0), expected_error(packet, result.one(0), flow.family, flow.client, "ttl"))


@modes
def test_the_last_hop_but_one_goes_on(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    packet = flow.from_client(ttl=2)
    result = replay(tmp_path, service(mode, flow.family, server_family=flow.server_family), [packet])
    flow.learn(result.one(0))
    compare(result.one(0), flow.at_server(packet, result.one(0)))


@tunnels
def test_a_packet_too_big_for_its_tunnel(tmp_path, mode, inner, outer):
    """The largest that fits passes, one byte more is told to the sender with the right MTU."""
    flow = Flow(mode, FAMILY[inner], FAMILY[outer], l4=UDP, dport=53)
    mtu = 1500 - OVERHEAD[mode, outer]
    room = mtu - (20 if inner == 4 else 40) - 8
    fits, big = flow.from_client(b"f" * room), flow.from_client(b"b" * (room + 1))
    result = replay(tmp_path, service(mode, flow.family, port=53, udp=True, server_family=flow.server_family),
                    [fits, big])
    assert result.verdicts() == [["started"], ["too_big_sent"]]
    compare(result.one(0), flow.at_server(fits, result.one(0)))
    compare(result.one(1), expected_error(big, result.one(1), flow.family, flow.client, mtu))


@pytest.mark.parametrize("mode, inner, outer", [row for row in MODES if row[1] == 4], ids=str)
def test_too_big_for_the_link(tmp_path, mode, inner, outer):
    """Without "don't fragment" there is nobody to tell: Weir cuts the packet up (test_cut.py)."""
    flow = Flow(mode, V4, FAMILY[outer], l4=UDP, dport=53)
    overhead = OVERHEAD.get((mode, outer), 0)
    mtu = 1400 - overhead
    told = flow.from_client(b"d" * 1400)
    untold = flow.from_client(b"d" * 1400, ip={"flags": 0})
    result = replay(tmp_path, service(mode, V4, port=53, udp=True, server_family=flow.server_family, mtu=1400),
                    [told, untold])
    assert result.verdicts() == [["too_big_sent"], ["forwarded"]]
    compare(result.one(0), expected_error(told, result.one(0), V4, flow.client, mtu))
    assert len(result.frames[1]) == 2


@modes
def test_a_tagged_frame_is_served_as_one_without(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    plain = flow.from_client()
    tagged = Ether(src=ROUTER_MAC, dst=WEIR_MAC) / Dot1Q(vlan=10, prio=3) / plain.payload
    configuration = service(mode, flow.family, server_family=flow.server_family)
    with_tag, without = replay(tmp_path, configuration, [tagged]), replay(tmp_path, configuration, [plain])
    assert with_tag.verdicts() == without.verdicts() == [["started"]]
    assert with_tag.one(0) == without.one(0)


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_ip_options_are_carried(tmp_path, mode):
    flow = Flow(mode, V4)
    options = [IPOption_RR(routers=["0.0.0.0"] * 3), IPOption_Timestamp(flg=0, length=12, pointer=5)]
    packet = flow.from_client(ip={"options": options})
    result = replay(tmp_path, service(mode), [packet])
    assert result.verdicts() == [["started"]]
    flow.learn(result.one(0))
    compare(result.one(0), flow.at_server(packet, result.one(0)))


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_extension_headers_are_carried(tmp_path, mode):
    flow = Flow(mode, V6)
    packet = flow.from_client()
    ip, tcp = packet.getlayer(IPv6).copy(), packet.getlayer(TCP)
    ip.remove_payload()
    packet = received(ip / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) /
                      IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)]) / tcp)
    result = replay(tmp_path, service(mode, V6), [packet])
    assert result.verdicts() == [["started"]]
    flow.learn(result.one(0))
    compare(result.one(0), flow.at_server(packet, result.one(0)))


def corrupted(packet, offset, value=None):
    data = bytearray(raw(packet))
    data[offset] = data[offset] ^ 0x5a if value is None else value
    return Raw(bytes(data))


BAD_V4 = {
    "IP checksum": lambda packet: corrupted(packet, 14 + 10),
    "TCP checksum": lambda packet: corrupted(packet, 14 + 20 + 16),
    "payload against the checksum": lambda packet: corrupted(packet, 14 + 40),
    "version": lambda packet: corrupted(packet, 14, 0x65),
    "header length": lambda packet: corrupted(packet, 14, 0x44),
    "TCP header length": lambda packet: corrupted(packet, 14 + 20 + 12, 0x40),
    "cut off in the IP header": lambda packet: Raw(raw(packet)[:30]),
    "cut off in the TCP header": lambda packet: Raw(raw(packet)[:14 + 20 + 12]),
    "cut off in the payload": lambda packet: Raw(raw(packet)[:-1]),
}
BAD_V6 = {
    "TCP checksum": lambda packet: corrupted(packet, 14 + 40 + 16),
    "payload against the checksum": lambda packet: corrupted(packet, 14 + 60),
    "version": lambda packet: corrupted(packet, 14, 0x45),
    "cut off in the IP header": lambda packet: Raw(raw(packet)[:40]),
    "cut off in the TCP header": lambda packet: Raw(raw(packet)[:14 + 40 + 12]),
    "cut off in the payload": lambda packet: Raw(raw(packet)[:-1]),
}
MARTIANS_V4 = ["0.0.0.0", "224.0.0.1", "255.255.255.255", "239.1.2.3"]
MARTIANS_V6 = ["::", "ff02::1", "::ffff:198.51.100.7"]


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
@pytest.mark.parametrize("family, bad", [(V4, BAD_V4), (V6, BAD_V6)], ids=["v4", "v6"])
def test_bad_packets_are_dropped(tmp_path, mode, family, bad):
    flow = Flow(mode, family)
    packets = [make(flow.from_client(b"payload")) for make in bad.values()]
    result = replay(tmp_path, service(mode, family), packets)
    assert dict(zip(bad, result.verdicts())) == {name: ["drop_parse"] for name in bad}
    assert result.frames == [[]] * len(bad)


@pytest.mark.parametrize("family, sources", [(V4, MARTIANS_V4), (V6, MARTIANS_V6)], ids=["v4", "v6"])
def test_martians_are_dropped(tmp_path, family, sources):
    flow = Flow("dsr", family)
    packets = [flow.from_client(ip={"src": source}) for source in sources]
    result = replay(tmp_path, service("dsr", family), packets)
    assert dict(zip(sources, result.verdicts())) == {source: ["drop_parse"] for source in sources}
    assert result.frames == [[]] * len(sources)
    assert f"drop_martian {len(sources)}" in result.stderr


def test_ethernet_padding_is_not_carried(tmp_path):
    flow = Flow("ipip", V4)
    packet = flow.from_client()
    result = replay(tmp_path, service("ipip"), [Raw(raw(packet) + b"\xee" * 6)])
    compare(result.one(0), flow.at_server(packet, result.one(0)))


def test_what_is_no_services_is_passed(tmp_path):
    others = [
        received(IP(src=V4.client, dst=V4.vip) / TCP(sport=1, dport=81, flags="S")),  # another port
        received(IP(src=V4.client, dst=V4.vip) / UDP(sport=1, dport=80)),  # another protocol
        received(IP(src=V4.client, dst=V4.weir) / TCP(sport=1, dport=80, flags="S")),  # our own address
        received(IP(src=V4.client, dst=V4.vip) / ICMP()),  # a ping
        received(IPv6(src=V6.client, dst=V6.vip) / TCP(sport=1, dport=80, flags="S")),  # the other IP version
        received(IP(src=V4.servers[0], dst=V4.weir) / TCP(sport=80, dport=5000, flags="A")),  # an answer to no flow
        received(ARP(pdst=V4.weir)),
        Ether(src=ROUTER_MAC, dst=WEIR_MAC, type=0x88cc) / Raw(b"lldp" * 12),
    ]
    result = replay(tmp_path, service("nat"), others)
    assert result.verdicts() == [["passed"]] * len(others)
    assert result.frames == [[]] * len(others)


def test_a_server_that_no_neighbor_leads_to(tmp_path):
    """On the link, but with no MAC address known: it waits, and is gone."""
    flow = Flow("dsr", V4)
    unknown = V4.server(99)
    assert unknown not in MACS
    result = replay(tmp_path, service("dsr", lines=[f"{unknown}:80"]), [flow.from_client()])
    assert not result.frames[0]


def test_a_configuration_without_a_way_out(tmp_path):
    """No default neighbor, and a server that is not on the link."""
    text = service("ipip", lines=["192.0.2.1:80"]).replace(f"neighbor default {ROUTER_MAC};", "")
    result = replay(tmp_path, text, [Flow("ipip", V4).from_client()])
    assert result.verdicts() == [["drop_no_route"]]
    assert not result.frames[0]


def test_config_is_used(tmp_path):
    """A stream without the service that the packet is for."""
    other = config(f"server {{ listen {V4.vip}:81; proxy_pass {V4.servers[0]}:81; forward dsr; }}")
    assert replay(tmp_path, other, [Flow("dsr", V4).from_client()]).verdicts() == [["passed"]]
