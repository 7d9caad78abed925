"""Weir as a process: what a kill leaves, how soon it is back, what it costs when nobody asks."""

import os
import re
import time

import pytest
from weirtest import run, wait_for

CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21
CONFIG = """
events { }
http {
    access_log off;
    server { listen 10.0.1.1:80; location / { proxy_pass http://10.0.2.11; } location /self { return 200 "self"; } }
}
"""


@pytest.fixture
def served(net):
    topology = net(servers=1)
    topology.nginx()
    return topology


def programs(topology):
    """Names of interfaces that have an XDP program attached."""
    return [line for line in topology.balancer_namespace.ip("-d", "link").splitlines() if "prog/xdp" in line]


@pytest.mark.weir_only
def test_the_program_is_attached_while_it_runs_and_gone_afterwards(served):
    with served.balancer(CONFIG):
        assert len(programs(served)) >= 1
    wait_for(lambda: not programs(served), 2, "the end of the program")


@pytest.mark.weir_only
def test_a_killed_weir_leaves_no_program_and_starts_again_at_once(served):
    for _ in range(3):
        with served.balancer(CONFIG) as weir:
            assert served.get("/").text == "s1\n"
            weir.expect_exit = None
            weir.kill()
        wait_for(lambda: not programs(served), 2, "the end of the program")
    served.client.run("ping", "-c1", "-W2", "10.0.1.1")


@pytest.mark.weir_only
def test_a_killed_weir_leaves_nothing_in_the_file_system(served):
    def left():
        return set(run("find", "/dev/hugepages", "/sys/fs/bpf", "/var/run/dpdk", "-type", "f", "-o", "-type", "s",
                       check=False, stderr=-3).stdout.split())

    before = left()
    with served.balancer(CONFIG) as weir:
        weir.expect_exit = None
        weir.kill()
    assert left() <= before


def test_a_second_instance_on_the_same_address_says_why_it_fails(served):
    with served.balancer(CONFIG):
        second = served.balancer(CONFIG, ready=None)
        try:
            second.start()
            assert second.wait_exit() == 1
            said = second.error_log + second.read("output")
            assert "10.0.1.1:80" in said or "interface front has an XDP program already" in said
        finally:
            second.clean()
        assert served.get("/").text == "s1\n"


@pytest.mark.timing
def test_idle_costs_under_2_percent(served):
    """Two interfaces, connections open, nobody speaks."""
    with served.balancer(CONFIG) as weir:
        idle = [served.connect() for _ in range(50)]
        for stream in idle:
            stream.get("/self")
        time.sleep(0.5)
        before = weir.cpu_seconds()
        time.sleep(5)
        assert (weir.cpu_seconds() - before) / 5 < 0.02
        for stream in idle:
            stream.close()


@pytest.mark.timing
def test_a_request_after_idling_is_answered_at_once(served):
    """Waking costs tens of microseconds; 5 ms leave room for a busy machine."""
    with served.balancer(CONFIG):
        times = []
        with served.connect() as stream:
            for _ in range(20):
                time.sleep(0.05)
                start = time.monotonic()
                stream.get("/self")
                times.append(time.monotonic() - start)
        assert sorted(times)[10] < 0.005, times


@pytest.mark.weir_only
def test_worker_connections_bound_what_it_takes(net):
    """300 connections at a limit of 100: the rest is refused or waits, those that are in are served, and it recovers."""
    topology = net(servers=1)
    topology.nginx()
    with topology.balancer(CONFIG.replace("events { }", "events { worker_connections 100; }")) as weir:
        streams = []
        for _ in range(300):
            try:
                streams.append(topology.connect(timeout=0.3))
            except OSError:
                break
        with streams[0] as first:
            assert first.get("/self").text == "self"
        for stream in streams:
            stream.close()
        time.sleep(0.5)
        assert topology.get("/self").text == "self"
        assert weir.logged("worker_connections are not enough")


@pytest.mark.weir_only
def test_sysctls_and_features_are_restored(served):
    """Whatever it changes on the host while it runs, it puts back."""
    def state():
        return [served.balancer_namespace.run("sysctl", "-a", "-r", "net.ipv4.conf.*(route_localnet|accept_local|rp_filter)",
                                              stderr=-3).stdout,
                *(served.balancer_namespace.run("ethtool", "-k", name).stdout for name in ("front", "back", "lo"))]

    before = state()
    with served.balancer(CONFIG):
        served.get("/")
    assert state() == before


def limits_of(pid):
    """Of every thread, by its name: effective capabilities, and whether system calls are filtered."""
    limits = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/status") as file:
            fields = dict(line.split(":\t", 1) for line in file.read().splitlines())
        limits[fields["Name"]] = int(fields["CapEff"], 16), fields["Seccomp"], fields["Uid"].split()[0]
    return limits


def owners_of_threads(pid):
    """Whom /proc says that their files belong to: root where there may be no core dump, or else who they run as (proc(5))."""
    return {os.stat(f"/proc/{pid}/task/{task}/status").st_uid for task in os.listdir(f"/proc/{pid}/task")}


@pytest.mark.weir_only
def test_there_is_no_core_dump_unless_one_is_asked_for(served):
    with served.balancer("user nobody nogroup;" + CONFIG) as weir:
        assert limits_of(weir.pid)["weir-worker-0"][2] == "65534"
        assert owners_of_threads(weir.pid) == {0}


@pytest.mark.weir_only
@pytest.mark.parametrize("user, uid", [("", "0"), ("user nobody nogroup;", "65534")])
def test_threads_keep_only_what_they_need(served, user, uid):
    with served.balancer(f"{user} worker_rlimit_core 1m;" + CONFIG) as weir:
        limits = limits_of(weir.pid)
        assert limits["weir-worker-0"] == (0, "2", uid) and owners_of_threads(weir.pid) == {0, int(uid)}
        for name, (capabilities, filtered, _) in limits.items():
            assert not capabilities >> CAP_SYS_ADMIN & 1 and not capabilities >> CAP_SYS_PTRACE & 1, name
            assert filtered == "2", name
        with open(f"/proc/{weir.pid}/limits") as file:
            assert re.search(r"^Max core file size\s+1048576\s+1048576", file.read(), re.MULTILINE)
        assert served.get("/").status == 200
        weir.reload()
        wait_for(lambda: "configuration is in force" in weir.error_log)
        assert served.get("/").status == 200
