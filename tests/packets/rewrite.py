"""What Weir must make of a packet, in scapy's words: every length and checksum is scapy's, computed anew."""

from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6, _ICMPv6
from scapy.packet import Packet

from world import ether


def layer_of(packet):
    """The outermost IP header with all behind it."""
    while packet and not isinstance(packet, (IP, IPv6)):
        packet = packet.payload
    return packet


def renewed(packet: Packet):
    """The same packet with sums and lengths to be filled in. A UDP sum of 0 over IPv4 means none, and stays."""
    packet = packet.copy()
    layer = packet
    while layer:
        if isinstance(layer, UDP) and layer.chksum == 0 and packet.haslayer(IP):
            layer = layer.payload
            continue
        if isinstance(layer, (IP, TCP, UDP, ICMP)):
            layer.chksum = None
        elif isinstance(layer, _ICMPv6):
            layer.cksum = None
        layer = layer.payload
    return packet


def hop(packet):
    """A router's share: one hop less."""
    ip = layer_of(packet)
    if isinstance(ip, IP):
        ip.ttl -= 1
    else:
        ip.hlim -= 1
    return packet


def changed(packet, src=None, dst=None, sport=None, dport=None):
    """A forwarded packet with these things rewritten."""
    packet = hop(renewed(packet))
    ip = layer_of(packet)
    ip.src, ip.dst = src or ip.src, dst or ip.dst
    l4 = packet.getlayer(TCP) or packet.getlayer(UDP)
    if l4 and sport:
        l4.sport = sport
    if l4 and dport:
        l4.dport = dport
    return packet


def frame(packet, next_hop=None):
    """Bytes on the wire, towards the packet's destination unless `next_hop` is another."""
    return raw(ether(next_hop or layer_of(packet).dst) / packet)
