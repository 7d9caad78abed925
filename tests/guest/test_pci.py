"""Weir on PCI devices, in a machine that has some: an emulated e1000e towards the client and a virtio NIC towards the servers,
given to DPDK by the project's scripts and given back. One boot for all of it, in this order.

    client ---- lan ---- e1000e  [guest: weir]  virtio-net ---- dmz ---- s1, s2
                         vmxnet3, on dmz too, in a net of its own: the NIC that keeps the guest's default route
"""

import time

import pytest
from weirtest import ROOT, Topology, wait_for

from guest import Guest

SCRIPTS = f"{ROOT}/drivers-conf"
WEIR, WEIRCTL = f"{ROOT}/build/app/weir/weir", f"{ROOT}/build/app/weirctl/weirctl"
CONFIG = """
pid /run/weir.pid;
error_log /run/weir.log info;
interface {lan} {{ twin lan; address 10.0.1.1/24; }}
interface {dmz} {{ twin dmz; address 10.0.2.1/24; }}
events {{ worker_connections 64; }}
http {{
    access_log off;
    upstream servers {{ server 10.0.2.11; server 10.0.2.12; }}
    server {{ listen 10.0.1.1:80; location / {{ proxy_pass http://servers; }} }}
}}
stream {{
    flows 1k;
    upstream web {{ server 10.0.2.11:80; server 10.0.2.12:80; }}
    server {{ listen 10.0.1.1:8080; proxy_pass web; forward full_nat; }}
}}
"""


class World:
    """The guest and the network around it."""

    def __init__(self, topology, guest):
        self.net, self.guest = topology, guest
        self.lan, self.dmz, self.spare = guest.nics

    def interfaces(self):
        """What the guest's kernel calls each NIC; None while the kernel has it not."""
        lines = self.guest.run("ip", "-br", "link").stdout.splitlines()
        named = [line.split() for line in lines if not line.startswith(("lan", "dmz "))]
        return [next((words[0] for words in named if nic.mac in words), None) for nic in self.guest.nics]

    def script(self, name, *words, check=True):
        return self.guest.run(f"{SCRIPTS}/{name}", *words, check=check)

    def drivers(self):
        links = [f"/sys/bus/pci/devices/{nic.address}/driver" for nic in self.guest.nics]
        return [line.rsplit("/", 1)[1] for line in self.guest.run("readlink", *links).stdout.splitlines()]

    def start(self, text):
        self.guest.write("/run/weir.conf", text)
        self.guest.run(f"cd /run && rm -f weir.log && {WEIR} -p /run/ -c weir.conf || {{ cat weir.log; false; }}")

    def log(self):
        return self.guest.run("cat /run/weir.log").stdout

    def pid(self):
        return int(self.guest.run("cat /run/weir.pid").stdout)

    def stop(self):
        pid = self.pid()
        self.guest.run(f"kill -QUIT {pid}; for i in $(seq 600); do [ -d /proc/{pid} ] || exit 0; sleep 0.1; done; exit 1")


@pytest.fixture(scope="module")
def world():
    with Topology(servers=2) as topology:
        # The guest is the balancer here.
        for name in ("front", "back"):
            topology.balancer_namespace.ip("link", "delete", name)
        topology.nginx()
        with Guest(topology.switch, [("e1000e", "lan"), ("virtio-net-pci", "dmz"), ("vmxnet3", "dmz")]) as guest:
            guest.run("modprobe -a e1000e virtio_net vmxnet3; ip link set lo up")
            yield World(topology, guest)
            assert guest.power_off() == 0


def test_kernel_first(world):
    """As an administrator finds it: each NIC has an interface with an address and the kernel's driver."""
    wait_for(lambda: all(world.interfaces()), 60, "three interfaces")
    assert world.drivers() == ["e1000e", "virtio-pci", "vmxnet3"]
    lan, dmz, spare = world.interfaces()
    world.guest.run(f"""set -e
        for it in "{lan} 10.0.1.1/24" "{dmz} 10.0.2.1/24" "{spare} 10.0.3.3/24"; do
            ip address add ${{it#* }} dev ${{it% *}}
            ip link set ${{it% *}} up
        done
        ip route add 10.77.0.0/16 via 10.0.1.2
        ip route add default via 10.0.3.254 dev {spare}""")
    wait_for(lambda: world.net.client.run("ping", "-c1", "-W1", "10.0.1.1", check=False).returncode == 0, 30, "an answer to ping")


def test_the_last_default_route_is_kept(world):
    done = world.script("bind", world.interfaces()[2], check=False)
    assert done.returncode == 1 and "the last default route" in done.stdout, done.stdout
    assert world.drivers()[2] == "vmxnet3"


def test_hugepages(world):
    assert "node 0: 256 pages of 2 MB" in world.script("hugepages", "512M").stdout


def test_bind(world):
    world.script("bind", world.interfaces()[0], world.dmz.address)
    assert world.drivers() == ["vfio-pci", "vfio-pci", "vmxnet3"]
    assert world.interfaces()[:2] == [None, None]


def test_the_doctor_finds_it_well(world):
    world.guest.write("/run/weir.conf", CONFIG.format(lan=world.lan.address, dmz=world.dmz.address))
    said = world.guest.run(WEIRCTL, "doctor", "-c", "/run/weir.conf").stdout
    for text in (f"{world.lan.address} (8086:10d3): under vfio-pci, for DPDK's net_e1000_em",
                 f"{world.dmz.address} (1af4:1041): under vfio-pci, for DPDK's net_virtio",
                 f"{world.spare.address} (15ad:07b0, {world.interfaces()[2]}): the kernel's vmxnet3 has it"):
        assert text in said, said


def test_start(world):
    world.start(CONFIG.format(lan=world.lan.address, dmz=world.dmz.address))
    log = world.log()
    assert f"interface {world.lan.address}: DPDK's driver net_e1000_em, 1 queue, mtu 1500" in log, log
    assert f"interface {world.dmz.address}: DPDK's driver net_virtio, 1 queue, mtu 1500" in log, log
    wait_for(lambda: f"{world.lan.address}: link is up" in world.log(), 30, "a link")


def test_requests_are_balanced(world):
    assert world.net.counts("http://10.0.1.1/", 20) == {"s1": 10, "s2": 10}
    assert world.net.counts_by_connection("http://10.0.1.1/", 20) == {"s1": 10, "s2": 10}


def test_flows_are_balanced(world):
    counts = world.net.counts_by_connection("http://10.0.1.1:8080/", 20)
    assert sum(counts.values()) == 20 and set(counts) == {"s1", "s2"}, counts


def test_what_is_not_served_is_the_kernels(world):
    """Over the twin, in both directions."""
    world.net.client.run("ping", "-c3", "-W5", "10.0.1.1")
    world.guest.run("ping", "-c3", "-W5", "10.0.2.12")


def test_idle_workers_sleep(world):
    """Until the NIC's interrupt, where it has been seen to come: e1000e's never does under vfio-pci."""
    wait_for(lambda: f"{world.dmz.address}: its interrupt works" in world.log(), 30, "virtio's interrupt")
    assert f"{world.lan.address}: its interrupt works" not in world.log()

    def ticks():
        lines = world.guest.run(f"cat /proc/{world.pid()}/task/*/stat; cat /proc/uptime").stdout.splitlines()
        return (sum(int(number) for line in lines[:-1] for number in line.rsplit(")", 1)[1].split()[11:13]),
                float(lines[-1].split()[0]))

    time.sleep(2)
    before, start = ticks()
    time.sleep(5)
    after, end = ticks()
    # A worker that never sleeps has all of a CPU. Naps of a millisecond, an emulated system call each, have a third.
    assert (after - before) / 100 < 0.75 * (end - start), f"{after - before} ticks in {end - start:.1f} s"


def test_unbind(world):
    refused = world.script("unbind", world.lan.address, check=False)
    assert refused.returncode == 1 and "in use by process" in refused.stdout, refused.stdout
    world.stop()
    world.script("unbind", world.lan.address, world.dmz.address)
    assert world.drivers() == ["e1000e", "virtio-pci", "vmxnet3"]
    addresses = world.guest.run("ip -br address; ip route").stdout
    for text in ("10.0.1.1/24", "10.0.2.1/24", "10.77.0.0/16 via 10.0.1.2"):
        assert text in addresses, addresses
    wait_for(lambda: world.net.client.run("ping", "-c1", "-W1", "10.0.1.1", check=False).returncode == 0, 30, "an answer to ping")
