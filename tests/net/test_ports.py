"""The same proxy over DPDK's devices: TAP, af_packet, and memif between two Weirs.

Their addresses are on a TAP twin that Weir makes; what Weir does not serve (ARP, ping) goes there and comes back."""

import pytest
from weirtest import Balancer, Nginx, wait_for

pytestmark = pytest.mark.weir_only

CONFIG = """
interface "vdev:{device}" {{ twin weir0; address 10.5.0.1/24; }}
events {{ }}
http {{
    access_log access.log;
    client_max_body_size 0;
    upstream group {{ server 10.5.0.2:8001; server 10.5.0.2:8002; }}
    server {{ listen 10.5.0.1:80; location / {{ proxy_pass http://group; }} }}
}}
"""


@pytest.fixture
def outside(net):
    """The namespace `client` stands for all that is outside: it is 10.5.0.2, with two nginx servers."""
    topology = net()

    def attach(name):
        topology.client.ip("address", "add", "10.5.0.2/24", "dev", name)
        topology.client.ip("link", "set", name, "up")
        for number in (1, 2):
            server = Nginx(topology.client, f"s{number}", [f"10.5.0.2:{8000 + number}"])
            server.file(3 << 20)
            topology.running.append(server)

    topology.attach = attach
    return topology


def check(topology):
    """What any port must do."""
    wait_for(lambda: topology.curl("--connect-timeout", "1", "http://10.5.0.1/", check=False) in ("s1\n", "s2\n"), 10,
             "a first answer")
    assert topology.counts("http://10.5.0.1/", 20) == {"s1": 10, "s2": 10}
    assert topology.counts_by_connection("http://10.5.0.1/", 20) == {"s1": 10, "s2": 10}
    size = topology.curl("-o", "/dev/null", "-w", "%{size_download}", f"http://10.5.0.1/bytes/{3 << 20}")
    assert int(size) == 3 << 20
    topology.client.run("ping", "-c2", "-i0.2", "-W2", "10.5.0.1")


def test_tap(outside):
    """The kernel's end of the TAP is moved outside, as if a cable led there."""
    weir = outside.balancer(CONFIG.format(device="net_tap0,iface=cable0"), ready=None)
    with weir:
        wait_for(lambda: "cable0" in outside.balancer_namespace.ip("link"), 15, "the TAP device")
        outside.client.run("sleep", "0.5")
        outside.balancer_namespace.ip("link", "set", "cable0", "netns", outside.client.name)
        outside.attach("cable0")
        check(outside)


PACKET_LEVEL = """
interface "vdev:{device}" {{ twin weir0; address 10.5.0.1/24; }}
events {{ }}
stream {{
    upstream group {{ server 10.5.0.2:8001; server 10.5.0.2:8002; }}
    server {{ listen 10.5.0.1:80; proxy_pass group; forward full_nat; }}
}}
"""


def test_packet_level_over_tap(outside):
    """In and out by the same port; what is no service's passes to the kernel and back."""
    with outside.balancer(PACKET_LEVEL.format(device="net_tap0,iface=cable0"), ready=None) as weir:
        wait_for(lambda: "cable0" in outside.balancer_namespace.ip("link"), 15, "the TAP device")
        outside.client.run("sleep", "0.5")
        outside.balancer_namespace.ip("link", "set", "cable0", "netns", outside.client.name)
        outside.attach("cable0")
        wait_for(lambda: outside.curl("--connect-timeout", "1", "http://10.5.0.1/", check=False) in ("s1\n", "s2\n"), 10,
                 "a first answer")
        counts = outside.counts_by_connection("http://10.5.0.1/", 30)
        assert sum(counts.values()) == 30 and set(counts) == {"s1", "s2"}
        size = outside.curl("-o", "/dev/null", "-w", "%{size_download}", f"http://10.5.0.1/bytes/{3 << 20}")
        assert int(size) == 3 << 20
        outside.client.run("ping", "-c2", "-i0.2", "-W2", "10.5.0.1")
        weir.reload(PACKET_LEVEL.format(device="net_tap0,iface=cable0").replace("server 10.5.0.2:8001; ", ""))
        assert weir.logged("configuration is in force")
        assert outside.counts_by_connection("http://10.5.0.1/", 10) == {"s2": 10}


def test_af_packet(outside):
    """The kernel must not answer on the wire itself: what comes in there is dropped behind the socket's tap."""
    outside.balancer_namespace.ip("link", "add", "name", "wire0", "type", "veth",
                                  "peer", "name", "cable0", "netns", outside.client.name)
    outside.balancer_namespace.ip("link", "set", "wire0", "up")
    outside.balancer_namespace.run("nft", "add table netdev t; add chain netdev t i "
                                   "{ type filter hook ingress device wire0 priority 0; policy drop; }")
    outside.client.run("ethtool", "-K", "cable0", "tso", "off", "gso", "off", "tx", "off")
    outside.attach("cable0")
    with outside.balancer(CONFIG.format(device="net_af_packet0,iface=wire0"), ready=None):
        check(outside)


def test_memif_between_two_weirs(net, tmp_path):
    """client -> weir (AF_XDP on veth, then memif) -> weir (memif, then AF_XDP) -> nginx, no kernel between the two."""
    topology = net(servers=1)
    topology.nginx()
    socket = tmp_path / "memif.sock"
    front = f"""
    interface front {{ }}
    interface "vdev:net_memif0,role=server,socket-abstract=no,socket={socket}" {{ twin weir0; address 10.6.0.1/24; }}
    events {{ }}
    http {{
        access_log off;
        client_max_body_size 0;
        server {{ listen 10.0.1.1:80; location / {{ proxy_pass http://10.6.0.2:80; }} }}
    }}
    """
    back = f"""
    interface "vdev:net_memif0,role=client,socket-abstract=no,socket={socket}" {{ twin weir0; address 10.6.0.2/24; }}
    events {{ }}
    http {{
        access_log off;
        server {{ listen 10.6.0.2:80; location /bytes {{ proxy_pass http://10.0.2.11:80; }} return 200 "second weir"; }}
    }}
    """
    server = topology.servers[0]
    with topology.balancer(front), Balancer(server, back, ready=None):
        wait_for(lambda: topology.curl("--connect-timeout", "1", "http://10.0.1.1/", check=False) == "second weir", 10,
                 "an answer through both")
        for _ in range(20):
            assert topology.get("/").text == "second weir"
        server.run("ping", "-c2", "-i0.2", "-W2", "10.6.0.1")


def test_the_same_from_the_command_line(outside):
    """There is no option for addresses: the twin gets them from the host."""
    host = outside.balancer_namespace
    with outside.balancer(options=["--interface", "vdev:net_tap0,iface=cable0", "--listen", "http://0.0.0.0:80",
                                   "--backend", "10.5.0.2:8001", "--backend", "10.5.0.2:8002"], ready=None):
        wait_for(lambda: "weir0" in host.ip("link") and "cable0" in host.ip("link"), 15, "the TAP device and its twin")
        host.ip("address", "add", "10.5.0.1/24", "dev", "weir0")
        host.ip("link", "set", "cable0", "netns", outside.client.name)
        outside.attach("cable0")
        check(outside)


def test_an_unknown_device_is_an_error_with_its_name(outside):
    weir = outside.balancer(CONFIG.format(device="net_nonsense0"), ready=None)
    try:
        weir.start()
        assert weir.wait_exit() == 1
        assert "net_nonsense0" in weir.error_log + weir.read("output")
    finally:
        weir.clean()


def test_an_unknown_interface_is_an_error_with_its_name(outside):
    weir = outside.balancer(CONFIG.format(device="x").replace('"vdev:x" { twin weir0; address 10.5.0.1/24; }', "eth77 { }"),
                            ready=None)
    try:
        weir.start()
        assert weir.wait_exit() == 1
        assert "eth77" in weir.error_log + weir.read("output")
    finally:
        weir.clean()
