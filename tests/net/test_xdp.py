"""Flows that are known are forwarded by the XDP program itself: every mode, native and generic, one arm and two, and what
becomes of them when something changes."""

import os
from pathlib import Path

import pytest
from test_forward import (ROUTED, ROUTED_V6, THREE, ask, config, counters, decapsulate, echo_datagrams, reload,
                          routed_to_balancer)
from test_weirctl import WEIRCTL, status
from weirtest import run, wait_for

pytestmark = pytest.mark.weir_only

REQUESTS = 180
CONNECTIONS = 6
NATIVE = "interface front { } interface back { }"
GENERIC = "interface front { xdp_mode generic; } interface back { xdp_mode generic; }"


def whole_frames(topology):
    """Senders sum what they send, as they do through a NIC, and the balancer's veths take frames from XDP."""
    for namespace in [topology.client, *topology.servers]:
        namespace.run("ethtool", "-K", "eth0", "tx", "off")
    for port in ["to-front"] if topology.one_arm else ["to-front", "to-back"]:
        topology.switch.run("ethtool", "-K", port, "gro", "on")
    return topology


@pytest.fixture
def two_arms(net):
    topology = whole_frames(net(servers=3))
    topology.nginx()
    for server in topology.servers:
        server.ip("route", "replace", "default", "via", "10.0.2.1")
        server.ip("-6", "route", "replace", "default", "via", "fd00:2::1")
    return topology


def keep_asking(topology, address, connections=CONNECTIONS):
    """Many requests on each of a few connections. Returns who answered."""
    names = set()
    for _ in range(connections):
        with topology.connect(address, timeout=5) as stream:
            for _ in range(REQUESTS // CONNECTIONS):
                answer = stream.get("/")
                assert answer.status == 200
                names.add(answer.text.strip())
    return names


def assert_in_kernel(weir, answers=True):
    """Most packets were seen by no worker."""
    seen = counters(weir)
    assert seen.get("xdp.forwarded", 0) > REQUESTS, seen
    assert not answers or seen["xdp.answered"] > REQUESTS, seen
    # What the kernel forwards is in the sums of all.
    assert seen["l4.forwarded"] >= seen["xdp.forwarded"]
    assert sum(seen.get(name, 0) for name in ("xdp.up_malformed", "xdp.up_content")) == 0, seen
    # A kernel that was busy has sent one now and then.
    assert seen.get("xdp.up_partial_sum", 0) < 5, seen
    return seen


@pytest.mark.parametrize("interfaces", [NATIVE, GENERIC], ids=["native", "generic"])
@pytest.mark.parametrize("forward", ["full_nat", "nat"])
def test_both_directions(two_arms, forward, interfaces):
    with two_arms.balancer(config(forward, interfaces=interfaces)) as weir:
        assert keep_asking(two_arms, "10.0.1.1") <= {"s1", "s2", "s3"}
        packets = status(weir)["services"][0]["packets"]
        seen = assert_in_kernel(weir)
        assert packets > seen["xdp.forwarded"] - 10


def straight_back(net):
    """Servers that answer clients themselves."""
    topology = whole_frames(net(servers=2))
    routed_to_balancer(topology)
    for server in topology.servers:
        server.ip("route", "replace", "default", "via", "10.0.2.1")
        server.ip("-6", "route", "replace", "default", "via", "fd00:2::1")
    topology.balancer_namespace.sysctl("net.ipv4.ip_forward", 1)
    topology.balancer_namespace.sysctl("net.ipv6.conf.all.forwarding", 1)
    return topology


@pytest.mark.parametrize("forward", ["dsr", "ipip", "gue"])
@pytest.mark.parametrize("address", [ROUTED, ROUTED_V6])
def test_one_direction(net, forward, address):
    topology = straight_back(net)
    bracketed = f"[{address}]" if ":" in address else address
    servers = ["10.0.2.11", "10.0.2.12"]
    if forward == "dsr" and ":" in address:
        servers = ["[fd00:2::11]", "[fd00:2::12]"]
    decapsulators = [] if forward == "dsr" else [decapsulate(server) for server in topology.servers]
    try:
        text = config(forward, [f"{server}:80" for server in servers], [f"{bracketed}:80"], interfaces=NATIVE,
                      options="mss_clamp on;")
        with topology.balancer(text, ready=(address, 80)) as weir:
            keep_asking(topology, address)
            seen = assert_in_kernel(weir, answers=False)
            # From the second flow to a server on no packet leaves the kernel, but for what revives a neighbour.
            assert seen["xdp.started"] >= CONNECTIONS - 2, seen
            assert seen["l4.started"] >= CONNECTIONS, seen
            assert "xdp.up_tcp_state" not in seen, seen
    finally:
        for process in decapsulators:
            process.kill()
            process.wait()


def test_one_arm(net):
    topology = whole_frames(net(servers=2, one_arm=True))
    topology.nginx()
    with topology.balancer(config("full_nat", ["10.0.1.11:80", "10.0.1.12:80"])) as weir:
        assert keep_asking(topology, "10.0.1.1") <= {"s1", "s2"}
        assert_in_kernel(weir)


def test_ipv6_and_several_workers(net):
    topology = whole_frames(net(servers=3, queues=2))
    topology.nginx()
    servers = ["[fd00:2::11]:80", "[fd00:2::12]:80", "[fd00:2::13]:80"]
    text = config("full_nat", servers, ["[fd00:1::1]:80"], workers=2)
    with topology.balancer(text, ready=("fd00:1::1", 80)) as weir:
        keep_asking(topology, "fd00:1::1")
        assert_in_kernel(weir)


def test_large_bodies_are_exact(two_arms):
    body = two_arms.running[0].file(2000000)
    with two_arms.balancer(config("full_nat", ["10.0.2.11:80"])) as weir:
        assert two_arms.get("/bytes/2000000").body == body
        seen = counters(weir)
        assert seen["xdp.answered"] > 1000 and seen["xdp.forwarded"] > 0, seen


def test_a_reload_moves_no_flow(two_arms):
    with two_arms.balancer(config("full_nat")) as weir:
        streams = [two_arms.connect() for _ in range(12)]
        before = [stream.get("/").body for stream in streams]
        assert len(set(before)) > 1
        for text in (config("full_nat", ["10.0.2.11:80"]), config("full_nat", THREE[1:]), config("full_nat")) * 2:
            reload(weir, text)
            for _ in range(5):
                assert [stream.get("/").body for stream in streams] == before
        for stream in streams:
            stream.close()
        assert_in_kernel(weir)


def test_a_service_that_is_gone_is_forwarded_no_more(two_arms):
    both = config("full_nat", listens=["10.0.1.1:80", "10.0.1.1:81"])
    with two_arms.balancer(both) as weir:
        with two_arms.connect(port=81, timeout=3) as stream:
            for _ in range(20):
                assert stream.get("/").status == 200
            reload(weir, config("full_nat"))
            # Nobody listens there, says the kernel.
            with pytest.raises(OSError):
                stream.get("/")


def test_a_veth_whose_peer_takes_no_frames(net):
    """Then what leaves through it passes through user space, and the log says so."""
    topology = whole_frames(net(servers=1))
    topology.nginx()
    topology.switch.run("ethtool", "-K", "to-back", "gro", "off")
    with topology.balancer(config("full_nat", THREE[:1])) as weir:
        keep_asking(topology, "10.0.1.1", connections=2)
        assert weir.logged("interface back: takes no frames from XDP")
        topology.switch.run("ethtool", "-K", "to-back", "gro", "on")
        assert wait_for(lambda: "interface back: takes frames from XDP" in weir.error_log, what="the change")
        keep_asking(topology, "10.0.1.1")
        seen = assert_in_kernel(weir)
        assert seen["xdp.up_next_hop"] > 50


def test_sums_left_to_the_device_pass_through_user_space(net):
    """Frames of a local kernel carry the pseudo-header's sum alone."""
    topology = whole_frames(net(servers=1))
    topology.nginx()
    topology.client.run("ethtool", "-K", "eth0", "tx", "on")
    with topology.balancer(config("full_nat", THREE[:1])) as weir:
        keep_asking(topology, "10.0.1.1", connections=2)
        seen = counters(weir)
        assert seen["xdp.up_partial_sum"] > 50
        assert seen["xdp.answered"] > 50


def test_an_interface_goes_down_and_comes_back(two_arms):
    with two_arms.balancer(config("full_nat", THREE[:1])) as weir:
        with two_arms.connect(timeout=15) as stream:
            for _ in range(50):
                assert stream.get("/").status == 200
            two_arms.balancer_namespace.ip("link", "set", "back", "down")
            two_arms.balancer_namespace.ip("link", "set", "back", "up")
            for _ in range(50):
                assert stream.get("/").status == 200
        assert seen_forwarded(weir) > 50


def cable_again(topology):
    """A new interface `back` in the balancer, with the name and the addresses of the one that has gone."""
    switch, balancer = topology.switch, topology.balancer_namespace
    switch.ip("link", "add", "name", "to-back", "type", "veth", "peer", "name", "back", "netns", balancer.name)
    switch.ip("link", "set", "to-back", "master", "dmz", "up")
    switch.run("ethtool", "-K", "to-back", "gro", "on")
    balancer.ip("address", "add", "10.0.2.1/24", "dev", "back")
    balancer.ip("link", "set", "back", "up")


def processor_seconds(weir):
    fields = Path(f"/proc/{weir.pid}/stat").read_text().rsplit(")")[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("interfaces, rounds", [("", 1), (NATIVE, 2)], ids=["found", "named"])
def test_an_interface_is_deleted_and_made_again(net, interfaces, rounds):
    """What is behind it is out of reach meanwhile; the other one goes on."""
    topology = whole_frames(net(servers=2))
    topology.nginx()
    text = config("full_nat", ["10.0.2.11:80"], interfaces=interfaces)
    with topology.balancer(text) as weir:
        assert topology.get("/").status == 200
        for round in range(1, rounds + 1):
            topology.switch.ip("link", "del", "to-back")
            wait_for(lambda: weir.error_log.count("interface back: it has gone") == round, what="the news")
            with pytest.raises(OSError):
                topology.connect(timeout=0.3)
            before = processor_seconds(weir)
            reload(weir, text)
            topology.client.run("ping", "-c", "4", "-i", "0.2", "10.0.1.1")
            assert processor_seconds(weir) - before < 0.4
            cable_again(topology)
            wait_for(lambda: weir.error_log.count("interface back: AF_XDP") == round + 1, what="a new port")
            wait_for(lambda: reaches(topology), what="the server")
        wait_for(lambda: takes_frames(weir), what="news of the peer's GRO")
        keep_asking(topology, "10.0.1.1")
        assert_in_kernel(weir)


def takes_frames(weir):
    """Of the interface that there is now, whose peer may have had no GRO yet when Weir first looked."""
    news = weir.error_log.rsplit("it has gone", 1)[-1]
    return news.rfind("takes frames from XDP") >= news.rfind("takes no frames from XDP")


def reaches(topology):
    try:
        with topology.connect(timeout=0.5) as stream:
            return stream.get("/").status == 200
    except OSError:
        return False


def seen_forwarded(weir):
    return counters(weir)["xdp.forwarded"]


def answered(client):
    try:
        return ask(client, "10.0.1.1", seconds=0.2)
    except OSError:
        return None


def test_datagrams(two_arms):
    """One socket's: a flow. Its first goes up, the others do not."""
    echoes = [echo_datagrams(server, f"s{number}") for number, server in enumerate(two_arms.servers, 1)]
    servers = ["10.0.2.11:5353", "10.0.2.12:5353", "10.0.2.13:5353"]
    try:
        with two_arms.balancer(config("full_nat", servers, ["10.0.1.1:5353 udp"]), ready=None) as weir:
            wait_for(lambda: answered(two_arms.client), what="the first answer")
            answers = {ask(two_arms.client, "10.0.1.1", source_port=4711) for _ in range(50)}
            assert len(answers) == 1
            seen = counters(weir)
            assert seen["xdp.forwarded"] >= 45 and seen["xdp.answered"] >= 45, seen
    finally:
        for echo in echoes:
            echo.kill()
            echo.wait()


def test_a_trace_sees_every_packet(two_arms):
    with two_arms.balancer(config("full_nat", THREE[:1])) as weir:
        with two_arms.connect(timeout=5) as stream:
            for _ in range(30):
                assert stream.get("/").status == 200
            trace = two_arms.balancer_namespace.popen(
                WEIRCTL, "--socket", f"{weir.directory}/weir.sock", "trace", "--json", "--verdict", "forwarded",
                "--count", "20", "--seconds", "10", stdout=-1, text=True)
            while trace.poll() is None:
                assert stream.get("/").status == 200
            said = trace.communicate()[0]
            assert said.count('"forwarded"') >= 20, said
        assert counters(weir)["xdp.up_observed"] >= 10


# ---- a Weir that is killed ----

@pytest.fixture
def bpf_file_system():
    """Where pinned objects are; not every machine has it mounted."""
    mounted = os.path.ismount("/sys/fs/bpf")
    if not mounted:
        run("mount", "-t", "bpf", "bpf", "/sys/fs/bpf")
    yield "/sys/fs/bpf"
    left = os.listdir("/sys/fs/bpf")
    if not mounted:
        run("umount", "/sys/fs/bpf")
    assert not [name for name in left if name.startswith("weir-")], left


def programs(topology):
    return [name for name in ("front", "back") if "xdp" in topology.balancer_namespace.ip("link", "show", name)]


def ask_all(streams):
    return [stream.get("/").body for stream in streams]


@pytest.mark.parametrize("forward", ["full_nat", "nat"])
def test_pinned_flows_outlive_a_killed_weir(two_arms, bpf_file_system, forward):
    text = "xdp_pin on;\n" + config(forward)
    with two_arms.balancer(text) as weir:
        streams = [two_arms.connect(timeout=5) for _ in range(9)]
        before = ask_all(streams)
        assert ask_all(streams) == before and len(set(before)) > 1
        weir.kill()
        assert programs(two_arms) == ["front", "back"]
        for _ in range(3):
            assert ask_all(streams) == before
        # Nobody is there to choose for a new one.
        with pytest.raises(OSError):
            two_arms.connect(timeout=0.5)
        ended = streams.pop()
        ended.close()
        before.pop()
        weir.exit_code = weir.daemon = None
        weir.write(text)
        weir.start()
        assert weir.logged("the flows of a Weir before this one go on")
        for _ in range(3):
            assert ask_all(streams) == before
        assert two_arms.get("/").status == 200
        reload(weir, "xdp_pin on;\n" + config(forward, ["10.0.2.11:80"]))
        assert ask_all(streams) == before
        for stream in streams:
            stream.close()
        seen = counters(weir)
        assert seen["xdp.drop_no_weir"] > 0
        assert not programs(two_arms)


def names_of(streams):
    return [stream.get("/").text.strip() for stream in streams]


def test_new_flows_go_on_without_weir(net, bpf_file_system):
    """The program places them; and where they were placed they stay, whatever the next Weir's servers are."""
    topology = straight_back(net)
    text = "xdp_pin on;\n" + config("dsr", ["10.0.2.11:80", "10.0.2.12:80"], [f"{ROUTED}:80"], interfaces=NATIVE)
    with topology.balancer(text, ready=(ROUTED, 80)) as weir:
        streams = [topology.connect(ROUTED, timeout=5) for _ in range(8)]
        assert set(names_of(streams)) == {"s1", "s2"}
        # Meanwhile both servers' link addresses are known.
        weir.kill()
        streams += [topology.connect(ROUTED, timeout=5) for _ in range(12)]
        before = names_of(streams)
        assert set(before[8:]) == {"s1", "s2"}
        weir.exit_code = weir.daemon = None
        weir.write(text.replace("server 10.0.2.12:80;", "server 10.0.2.12:80 down;"))
        weir.start()
        # Who answers does not tell that it is there.
        wait_for(lambda: weir.error_log.count("serves with 1 worker") > 1, what="the next Weir")
        assert names_of(streams) == before
        fresh = [topology.connect(ROUTED, timeout=5) for _ in range(8)]
        assert set(names_of(fresh)) == {"s1"}
        reload(weir, text.replace("server 10.0.2.11:80;", "server 10.0.2.11:80 down;"))
        assert names_of(streams + fresh) == before + ["s1"] * 8
        assert {topology.get("/", address=ROUTED).text.strip() for _ in range(4)} == {"s2"}
        assert status(weir)["services"][0]["flows"] >= 28
        for stream in streams + fresh:
            stream.close()
        seen = counters(weir)
        assert seen["xdp.started"] >= 20, seen


def test_without_pinning_a_killed_weir_leaves_nothing(two_arms):
    with two_arms.balancer(config("full_nat")) as weir:
        assert two_arms.get("/").status == 200
        assert programs(two_arms) == ["front", "back"]
        weir.expect_exit = None
        weir.kill()
        assert not programs(two_arms)


def test_pinned_flows_of_another_shape_are_given_up(two_arms, bpf_file_system):
    text = "xdp_pin on;\n" + config("full_nat")
    with two_arms.balancer(text) as weir:
        assert two_arms.get("/").status == 200
        weir.kill()
        weir.exit_code = weir.daemon = None
        weir.write(text.replace("stream {", "stream { flows 10000;"))
        weir.start()
        assert "go on" not in weir.error_log
        assert two_arms.get("/").status == 200


def test_what_was_pinned_goes_when_it_is_wanted_no_more(two_arms, bpf_file_system):
    with two_arms.balancer("xdp_pin on;\n" + config("full_nat")) as weir:
        assert two_arms.get("/").status == 200
        weir.kill()
        weir.exit_code = weir.daemon = None
        weir.write(config("full_nat"))
        weir.start()
        assert two_arms.get("/").status == 200
        assert not [name for name in os.listdir(bpf_file_system) if name.startswith("weir-")]
