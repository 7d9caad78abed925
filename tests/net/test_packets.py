"""Packets that no honest sender makes. None may stop the service, and none may harm a connection of somebody else."""

import random
import socket
import time

import pytest
from scapy.all import IP, TCP, Ether, ICMP, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrFragment, fragment, raw
from weirtest import Stream, Topology

CONFIG = """
events { }
http {
    access_log off;
    client_header_timeout 2s;
    keepalive_timeout 2s;
    send_timeout 2s;
    server { listen 10.0.1.1:80; listen [fd00:1::1]:80; location / { proxy_pass http://10.0.2.11; } }
}
"""
CLIENT, BALANCER, PORT = "10.0.1.2", "10.0.1.1", 5555


class Wire:
    """The client's interface, frame by frame."""

    def __init__(self, topology):
        with topology.client.enter():
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind(("eth0", 0))
        self.socket.settimeout(3)
        self.client_mac = self._mac(topology.client, "eth0")
        self.balancer_mac = self._mac(topology.balancer_namespace, "front")

    @staticmethod
    def _mac(namespace, name):
        words = namespace.ip("-o", "link", "show", "dev", name).split()
        return words[words.index("link/ether") + 1]

    def ethernet(self, ethertype=0x0800):
        return Ether(src=self.client_mac, dst=self.balancer_mac, type=ethertype)

    def send(self, packet):
        frame = raw(packet)
        if len(frame) <= 1514:
            self.socket.send(frame)

    def send_ip(self, packet):
        self.send(self.ethernet(0x86dd if packet.version == 6 else 0x0800) / packet)

    def answer(self, match, seconds=2):
        """The first TCP segment from the balancer for which match(tcp) holds, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data, address = self.socket.recvfrom(65535)
            except (TimeoutError, BlockingIOError):
                return None
            if address[2] == socket.PACKET_OUTGOING:
                continue
            frame = Ether(data)
            if TCP in frame and frame[TCP].sport == 80 and match(frame[TCP]):
                return frame[TCP]
        return None


class Peer:
    """A TCP client of our own making on port `port`, which the kernel is kept from disturbing."""

    def __init__(self, wire, port):
        self.wire, self.port = wire, port
        self.sequence = 1000
        self.wire.send_ip(self.segment("S", b""))
        answer = wire.answer(lambda tcp: tcp.dport == port and tcp.flags == "SA")
        assert answer, "SYN is answered"
        self.sequence += 1
        self.acknowledge = (answer.seq + 1) & 0xffffffff
        self.window = answer.window
        self.wire.send_ip(self.segment("A", b""))

    def segment(self, flags, data=b"", offset=0, **fields):
        acknowledge = getattr(self, "acknowledge", 0)
        return IP(src=CLIENT, dst=BALANCER) / TCP(sport=self.port, dport=80, flags=flags, **{
            "window": 60000, "seq": (self.sequence + offset) & 0xffffffff, "ack": acknowledge if "A" in flags else 0, **fields}) / data

    def send(self, *arguments, **fields):
        self.wire.send_ip(self.segment(*arguments, **fields))

    def answer(self, match=lambda tcp: True, seconds=2):
        return self.wire.answer(lambda tcp: tcp.dport == self.port and match(tcp), seconds)

    def request_is_answered(self, at=0):
        self.send("PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", offset=at)
        return bool(self.answer(lambda tcp: b"200 OK" in bytes(tcp.payload)))


@pytest.fixture(scope="module")
def web():
    with Topology(servers=1) as net:
        net.nginx()
        net.client.run("nft", "add table ip t; add chain ip t o { type filter hook output priority 0; }; "
                       "add rule ip t o tcp sport 5000-5999 tcp flags rst drop")
        with net.balancer(CONFIG) as net.weir:
            net.wire = Wire(net)
            net.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            net.port = PORT
            yield net


@pytest.fixture
def peer(web):
    web.port += 1
    return Peer(web.wire, web.port)


def lives(web):
    assert web.get("/").text == "s1\n"


def ip(**fields):
    return IP(src=CLIENT, dst=BALANCER, **fields)


def tcp(**fields):
    return TCP(**{"sport": 5001, "dport": 80, "flags": "S", "seq": 1, **fields})


MALFORMED = [
    ("header length 0", ip(ihl=0) / tcp()),
    ("header length 4 words", ip(ihl=4) / tcp()),
    ("header beyond the packet", ip(ihl=15) / tcp()),
    ("total length 0", ip(len=0) / tcp()),
    ("total length below the header", ip(len=19) / tcp()),
    ("total length beyond the frame", ip(len=1500) / tcp()),
    ("total length within the TCP header", ip(len=30) / tcp()),
    ("version 5", ip(version=5) / tcp()),
    ("version 6 in an IPv4 frame", ip(version=6) / tcp()),
    ("bad header sum", ip(chksum=0x1234) / tcp()),
    ("time to live 0", ip(ttl=0) / tcp()),
    ("data offset 0", ip() / tcp(dataofs=0)),
    ("data offset 4", ip() / tcp(dataofs=4)),
    ("data offset beyond the packet", ip() / tcp(dataofs=15)),
    ("bad TCP sum", ip() / tcp(chksum=0x1234)),
    ("port 0", ip() / tcp(sport=0)),
    ("SYN and FIN", ip() / tcp(flags="SF")),
    ("SYN and RST", ip() / tcp(flags="SR")),
    ("no flags", ip() / tcp(flags="")),
    ("all flags", ip() / tcp(flags="FSRPAUEC")),
    ("data on a SYN", ip() / tcp() / (b"x" * 1000)),
    ("urgent data", ip() / tcp(flags="PAU", urgptr=60000) / b"x"),
    ("from itself to itself", IP(src=BALANCER, dst=BALANCER) / tcp(sport=80)),
    ("from loopback", IP(src="127.0.0.1", dst=BALANCER) / tcp()),
    ("from broadcast", IP(src="255.255.255.255", dst=BALANCER) / tcp()),
    ("from multicast", IP(src="224.0.0.1", dst=BALANCER) / tcp()),
    ("from 0.0.0.0", IP(src="0.0.0.0", dst=BALANCER) / tcp()),
    ("option of length 0", ip() / TCP(raw(tcp(dataofs=6)) + b"\x08\x00\x00\x00")),
    ("option of length 1", ip() / TCP(raw(tcp(dataofs=6)) + b"\x08\x01\x00\x00")),
    ("option beyond the header", ip() / TCP(raw(tcp(dataofs=6)) + b"\x08\xff\x00\x00")),
    ("maximum segment size 0", ip() / tcp(options=[("MSS", 0)])),
    ("window scale 255", ip() / tcp(options=[("WScale", 255)])),
    ("IP options", ip(options=b"\x44\x04\x05\x00") / tcp()),
    ("an ICMP error about nothing", ip() / ICMP(type=3, code=1) / IP(src=BALANCER, dst=CLIENT) / tcp(sport=80, dport=5001)),
    ("an ICMP error cut short", ip() / ICMP(type=3, code=4) / b"\x45\x00"),
    ("packet too big, to 0", ip() / ICMP(type=3, code=4, nexthopmtu=0) / IP(src=BALANCER, dst=CLIENT) / tcp(sport=80)),
    ("IPv6 with a length beyond the frame", IPv6(src="fd00:1::2", dst="fd00:1::1", plen=1000) / tcp()),
    ("IPv6 with length 0", IPv6(src="fd00:1::2", dst="fd00:1::1", plen=0) / tcp()),
    ("IPv6 with options", IPv6(src="fd00:1::2", dst="fd00:1::1") / IPv6ExtHdrDestOpt() / tcp()),
    ("IPv6 with twenty headers", IPv6(src="fd00:1::2", dst="fd00:1::1") / (raw(IPv6ExtHdrDestOpt(nh=60)) * 20)),
    ("IPv6 atomic fragment", IPv6(src="fd00:1::2", dst="fd00:1::1") / IPv6ExtHdrFragment() / tcp()),
    ("IPv6 first fragment cut short", IPv6(src="fd00:1::2", dst="fd00:1::1") / IPv6ExtHdrFragment(m=1, nh=6) / b"\0"),
]


@pytest.mark.parametrize("packet", [row[1] for row in MALFORMED], ids=[row[0] for row in MALFORMED])
def test_malformed_packet(web, packet):
    for _ in range(3):
        web.wire.send_ip(packet)
    lives(web)


def test_every_length_of_a_segment(web):
    """A good SYN cut after each of its bytes."""
    whole = raw(web.wire.ethernet() / ip() / tcp(options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("WScale", 7)]))
    for size in range(14, len(whole)):
        web.wire.socket.send(whole[:size])
    lives(web)


def test_fragments_of_a_request(web, peer):
    """Reassembled or dropped: never taken for a whole segment."""
    for piece in fragment(peer.segment("PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + b" " * 100), 48):
        web.wire.send_ip(piece)
    lives(web)


def test_a_random_storm(web):
    """20,000 mutated segments, the same ones in every run."""
    source = random.Random(20)
    seeds = [bytearray(raw(web.wire.ethernet() / packet)) for packet in (
        ip() / tcp(), ip() / tcp(flags="A"), ip() / tcp(flags="PA") / b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ip() / tcp(flags="FA"), ip() / tcp(options=[("MSS", 1460), ("SAck", (1, 2, 3, 4)), ("WScale", 7)]),
        ip() / ICMP(type=3, code=4) / IP(src=BALANCER, dst=CLIENT) / tcp(sport=80))]
    for number in range(20000):
        frame = bytearray(source.choice(seeds))
        for _ in range(source.randint(1, 4)):
            frame[source.randrange(14, len(frame))] = source.randrange(256)
        if source.random() < 0.1:
            frame = frame[:source.randrange(14, len(frame))]
        try:
            web.wire.socket.send(frame)
        except OSError:
            pass
        if number % 5000 == 0:
            lives(web)
    lives(web)


def test_a_handmade_client_is_served(peer):
    assert peer.request_is_answered()


def test_overlapping_segments_count_once(peer):
    peer.send("PA", b"GET / HTTP/1.1\r\nHo")
    peer.send("PA", b"XXX / XXXX/9.9\r\nHost: a\r\n\r\n")
    assert peer.answer(lambda tcp: b"200 OK" in bytes(tcp.payload)), "what came first counts"


def test_segments_out_of_order(peer):
    request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    for start in (20, 10, 0):
        peer.send("PA", request[start:start + 10 if start != 20 else None], offset=start)
    assert peer.answer(lambda tcp: b"200 OK" in bytes(tcp.payload))


def test_a_blind_reset_is_challenged(peer):
    """RFC 5961 3: in the window but not exact."""
    peer.send("R", offset=1000)
    challenge = peer.answer()
    assert challenge is not None and challenge.flags == "A"
    assert peer.request_is_answered()


def test_a_reset_outside_the_window_is_ignored(peer):
    peer.send("R", offset=-100000)
    peer.send("R", offset=5000000)
    assert peer.request_is_answered()


def test_an_exact_reset_ends_the_connection(peer):
    peer.send("R")
    assert not peer.request_is_answered()


def test_a_syn_within_a_connection_is_challenged(peer):
    """RFC 5961 4."""
    peer.send("S", offset=500)
    challenge = peer.answer()
    assert challenge is not None and challenge.flags == "A"
    assert peer.request_is_answered()


def test_data_with_an_impossible_acknowledgement_is_not_taken(peer):
    """RFC 5961 5: it acknowledges what was never sent."""
    peer.send("PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ack=(peer.acknowledge + 100000) & 0xffffffff)
    assert not peer.answer(lambda tcp: len(tcp.payload) > 0, 0.5)
    assert peer.request_is_answered()


def test_a_segment_for_no_connection_is_reset(web):
    web.wire.send_ip(ip() / tcp(sport=5002, flags="PA", seq=1, ack=77) / b"x")
    answer = web.wire.answer(lambda tcp: tcp.dport == 5002)
    assert answer is not None and "R" in answer.flags and answer.seq == 77


def test_a_zero_window_is_probed_and_opens_again(web, peer):
    peer.send("PA", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", window=0)
    assert peer.answer(lambda tcp: b"200 OK" in bytes(tcp.payload)[:20] and len(tcp.payload) > 1, 0.4) is None
    peer.sequence += 27
    peer.send("A", window=60000)
    assert peer.answer(lambda tcp: len(tcp.payload) > 0, 4)


def test_other_connections_survive_all_that(web):
    with Stream(web.client.connect("10.0.1.1", 80)) as stream:
        assert stream.get("/").status == 200
        web.wire.send_ip(ip() / ICMP(type=3, code=1) / IP(src=BALANCER, dst=CLIENT) /
                         tcp(sport=80, dport=stream.socket.getsockname()[1], seq=1))
        web.wire.send_ip(ip() / tcp(sport=stream.socket.getsockname()[1], flags="R", seq=12345))
        time.sleep(0.2)
        assert stream.get("/").status == 200


def test_syn_flood_leaves_room_for_others(web):
    """Last: a kernel would now be answering with SYN cookies. 2,300 half-open connections of as many senders."""
    for number in range(2300):
        packet = IP(src=f"10.0.1.{100 + number % 100}", dst=BALANCER) / tcp(sport=1024 + number, seq=number)
        web.wire.send_ip(packet)
    start = time.monotonic()
    lives(web)
    assert time.monotonic() - start < 5
    # And ten forged ones for each that is real.
    for number in range(100):
        for forged in range(10):
            web.wire.send_ip(IP(src=f"10.0.1.{100 + forged}", dst=BALANCER) / tcp(sport=4000 + number, seq=number))
        with Stream(web.client.connect("10.0.1.1", 80, 2)) as stream:
            assert stream.get("/").status == 200, number
