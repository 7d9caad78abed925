"""The balancer's interface and address are shared with the host: all that is not Weir's keeps working."""

import socket
import threading

import pytest
from weirtest import Origin, ok, refused, serving, wait_for

CONFIG = """
events { }
http {
    access_log off;
    server { listen 10.0.1.1:80; location / { proxy_pass http://10.0.2.11; } }
}
"""


@pytest.fixture
def host(net):
    topology = net(servers=1)
    topology.nginx()
    with topology.balancer(CONFIG):
        yield topology


def echo_once(listener):
    connection, _ = listener.accept()
    connection.sendall(connection.recv(100000).upper())
    connection.close()


def test_ping(host):
    host.client.run("ping", "-c3", "-i0.2", "-W2", "10.0.1.1")
    host.client.run("ping", "-c3", "-i0.2", "-W2", "fd00:1::1")
    host.client.run("ping", "-c1", "-W2", "-s1400", "10.0.1.1")


def test_another_server_on_the_same_address(host):
    """Such as sshd."""
    listener = host.balancer_namespace.listen("10.0.1.1", 22)
    threading.Thread(target=echo_once, args=(listener,), daemon=True).start()
    with host.connect(port=22) as stream:
        stream.send(b"hello ssh")
        assert stream.read_exactly(9) == b"HELLO SSH"
    listener.close()
    assert host.get("/").status == 200


def test_a_closed_port_is_refused_by_the_host(host):
    assert refused(host.client, "10.0.1.1", 81)


def test_the_host_connects_out_on_both_interfaces(host):
    """From the same addresses that Weir uses, also to the very server and port that Weir uses."""
    for _ in range(20):
        assert host.balancer_namespace.run("curl", "-sS", "--max-time", "5", "http://10.0.2.11/").stdout == "s1\n"
    listener = host.client.listen("10.0.1.2", 2222)
    threading.Thread(target=echo_once, args=(listener,), daemon=True).start()
    with host.balancer_namespace.connect("10.0.1.2", 2222) as outgoing:
        outgoing.sendall(b"out")
        assert outgoing.recv(10) == b"OUT"
    listener.close()


def test_the_host_and_weir_connect_out_at_the_same_time(host):
    hosts = host.balancer_namespace.popen("curl", "-sS", "-H", "Connection: close", "http://10.0.2.11/?[1-300]",
                                          stdout=-1, text=True)
    counts = host.counts("http://10.0.1.1/", 300)
    assert counts == {"s1": 300}
    assert hosts.communicate(timeout=30)[0].split() == ["s1"] * 300


def test_udp_and_other_protocols_pass(host):
    with host.balancer_namespace.enter():
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("10.0.1.1", 80))
    receiver.settimeout(3)
    with host.client.enter():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.sendto(b"datagram", ("10.0.1.1", 80))
    assert receiver.recv(100) == b"datagram"


def test_the_host_itself_reaches_the_service(net):
    """curl on the balancer machine, to its own address: the kernel takes that over lo, so Weir has to be there too."""
    topology = net(servers=1)
    topology.nginx()
    with topology.balancer("interface front { }\ninterface back { }\ninterface lo { }\n" + CONFIG):
        done = topology.balancer_namespace.run("curl", "-sS", "--max-time", "5", "http://10.0.1.1/", check=False)
        assert done.returncode == 0 and done.stdout == "s1\n", done.stdout
        assert topology.get("/").text == "s1\n"


def test_arp_and_a_changed_neighbour(host):
    """The client's MAC address changes; the next request finds it."""
    assert host.get("/").status == 200
    host.client.ip("link", "set", "eth0", "address", "02:00:00:00:00:99")
    host.client.run("ping", "-c1", "-W2", "10.0.1.1")
    assert host.get("/").status == 200


def test_a_server_that_moves_to_another_mac(host):
    assert host.get("/").status == 200
    host.servers[0].ip("link", "set", "eth0", "address", "02:00:00:00:00:98")
    host.servers[0].run("ping", "-c1", "-W2", "10.0.2.1")
    assert host.get("/").status == 200


def test_a_route_added_later_is_used(net):
    """The server's address is behind a gateway that the routing table does not know at first."""
    topology = net(servers=1)
    topology.servers[0].ip("address", "add", "198.51.100.1/32", "dev", "lo")
    topology.running.append(Origin(topology.servers[0], "198.51.100.1", 80, serving(lambda request: ok("far"))))
    config = "interface front { }\ninterface back { }\n" + CONFIG.replace("http://10.0.2.11", "http://198.51.100.1")
    with topology.balancer(config):
        assert topology.get("/").status == 502
        topology.balancer_namespace.ip("route", "add", "198.51.100.0/24", "via", "10.0.2.11")
        topology.client.run("sleep", "0.5")
        assert topology.get("/").text == "far"


def test_an_interface_that_goes_down_and_up(host):
    host.balancer_namespace.ip("link", "set", "back", "down")
    assert host.get("/").status in (502, 504)
    host.balancer_namespace.ip("link", "set", "back", "up")
    wait_for(lambda: host.get("/").status == 200, 10, "the first answer after the interface came up again")
