"""One flow through one mode: the packets of both its ends, and what Weir must make of each."""

import functools

import maglev
from rewrite import changed, frame, hop, layer_of, renewed
from scapy.compat import raw
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw
from world import Family, received, replay

GUE_PORT = 6080
IPIP = {IP: 4, IPv6: 41}
# (mode, version of the service, version of its servers)
NATS = [(mode, family, family) for mode in ("full_nat", "nat") for family in (4, 6)]
DSR = [("dsr", family, family) for family in (4, 6)]
TUNNELS = [(mode, inner, outer) for mode in ("ipip", "gue") for inner in (4, 6) for outer in (4, 6)]
MODES = NATS + DSR + TUNNELS


@functools.lru_cache(maxsize=64)
def table_of(servers):
    return maglev.table(dict(servers))


def server_of(servers, client, sport, vip, dport, protocol, seed=0):
    """Of {"address:port": weight}, by the 5-tuple."""
    table = table_of(tuple(sorted(servers.items())))
    return table[maglev.flow_hash(client, vip, sport, dport, protocol, seed) % len(table)]


class Flow:
    def __init__(self, mode, family: Family, server_family: Family = None, l4=TCP, sport=40000, dport=80, client=None,
                 server_port=None, servers=None):
        self.mode, self.family, self.server_family, self.l4 = mode, family, server_family or family, l4
        self.sport, self.dport, self.client = sport, dport, client or family.client
        self.server_port = server_port or dport
        self.servers = servers or {self.server_family.endpoint(server, self.server_port): 1
                                   for server in self.server_family.servers}
        chosen = server_of(self.servers, self.client, sport, family.vip, dport, 6 if l4 is TCP else 17)
        self.server = chosen.rsplit(":", 1)[0].strip("[]")
        self.local_port = None  # of full_nat: Weir's to choose

    # ---- packets as their senders make them ----

    def from_client(self, payload=b"", flags="S", ttl=61, **fields):
        """The frame. `fields` are of the TCP or UDP header, and "ip" those of IP."""
        ip = fields.pop("ip", {})
        if self.l4 is TCP:
            fields = {"flags": flags, "seq": 1000, "ack": 0 if flags == "S" else 2000, "window": 64240, **fields}
        l4 = self.l4(sport=self.sport, dport=self.dport, **fields)
        return received(self.ip(self.family, self.client, self.family.vip, ttl, ip) / l4 / Raw(payload))

    def from_server(self, payload=b"", flags="SA", ttl=62, **fields):
        ip = fields.pop("ip", {})
        to, port = (self.family.weir, self.local_port) if self.mode == "full_nat" else (self.client, self.sport)
        if self.l4 is TCP:
            fields = {"flags": flags, "seq": 2000, "ack": 1001, "window": 65160, **fields}
        l4 = self.l4(sport=self.server_port, dport=port, **fields)
        return received(self.ip(self.server_family, self.server, to, ttl, ip) / l4 / Raw(payload))

    @staticmethod
    def ip(family, src, dst, ttl, fields):
        if family.version == 4:
            return IP(**{"src": src, "dst": dst, "ttl": ttl, "id": 7, "flags": "DF", **fields})
        return IPv6(**{"src": src, "dst": dst, "hlim": ttl, "fl": 0x12345, **fields})

    def learn(self, sent):
        """full_nat: which local port Weir has chosen, from the first frame that it sent."""
        if self.mode == "full_nat":
            self.local_port = self.family.layer(sent[14:]).getlayer(self.l4).sport
            assert 1024 <= self.local_port <= 32767

    def rehearse(self, directory, configuration):
        """The same from a run of its own, for packets that must name the port before the run that counts."""
        if self.mode == "full_nat":
            self.learn(replay(directory, configuration, [self.from_client()]).one(0))

    # ---- what must come of them ----

    def at_server(self, sent_frame, actual):
        """The frame that the server must get. `actual` is only asked for what is Weir's to choose, within its bounds."""
        packet = layer_of(sent_frame)
        if self.mode == "full_nat":
            return frame(changed(packet, src=self.family.weir, dst=self.server, sport=self.local_port,
                                 dport=self.server_port))
        if self.mode == "nat":
            return frame(changed(packet, dst=self.server, dport=self.server_port))
        if self.mode == "dsr":
            return frame(hop(renewed(packet)), next_hop=self.server)
        return frame(self.tunnel(hop(renewed(packet)), actual))

    def at_client(self, sent_frame):
        packet = layer_of(sent_frame)
        return frame(changed(packet, src=self.family.vip, dst=self.client, sport=self.dport, dport=self.sport))

    def tunnel(self, packet, actual):
        inner = self.family.layer(raw(packet))
        outer = self.outer_header(inner, actual)
        if self.mode == "ipip":
            return outer / inner
        sport = UDP(actual[14 + len(outer):]).sport
        assert 49152 <= sport <= 65535
        # Version 0, no control, no extensions: two bytes, the first of them 0, and two of flags.
        gue = bytes([0, IPIP[type(inner)], 0, 0])
        if isinstance(outer, IP):
            return outer / UDP(sport=sport, dport=GUE_PORT, chksum=0) / Raw(gue + raw(inner))
        return outer / UDP(sport=sport, dport=GUE_PORT) / Raw(gue + raw(inner))

    def outer_header(self, inner, actual):
        proto = 17 if self.mode == "gue" else IPIP[type(inner)]
        tos = inner.tos if isinstance(inner, IP) else inner.tc
        if self.server_family.version == 6:
            return IPv6(src=self.server_family.weir, dst=self.server, nh=proto, tc=tos, hlim=64,
                        fl=IPv6(actual[14:]).fl)
        told = IP(actual[14:])
        dont_fragment = isinstance(inner, IPv6) or "DF" in inner.flags
        assert dont_fragment or told.id != 0
        return IP(src=self.server_family.weir, dst=self.server, proto=proto, tos=tos, ttl=64, id=told.id,
                  flags="DF" if dont_fragment else 0)


def compare(actual, expected):
    """Byte for byte; what differs is told in words."""
    if actual == expected:
        return
    from scapy.layers.l2 import Ether
    raise AssertionError(f"sent\n{Ether(actual).show2(dump=True)}{actual.hex()}\n"
                         f"expected\n{Ether(expected).show2(dump=True)}{expected.hex()}")
