"""The wiring that most tests use, made anew for each of them:

      client                    balancer                      s1, s2, ... (each a namespace with its own stack)
    10.0.1.2 ---- front ---- 10.0.1.1   10.0.2.1 ---- back ---- 10.0.2.11, 10.0.2.12, ...
    fd00:1::2               fd00:1::1   fd00:2::1               fd00:2::11, ...

`front` and `back` are the balancer's interfaces. With `one_arm` there is `front` only, and the servers are
10.0.1.11, ... beside the client. Each wire ends at a switch (a bridge), so that there can be several servers; `direct` does
without, for the one server of a benchmark. With `bad_path` too, the client's wire is cut in two, and between the halves lies
what Topology.path() makes; until then nothing passes.
"""

import contextlib
import glob
import itertools
import os
import re
import shutil

from .balancer import Balancer
from .namespace import Namespace, delete, run, sweep
from .path import BadPath
from .servers import Nginx, Origin
from .stream import Stream

NUMBERS = itertools.count(1)


class Topology:
    def __init__(self, servers=0, one_arm=False, mtu=1500, queues=1, direct=False, bad_path=False):
        self.one_arm, self.mtu, self.queues = one_arm, mtu, queues
        self.number = next(NUMBERS)
        self.namespaces, self.running = [], []
        self.servers = []
        sweep()
        try:
            if direct:
                self._build_direct(bad_path)
            else:
                self._build(servers)
        except BaseException:
            self.close()
            raise

    def _build(self, servers):
        self.client, self.balancer_namespace, switch = map(self._gathering, ("client", "balancer", "switch"))
        self._bridge(switch, "lan")
        self._wire(switch, "lan", "to-client", self.client, "eth0", ["10.0.1.2/24", "fd00:1::2/64"])
        self._wire(switch, "lan", "to-front", self.balancer_namespace, "front", ["10.0.1.1/24", "fd00:1::1/64"])
        if not self.one_arm:
            self._bridge(switch, "dmz")
            self._wire(switch, "dmz", "to-back", self.balancer_namespace, "back", ["10.0.2.1/24", "fd00:2::1/64"])
        for number in range(1, servers + 1):
            self._server(switch, number)
        self.client.ip("route", "add", "default", "via", "10.0.1.1")
        self.switch = switch
        for namespace in sorted(self.namespaces, key=lambda namespace: namespace is not switch):  # it makes their interfaces
            namespace.do_gathered()

    def _build_direct(self, bad_path):
        """client ---- front, back ---- s1"""
        self.client, self.balancer_namespace = self._namespace("client"), self._namespace("balancer")
        server = self._namespace("s1")
        server.v4, server.v6 = "10.0.2.11", "fd00:2::11"
        near, far = (self.client, "eth0", ["10.0.1.2/24", "fd00:1::2/64"]), (self.balancer_namespace, "front", ["10.0.1.1/24", "fd00:1::1/64"])
        if bad_path:
            self._cut(near, far)
        else:
            self._cable(near, far)
        self._cable((server, "eth0", [f"{server.v4}/24", f"{server.v6}/64"]),
                    (self.balancer_namespace, "back", ["10.0.2.1/24", "fd00:2::1/64"]))
        self.servers.append(server)
        for namespace, net in ((self.client, 1), (server, 2)):
            namespace.ip("route", "add", "default", "via", f"10.0.{net}.1")

    def _cable(self, *ends):
        (one, name, _), (other, peer, _) = ends
        one.ip("link", "add", "name", name, "mtu", self.mtu, "type", "veth", "peer", "name", peer, "mtu", self.mtu,
               "netns", other.name)
        for end, device, given in ends:
            for address in given:
                end.ip("address", "add", address, "dev", device, *(["nodad"] if ":" in address else []))
            end.ip("link", "set", device, "up")

    def _cut(self, near, far):
        """What is sent into the path is no longer than the MTU, and has its checksums."""
        self.between = self._namespace("path")
        self.between.sysctl("net.ipv6.conf.all.disable_ipv6", 1)
        for device, end in (("near", near), ("far", far)):
            self._cable(end, (self.between, device, []))
            end[0].run("ethtool", "-K", end[1], "tso", "off", "gso", "off", "tx", "off")
            self.between.run("ethtool", "-K", device, "gro", "off")

    def path(self, **trouble):
        return BadPath(self.between, "near", "far", **trouble)

    def _namespace(self, name):
        namespace = Namespace(f"{self.number}-{name}")
        self.namespaces.append(namespace)
        return namespace

    def _gathering(self, name):
        namespace = self._namespace(name)
        namespace.gather()
        return namespace

    def _bridge(self, switch, name):
        switch.ip("link", "add", "name", name, "type", "bridge")
        switch.ip("link", "set", name, "up")

    def _wire(self, switch, bridge, port, namespace, name, addresses):
        queues = ["numrxqueues", self.queues, "numtxqueues", self.queues]
        switch.ip("link", "add", "name", port, "mtu", self.mtu, *queues, "type", "veth",
                  "peer", "name", name, "mtu", self.mtu, *queues, "netns", namespace.name)
        switch.ip("link", "set", port, "master", bridge, "up")
        for address in addresses:
            namespace.ip("address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))
        namespace.ip("link", "set", name, "up")

    def _server(self, switch, number):
        namespace = self._gathering(f"s{number}")
        net, bridge = ("1", "lan") if self.one_arm else ("2", "dmz")
        namespace.v4, namespace.v6 = f"10.0.{net}.{10 + number}", f"fd00:{net}::{10 + number}"
        self._wire(switch, bridge, f"to-s{number}", namespace, "eth0", [f"{namespace.v4}/24", f"{namespace.v6}/64"])
        namespace.ip("route", "add", "default", "via", f"10.0.{net}.1")
        self.servers.append(namespace)

    def nginx(self, *numbers, port=80, more=""):
        """Starts a real nginx, named s1, s2, ..., on each server (all of them when none is named)."""
        started = []
        for number in numbers or range(1, len(self.servers) + 1):
            namespace = self.servers[number - 1]
            listen = [f"{namespace.v4}:{port}", f"[{namespace.v6}]:{port}"]
            started.append(self._keep(Nginx(namespace, f"s{number}", listen, more)))
        return started

    def origin(self, handler, number=1, port=8080):
        namespace = self.servers[number - 1]
        return self._keep(Origin(namespace, namespace.v4, port, handler))

    def _keep(self, running):
        self.running.append(running)
        return running

    def balancer(self, config=None, **options):
        return Balancer(self.balancer_namespace, config, client=self.client, **options)

    def connect(self, address="10.0.1.1", port=80, timeout=10, source=None):
        return Stream(self.client.connect(address, port, timeout, source), timeout)

    def get(self, target="/", *fields, address="10.0.1.1", port=80, **options):
        """One request on a connection of its own."""
        with self.connect(address, port) as stream:
            return stream.get(target, *fields, **options)

    def curl(self, *words, check=True, timeout=60):
        """What curl printed on standard output."""
        return self.client.run("curl", "-sS", "--max-time", str(timeout - 5), *words, check=check, timeout=timeout).stdout

    def counts(self, url, requests, *words):
        """Who answered how often: {"s1": 10, ...} for `requests` requests by curl on one connection."""
        names = self.curl(*words, f"{url}?[1-{requests}]").split()
        return {name: names.count(name) for name in sorted(set(names))}

    def counts_by_connection(self, url, requests, *words):
        return self.counts(url, requests, "-H", "Connection: close", *words)

    def wrk(self, url, seconds=3, connections=16, *words):
        """wrk's report and, from it, (requests, errors)."""
        report = self.client.run("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *words, url,
                                 timeout=seconds + 30).stdout
        requests = int(re.search(r"(\d+) requests in", report)[1])
        errors = sum(int(number) for number in re.findall(r"(?:connect|read|write|timeout) (\d+)", report))
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", report)
        return report, requests, errors + (int(bad[1]) if bad else 0)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for running in reversed(self.running):
            with contextlib.suppress(Exception):
                running.close()
        delete(*(namespace.name for namespace in self.namespaces))
        self.namespaces, self.running = [], []


def sweep_directories():
    """Temporary directories of runs that no longer live."""
    for path in glob.glob("/tmp/weirtest-*-*"):
        made = re.match(r"/tmp/weirtest-(\d+)-", path)
        if made and not os.path.exists(f"/proc/{made[1]}"):
            shutil.rmtree(path, ignore_errors=True)


__all__ = ["Topology", "run", "sweep_directories"]
