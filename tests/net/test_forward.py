"""Packet-level services between real kernels: every mode, both IP versions, TCP and UDP."""

import re
import socket
import threading
import time

import pytest
from weirtest import Nginx, wait_for

CONFIG = """
worker_processes {workers};
{interfaces}
events {{ }}
stream {{
    upstream group {{
        {method}
{servers}
    }}
    server {{
{listens}
        proxy_pass group;
        forward {forward};
        {options}
    }}
}}
"""
NAMED = "interface front { }\ninterface back { }"
THREE = ("10.0.2.11:80", "10.0.2.12:80", "10.0.2.13:80")
THREE_V6 = ("[fd00:2::11]:80", "[fd00:2::12]:80", "[fd00:2::13]:80")
# An address of no interface, as behind a router that spreads flows over several Weirs.
ROUTED, ROUTED_V6 = "10.9.9.9", "fd00:9::9"


def config(forward, servers=THREE, listens=("10.0.1.1:80",), method="", options="", interfaces="", workers=1):
    return CONFIG.format(forward=forward, servers="\n".join(f"        server {server};" for server in servers),
                         listens="\n".join(f"        listen {listen};" for listen in listens), method=method,
                         options=options, interfaces=interfaces, workers=workers)


def routed_to_balancer(topology):
    """The routed addresses lead to the balancer, and every server takes them for its own, with an nginx on them."""
    topology.client.ip("route", "replace", ROUTED, "via", "10.0.1.1")
    topology.client.ip("-6", "route", "replace", ROUTED_V6, "via", "fd00:1::1")
    for server in topology.servers:
        server.ip("address", "add", f"{ROUTED}/32", "dev", "lo")
        server.ip("address", "add", f"{ROUTED_V6}/128", "dev", "lo", "nodad")
        server.sysctl("net.ipv4.conf.all.rp_filter", 0)
        server.sysctl("net.ipv4.conf.eth0.rp_filter", 0)
        topology.running.append(Nginx(server, f"s{server.v4[-1]}", [f"{ROUTED}:80", f"[{ROUTED_V6}]:80"]))


def echo_datagrams(server, name, port=5353):
    """Answers every datagram with the server's name in front, from the address that it was sent to."""
    script = f"""
import socket, struct
v4, v6 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
v4.setsockopt(socket.IPPROTO_IP, 8, 1)  # IP_PKTINFO
v6.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
v4.bind(("0.0.0.0", {port}))
v6.bind(("::", {port}))
print("ready", flush=True)
import select
while True:
    for s in select.select([v4, v6], [], [])[0]:
        data, control, _, peer = s.recvmsg(65535, 256)
        level, kind, info = control[0]
        if s is v4:
            info = struct.pack("i4s4s", 0, info[8:12], info[8:12])
        s.sendmsg([b"{name} " + data], [(level, kind, info)], 0, peer)
"""
    process = server.popen("/usr/bin/python3", "-u", "-c", script, stdout=-1)
    assert process.stdout.readline().strip() == b"ready"
    return process


def ask(client, address, text=b"hello", port=5353, seconds=3, source_port=0):
    """What one datagram from a new socket is answered with."""
    with client.enter():
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    with s:
        s.bind(("", source_port))
        s.settimeout(seconds)
        s.connect((address, port))
        s.send(text)
        return s.recv(65535)


def counters(weir):
    """Ends it and returns what it counted: {"l4.forwarded": 12, ...}."""
    assert weir.stop() == 0
    return {name: int(value) for name, value in re.findall(r"counter (\S+) (\d+)$", weir.error_log, re.MULTILINE)}


def drops(weir):
    """Packets of services that it dropped, but for those that no flow wanted: a RST after the end."""
    return {name: count for name, count in counters(weir).items()
            if name.startswith(("l4.drop_", "net.drop_")) and name != "l4.drop_no_flow"}


def reload(weir, text):
    done = weir.error_log.count("configuration is in force")
    weir.reload(text)
    wait_for(lambda: weir.error_log.count("configuration is in force") > done, what="the reload")


@pytest.fixture
def three(net):
    topology = net(servers=3)
    topology.nginx()
    return topology


def test_full_nat(three):
    with three.balancer(config("full_nat")) as weir:
        counts = three.counts_by_connection("http://10.0.1.1/", 60)
        assert sum(counts.values()) == 60 and set(counts) == {"s1", "s2", "s3"}
        assert not drops(weir)


def test_full_nat_ipv6(three):
    with three.balancer(config("full_nat", THREE_V6, ["[fd00:1::1]:80"]), ready=("fd00:1::1", 80)) as weir:
        counts = three.counts_by_connection("http://[fd00:1::1]/", 60)
        assert sum(counts.values()) == 60 and set(counts) == {"s1", "s2", "s3"}
        assert not drops(weir)


# In generic mode a kernel's TCP packets come as long as it made them, and are cut up here.
@pytest.mark.parametrize("mode", ["native", "generic"])
def test_full_nat_bodies_are_exact(three, mode):
    body = three.running[0].file(3000000)
    interfaces = f"interface front {{ xdp_mode {mode}; }}\ninterface back {{ xdp_mode {mode}; }}"
    with three.balancer(config("full_nat", ["10.0.2.11:80"], interfaces=interfaces)) as weir:
        assert three.get("/bytes/3000000").body == body
        counts = counters(weir)
        assert (counts["packet.ok"] > counts["port.rx_packets"]) == (mode == "generic")


def test_full_nat_datagrams(three):
    echoes = [echo_datagrams(server, f"s{number}") for number, server in enumerate(three.servers, 1)]
    servers = ["10.0.2.11:5353", "10.0.2.12:5353", "10.0.2.13:5353"]
    listens = ["10.0.1.1:5353 udp"]
    try:
        with three.balancer(config("full_nat", servers, listens), ready=None) as weir:
            assert weir.logged("serves with 1 worker")
            answers = {ask(three.client, "10.0.1.1").split()[0] for _ in range(40)}
            assert answers == {b"s1", b"s2", b"s3"}
            one = {ask(three.client, "10.0.1.1", source_port=40001) for _ in range(10)}
            assert len(one) == 1
    finally:
        for echo in echoes:
            echo.kill()
            echo.wait()


@pytest.mark.parametrize("size", [1473, 4000, 20000])
def test_fragments_go_with_their_flow(three, size):
    echo = echo_datagrams(three.servers[0], "s1")
    try:
        with three.balancer(config("full_nat", ["10.0.2.11:5353"], ["10.0.1.1:5353 udp"]), ready=None) as weir:
            assert weir.logged("serves with 1 worker")
            text = bytes(range(256)) * (size // 256 + 1)
            assert ask(three.client, "10.0.1.1", text[:size]) == b"s1 " + text[:size]
    finally:
        echo.kill()
        echo.wait()


def test_nat(three):
    """Servers that route back through Weir see the client's own address."""
    for server in three.servers:
        server.ip("route", "replace", "default", "via", "10.0.2.1")
    with three.balancer(config("nat")) as weir:
        counts = three.counts_by_connection("http://10.0.1.1/", 30)
        assert sum(counts.values()) == 30 and set(counts) == {"s1", "s2", "s3"}
        assert not drops(weir)


@pytest.mark.parametrize("mode", ["dsr", "ipip", "gue"])
@pytest.mark.parametrize("address", [ROUTED, ROUTED_V6])
def test_answers_go_straight_back(net, mode, address):
    """The server answers the client by itself, under the service's address."""
    topology = net(servers=2)
    routed_to_balancer(topology)
    for server in topology.servers:
        server.ip("route", "replace", "default", "via", "10.0.2.1")
        server.ip("-6", "route", "replace", "default", "via", "fd00:2::1")
    topology.balancer_namespace.sysctl("net.ipv4.ip_forward", 1)
    topology.balancer_namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
    decapsulators = [] if mode == "dsr" else [decapsulate(server) for server in topology.servers]
    bracketed = f"[{address}]" if ":" in address else address
    servers = ["10.0.2.11", "10.0.2.12"] if mode != "dsr" or ":" not in address else ["[fd00:2::11]", "[fd00:2::12]"]
    try:
        text = config(mode, [f"{server}:80" for server in servers], [f"{bracketed}:80"], interfaces=NAMED,
                      options="mss_clamp on;")
        with topology.balancer(text, ready=(address, 80)) as weir:
            counts = topology.counts_by_connection(f"http://{bracketed}/", 30)
            assert sum(counts.values()) == 30 and set(counts) == {"s1", "s2"}
            assert not drops(weir)
    finally:
        for process in decapsulators:
            process.kill()
            process.wait()


def decapsulate(server):
    """What the kernel here lacks (it has neither IPIP nor FOU): a program that takes the outer header off and gives the
    rest to the server's stack through a TUN device."""
    script = """
import fcntl, os, socket, struct, select, subprocess
tun = os.open("/dev/net/tun", os.O_RDWR)
fcntl.ioctl(tun, 0x400454ca, struct.pack("16sH", b"decap", 0x1001))
subprocess.run(["ip", "link", "set", "decap", "up"], check=True)
subprocess.run(["sysctl", "-qw", "net.ipv4.conf.decap.rp_filter=0"], check=True)
ipip = socket.socket(socket.AF_INET, socket.SOCK_RAW, 4)
ip6ip = socket.socket(socket.AF_INET, socket.SOCK_RAW, 41)
gue = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
gue.bind(("0.0.0.0", 6080))
print("ready", flush=True)
while True:
    for s in select.select([ipip, ip6ip, gue], [], [])[0]:
        packet = s.recv(65535)
        os.write(tun, packet[4:] if s is gue else packet[(packet[0] & 15) * 4:])
"""
    process = server.popen("/usr/bin/python3", "-u", "-c", script, stdout=-1)
    assert process.stdout.readline().strip() == b"ready"
    return process


def test_a_removed_server_keeps_its_connections(three):
    with three.balancer(config("full_nat")) as weir:
        streams = [three.connect() for _ in range(30)]
        before = [stream.get("/").body for stream in streams]
        assert len(set(before)) == 3
        reload(weir, config("full_nat", ["10.0.2.11:80"]))
        assert three.counts_by_connection("http://10.0.1.1/", 20) == {"s1": 20}
        assert [stream.get("/").body for stream in streams] == before
        reload(weir, config("full_nat", ["10.0.2.11:80 weight=0", "10.0.2.12:80", "10.0.2.13:80"]))
        assert "s1" not in three.counts_by_connection("http://10.0.1.1/", 20)
        assert [stream.get("/").body for stream in streams] == before
        for stream in streams:
            stream.close()


def test_servers_come_and_go_under_load(three):
    sets = [THREE, THREE[:2], THREE[1:], (THREE[0], THREE[2])]
    with three.balancer(config("full_nat")) as weir:
        stop, failures = threading.Event(), []

        def keep_asking():
            with three.connect() as stream:
                name = stream.get("/").body
                while not stop.is_set():
                    if stream.get("/").body != name:
                        failures.append("moved")
                        return

        def run():
            try:
                keep_asking()
            except Exception as error:  # noqa: BLE001 (told in the assertion)
                failures.append(repr(error))

        threads = [threading.Thread(target=run) for _ in range(8)]
        for thread in threads:
            thread.start()
        for number in range(12):
            reload(weir, config("full_nat", sets[number % len(sets)]))
            time.sleep(0.1)
        stop.set()
        for thread in threads:
            thread.join()
        assert not failures


def test_affinity_by_address(three):
    for method in ("hash $remote_addr consistent;", "maglev $remote_addr;", "ip_hash;"):
        with three.balancer(config("full_nat", method=method)):
            assert len(three.counts_by_connection("http://10.0.1.1/", 15)) == 1, method


def test_round_robin_takes_turns(three):
    with three.balancer(config("full_nat", method="round_robin;")):
        counts = three.counts_by_connection("http://10.0.1.1/", 30)
        assert set(counts) == {"s1", "s2", "s3"} and max(counts.values()) <= 12


def test_two_workers_share_flows_that_come_in_anywhere(net):
    topology = net(servers=3, queues=2)
    topology.nginx()
    with topology.balancer(config("full_nat", workers=2)) as weir:
        counts = topology.counts_by_connection("http://10.0.1.1/", 60)
        assert sum(counts.values()) == 60 and set(counts) == {"s1", "s2", "s3"}
        assert not drops(weir)


def test_nat_with_two_workers(net):
    topology = net(servers=2, queues=2)
    topology.nginx()
    for server in topology.servers:
        server.ip("route", "replace", "default", "via", "10.0.2.1")
    with topology.balancer(config("nat", THREE[:2], workers=2)) as weir:
        counts = topology.counts_by_connection("http://10.0.1.1/", 40)
        assert sum(counts.values()) == 40 and set(counts) == {"s1", "s2"}
        assert not drops(weir)


def test_http_and_packet_level_services_side_by_side(three):
    text = config("full_nat", listens=["10.0.1.1:81"]) + """
http {
    server { listen 10.0.1.1:80; location / { proxy_pass http://10.0.2.11; } }
}
"""
    with three.balancer(text):
        assert three.counts("http://10.0.1.1/", 10) == {"s1": 10}
        assert sum(three.counts_by_connection("http://10.0.1.1:81/", 30).values()) == 30


def test_a_range_and_all_ports(three):
    for port in (81, 82):
        three.nginx(1, port=port)
    with three.balancer(config("full_nat", ["10.0.2.11"], ["10.0.1.1:80-82"])):
        for port in (80, 81, 82):
            assert three.counts(f"http://10.0.1.1:{port}/", 2) == {"s1": 2}


def test_a_port_without_a_listener_is_told_to_the_client(three):
    """The server's RST and its ICMP errors come back to who asked."""
    with three.balancer(config("full_nat", ["10.0.2.11:4711"]), ready=None) as weir:
        assert weir.logged("serves with 1 worker")
        with pytest.raises(ConnectionRefusedError):
            three.connect(timeout=3)
    with three.balancer(config("full_nat", ["10.0.2.11:4711"], ["10.0.1.1:5353 udp"]), ready=None) as weir:
        assert weir.logged("serves with 1 worker")
        with pytest.raises(ConnectionRefusedError):
            ask(three.client, "10.0.1.1")


def test_the_host_stays_reachable(three):
    with three.balancer(config("full_nat")):
        three.client.run("ping", "-c1", "-W2", "10.0.1.1")
        three.balancer_namespace.run("ping", "-c1", "-W2", "10.0.2.11")
        wait_for(lambda: "s1" in three.balancer_namespace.run("curl", "-s", "http://10.0.2.11/").stdout, 5)


def told_servers(topology):
    """On every server, an nginx that wants the PROXY protocol."""
    for number, server in enumerate(topology.servers, 1):
        topology.running.append(Nginx(server, f"s{number}", [f"{server.v4}:8080 proxy_protocol",
                                                             f"[{server.v6}]:8080 proxy_protocol"]))


@pytest.mark.parametrize("service, own, servers", [
    ("10.0.1.1", "10.0.1.2", ["10.0.2.11:8080", "10.0.2.12:8080"]),
    ("fd00:1::1", "fd00:1::2", ["[fd00:2::11]:8080", "[fd00:2::12]:8080"]),
])
def test_the_proxy_protocol_tells_the_client(net, service, own, servers):
    topology = net(servers=2)
    told_servers(topology)
    body = topology.running[0].file(700000)
    topology.running[1].file(700000, body)
    listen = f"[{service}]:80" if ":" in service else f"{service}:80"
    with topology.balancer(config("full_nat", servers, [listen], options="proxy_protocol on;"),
                           ready=(service, 80)) as weir:
        with topology.connect(service) as stream:
            assert stream.get("/proxied").text.split() == [own, "80"]
            # Numbers stay shifted, in both directions, for as long as the connection lives.
            assert stream.request("POST", "/proxied", body=bytes(300000)).text.split() == [own, "80"]
            assert stream.get("/bytes/700000").body == body
            assert stream.get("/proxied").text.split() == [own, "80"]
        for _ in range(10):
            assert topology.get("/proxied", address=service).text.split() == [own, "80"]
        assert not drops(weir)


def test_toa_tells_the_client(three):
    """In the first segments of the client, as a TCP option that servers without the module pass over."""
    server = three.servers[0]
    with server.enter():
        tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    tap.bind(("eth0", 0))
    with three.balancer(config("full_nat", ["10.0.2.11:80"], options="toa on;")) as weir, tap:
        with three.connect() as stream:
            port = stream.socket.getsockname()[1]
            assert stream.get("/").body == b"s1\n"
        wanted = bytes([254, 8]) + port.to_bytes(2, "big") + socket.inet_aton("10.0.1.2")
        tap.settimeout(3)
        while wanted not in tap.recv(2000):
            pass
        assert not drops(weir)


def test_a_traceroute_sees_the_balancer(three):
    """A packet whose time is over on the way is answered for by Weir."""
    with three.balancer(config("full_nat", ["10.0.2.11:5353"], ["10.0.1.1:5353 udp"]), ready=None) as weir:
        assert weir.logged("serves with 1 worker")
        with three.client.enter():
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with s:
            s.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            s.setsockopt(socket.IPPROTO_IP, 11, 1)  # IP_RECVERR
            s.settimeout(3)
            s.connect(("10.0.1.1", 5353))
            s.send(b"x")
            s.setblocking(False)
            wait_for(lambda: error_of(s), what="an ICMP error")
        assert counters(weir)["l4.time_exceeded_sent"] == 1


def error_of(s):
    """(type, code) of an ICMP error in the socket's queue."""
    try:
        _, control, _, _ = s.recvmsg(100, 512, socket.MSG_ERRQUEUE)
    except BlockingIOError:
        return None
    return control[0][2][5], control[0][2][6]


def test_services_may_go_and_come_back(three):
    """A reload without `stream` leaves http alone; one with it again serves both."""
    http = "http {\n    server { listen 10.0.1.1:81; location / { proxy_pass http://10.0.2.11; } }\n}\n"
    with three.balancer(config("full_nat") + http, ready=("10.0.1.1", 81)) as weir:
        assert sum(three.counts_by_connection("http://10.0.1.1/", 10).values()) == 10
        reload(weir, "events { }\n" + http)
        assert three.counts("http://10.0.1.1:81/", 10) == {"s1": 10}
        with pytest.raises(ConnectionRefusedError):
            three.connect(timeout=3)
        reload(weir, config("full_nat") + http)
        assert sum(three.counts_by_connection("http://10.0.1.1/", 10).values()) == 10
        assert three.counts("http://10.0.1.1:81/", 10) == {"s1": 10}
