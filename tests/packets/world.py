"""The small world of the fixtures: who is there, what is configured, and how weir-replay is run in it.

All is on one interface: Weir with an IPv4 and an IPv6 address, servers beside it, and a router that leads to the
clients. Services have addresses that nobody's interface has, as behind ECMP.
"""

import collections
import json
import os
import subprocess

from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

import capture
import weirtest

BINARY = os.environ.get("WEIR_REPLAY_BIN") or f"{os.path.dirname(weirtest.BINARY)}/../weir-replay/weir-replay"

WEIR_MAC = "02:00:00:00:00:01"
ROUTER_MAC = "02:00:00:00:00:fe"


class Family:
    """Addresses of one IP version."""

    def __init__(self, version):
        self.version = version
        v4 = version == 4
        self.layer = IP if v4 else IPv6
        self.weir = "10.0.0.1" if v4 else "2001:db8::1"
        self.vip = "203.0.113.10" if v4 else "2001:db8:f::10"
        self.client = "198.51.100.7" if v4 else "2001:db8:c::7"
        self.servers = [self.server(number) for number in (11, 12, 13, 14)]
        self.prefix_len = 24 if v4 else 64

    def server(self, number):
        return f"10.0.0.{number}" if self.version == 4 else f"2001:db8::{number:x}"

    def client_of(self, number):
        return f"198.51.{number >> 8}.{number & 255}" if self.version == 4 else f"2001:db8:c::{number + 0x100:x}"

    def endpoint(self, address, port):
        return f"{address}:{port}" if self.version == 4 else f"[{address}]:{port}"

    def __repr__(self):
        return f"v{self.version}"


V4, V6 = Family(4), Family(6)
FAMILIES = [V4, V6]
MACS = {family.server(number): f"02:00:00:00:{family.version:02x}:{number:02x}"
        for family in FAMILIES for number in range(11, 31)}


def ether(destination):
    """What Weir puts in front of a packet to this address."""
    return Ether(src=WEIR_MAC, dst=MACS.get(destination, ROUTER_MAC))


def received(packet):
    """A frame as it comes to Weir."""
    return Ether(src=ROUTER_MAC, dst=WEIR_MAC) / packet


def config(stream, mtu=1500, http=""):
    neighbors = "".join(f"    neighbor {address} {mac};\n" for address, mac in MACS.items())
    return f"""
events {{ }}
interface sim0 {{
    address {V4.weir}/{V4.prefix_len};
    address {V6.weir}/{V6.prefix_len};
    mtu {mtu};
{neighbors}    neighbor default {ROUTER_MAC};
}}
{http}
stream {{
{stream}
}}
"""


def service(mode, family=V4, port=80, udp=False, lines=None, server_family=None, server_port=None, method="",
            options="", stream="flows 4k;", mtu=1500):
    """A configuration with one service. `lines` are what stands behind `server`; without, the family's four servers."""
    server_family = server_family or family
    lines = lines or [server_family.endpoint(server, server_port or port) for server in server_family.servers]
    text = "".join(f"        server {line};\n" for line in lines)
    return config(f"""    {stream}
    upstream web {{
        {method}
{text}    }}
    server {{
        listen {family.endpoint(family.vip, port)}{" udp" if udp else ""};
        proxy_pass web;
        forward {mode};
        {options}
    }}""", mtu=mtu)


class Result(collections.namedtuple("Result", "frames decisions output decision_text stderr")):
    """`frames[i]`: what input frame i made leave, as bytes; `decisions[i]`: what was decided about it at its time."""

    def one(self, index):
        frames = self.frames[index]
        assert len(frames) == 1, f"frame {index} made {len(frames)} leave: {self.decisions[index]}"
        return frames[0]

    def verdicts(self):
        return [[decision["verdict"] for decision in decisions] for decisions in self.decisions]


START_NS = 1_700_000_000 * capture.SECOND_NS
STEP_NS = 1_000_000


def run(*arguments):
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def replay(directory, configuration, frames, times=None, options=()):
    """Runs the frames through, 1 ms apart unless `times` (ns) says otherwise, and sorts what came by its cause."""
    times = times or [START_NS + index * STEP_NS for index in range(len(frames))]
    with open(f"{directory}/weir.conf", "w") as file:
        file.write(configuration)
    capture.write(f"{directory}/in.pcap", frames, times)
    done = run("-c", f"{directory}/weir.conf", "--decisions", f"{directory}/decisions", *options,
               f"{directory}/in.pcap", f"{directory}/out.pcap")
    assert done.returncode == 0, f"exit code {done.returncode}: {done.stderr}"
    with open(f"{directory}/out.pcap", "rb") as file:
        output = file.read()
    with open(f"{directory}/decisions") as file:
        text = file.read()
    sent, decided = collections.defaultdict(list), collections.defaultdict(list)
    for time_ns, frame in capture.read(f"{directory}/out.pcap"):
        sent[time_ns].append(frame)
    for line in text.splitlines():
        decision = json.loads(line)
        decided[decision["time_ns"]].append(decision)
    assert not set(sent) - set(times), "something was sent that no frame caused"
    return Result([sent[time] for time in times], [decided[time] for time in times], output, text, done.stderr)
