"""What the benchmarks that put balancers between a client and nginx have in common."""

import contextlib
import itertools
import json
import re
import resource
import statistics
import tempfile
import time

from bench_command import WEIR
from weirtest import Balancer, Haproxy, core_seconds, run, wait_for

LOAD = "app/weir-load/weir-load"  # of the build directory
BINARIES = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy"}
# The heading of ratios().
RATIOS = f"{'to nginx: req/s':>16} {'core':>6}"


def ratios(one, base):
    """What `one` gives and takes as multiples of nginx's: the more, the better. Empty where that was not measured."""
    if not base or not base.get("core_us"):
        return f"{'':23}"
    return f"{one['requests_per_second'] / base['requests_per_second']:>16.2f} {base['core_us'] / max(one['core_us'], 0.001):>6.2f}"


@contextlib.contextmanager
def pinned(arguments, topology, kind, configuration, prefix=(), **options):
    """A balancer on core 0."""
    make = Haproxy if kind == "haproxy" else Balancer
    binary = f"{arguments.build}/{WEIR}" if kind == "weir" else BINARIES[kind]
    with make(topology.balancer_namespace, configuration, client=topology.client, binary=binary,
              prefix=[*prefix, "taskset", "-c", "0"], **options) as balancer:
        yield balancer


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()
    return float(number) * {"us": 0.001, "ms": 1, "s": 1000, "m": 60000}[unit]


def measured(balancer, work):
    """What `work` returned, and what happened meanwhile: the balancer's CPU seconds, its core's, the clock's."""
    process, core, start = balancer.cpu_seconds(), core_seconds(0), time.monotonic()
    result = work()
    return result, balancer.cpu_seconds() - process, core_seconds(0) - core, time.monotonic() - start


def wrk(topology, balancer, url, seconds, connections, words=(), warm_up=1):
    """What wrk measured, and its report."""
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{connections}", "--latency", *words]
    if warm_up:
        topology.client.run(*command, f"-d{warm_up}s", url)
    report, process, core, took = measured(
        balancer, lambda: topology.client.run(*command, f"-d{seconds}s", url, timeout=seconds + 30).stdout)
    requests = int(re.search(r"(\d+) requests in", report)[1])
    bad = re.search(r"Socket errors.*|Non-2xx.*", report)
    return {
        "requests_per_second": requests / took,
        "p50_ms": milliseconds(re.search(r"^\s+50%\s+(\S+)", report, re.MULTILINE)[1]),
        "p99_ms": milliseconds(re.search(r"^\s+99%\s+(\S+)", report, re.MULTILINE)[1]),
        "process_us": process / requests * 1e6,
        "core_us": core / requests * 1e6,
        "errors": bad[0] if bad else "",
    }, report


class Load:
    """weir-load in a namespace, on core 1. `network`: each run has an address of its own there, as a new process knows nothing
    of the timestamps that the pairs of the one before it have left in the server's TIME-WAIT."""

    def __init__(self, arguments, namespace, url, *words, network=None):
        self.arguments, self.namespace, self.url, self.words = arguments, namespace, url, words
        self.addresses = (["--address", f"{network}.{host}/24"] if network else [] for host in itertools.count(2))

    def run(self, *words, connections=None):
        with tempfile.NamedTemporaryFile("r", suffix=".json") as report:
            # Its start, too: that is a second's work.
            command = [*self.arguments.prefix, "taskset", "-c", "1", f"{self.arguments.build}/{LOAD}", "-c", connections or self.arguments.connections,
                       "-d", f"{self.arguments.milliseconds}ms", "--warmup", f"{self.arguments.warmup}ms", "--timeout", "20s", "--cpus", "1",
                       "--json", report.name, *self.words, *next(self.addresses), *words, self.url]
            done = self.namespace.run(*command, check=False, timeout=120 + self.arguments.milliseconds / 1000)
            if done.returncode:
                raise RuntimeError(f"{' '.join(map(str, command))}\n{done.stdout}")
            result = json.load(report)
        marks = result["latency_ns"]["percentiles"]
        counters = result["counters"]
        bad = {name: counters[name] for name in ("tls", "read", "timeout", "bad_answer", "wrong_size", "bad_status") if counters[name]}
        return {"requests_per_second": result["requests_per_second"], "answers": counters["answers"],
                "gbit_per_second": result["bytes_per_second"] * 8 / 1e9, "seconds": result["seconds"],
                "resumed": counters["resumed"] / max(counters["connected"], 1),
                **{f"p{name}_us": marks[name] / 1000 for name in ("50", "99", "99.9")}, "errors": str(bad or "")}

    def measure(self, balancer, *words, **options):
        """Likewise, with the balancer's CPU per request. The warm-up's share is in both: it has the same requests."""
        result, process, core, _ = measured(balancer, lambda: self.run(*words, **options))
        requests = result["requests_per_second"] * (result["seconds"] + self.arguments.warmup / 1000)
        return {**result, "process_us": process / requests * 1e6, "core_us": core / requests * 1e6}


def median_of(rounds):
    result = {key: statistics.median(one[key] for one in rounds) for key in rounds[0] if key != "errors"}
    result["errors"] = "; ".join(sorted({one["errors"] for one in rounds if one["errors"]}))
    result["rounds"] = rounds
    return result


def in_turn(kinds, rounds):
    """Each of them once in every round, in another order each time."""
    for number in range(rounds):
        yield from kinds[number % len(kinds):] + kinds[:number % len(kinds)]


def many_files():
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))


def add_own_receivers(parser):
    parser.add_argument("--own-receivers", action="store_true", help="each end's receiving on its own core, not in the sender's time")


def receiving_threads(device):
    return set(run("pgrep", f"^napi/{device}-", check=False).stdout.split())


def receive_on_own_cores(topology):
    """veth delivers in the sender's time: the TCP of the client's kernel runs in the balancer's, and what XDP does for the balancer in
    the client's. With a thread for what each interface receives (threaded NAPI), on its owner's core, each end pays for
    itself, as it does when a wire is between them. For all balancers alike, and GRO comes with it."""
    for namespace, device, core in ((topology.client, "eth0", 1), (topology.balancer_namespace, "front", 0),
                                    (topology.balancer_namespace, "back", 0), (topology.servers[0], "eth0", 1)):
        namespace.run("ethtool", "-K", device, "gro", "on")
        before = receiving_threads(device)
        # Not with nsenter, under which /sys is the host's.
        run("ip", "netns", "exec", namespace.name, "sh", "-c", f"echo 1 > /sys/class/net/{device}/threaded")
        [thread] = receiving_threads(device) - before
        run("taskset", "-cp", core, thread)


@contextlib.contextmanager
def small_server(arguments, topology, ports, prefix=()):
    """A Weir on core 1 that makes small answers by itself; yields its endpoints. nginx on the kernel's TCP takes four times as long
    for one, and core 1 is full before the balancer is."""
    listens = " ".join(f"listen 10.0.2.11:{port};" for port in ports)
    config = f"""
worker_processes 1;
worker_cpu_affinity 10;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    server {{ {listens} return 200 "{'x' * 127}\\n"; }}
}}
"""
    with Balancer(topology.servers[0], config, ready=None, binary=f"{arguments.build}/{WEIR}",
                  prefix=[*prefix, "taskset", "-c", "1"]) as server:
        wait_for(lambda: "serves with" in server.error_log, 60, "the start of the server")
        yield (f"10.0.2.11:{port}" for port in ports)


def prepared(topology, sizes, nice=None):
    """nginx as the server, on core 1, with /bytes/N of these sizes."""
    [server] = topology.nginx()
    for size in sizes:
        server.file(size)
    workers = run("pgrep", "-P", server.process.pid).stdout.split()
    for pid in [server.process.pid, *workers]:
        run("taskset", "-cp", "1", pid)
        if nice is not None:
            run("renice", "-n", nice, "-p", pid)
    for namespace in (topology.client, topology.balancer_namespace):
        namespace.sysctl("net.ipv4.ip_local_port_range", "10240 65000")
        namespace.sysctl("net.ipv4.tcp_tw_reuse", "1")
    wait_for(lambda: "nginx" in server.namespace.run("curl", "-sI", "http://10.0.2.11/").stdout)
