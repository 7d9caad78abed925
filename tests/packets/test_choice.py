"""Which server a flow gets, and what becomes of flows that there is no room for."""

import collections

import maglev
import pytest
from flows import MODES, Flow, server_of
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from world import MACS, START_NS, STEP_NS, V4, V6, config, replay, service

FAMILY = {4: V4, 6: V6}
SECOND_NS = 1_000_000_000
ADDRESS_OF = {mac: address for address, mac in MACS.items()}
modes = pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))


def chosen(frame):
    """In these worlds every server is a neighbour."""
    return ADDRESS_OF[Ether(frame).dst]


def many(mode, count, family=V4, server_family=None, l4=TCP, **options):
    """Flows of several clients."""
    return [Flow(mode, family, server_family, l4=l4, client=family.client_of(1 + index % 50), sport=10000 + index // 50,
                 **options) for index in range(count)]


def test_the_table_itself():
    """The assignments known of Envoy for these hosts: what the expectations stand on."""
    table = maglev.table({f"127.0.0.1:{port}": 1 for port in range(90, 96)}, size=7)
    assert [int(host[-2:]) - 90 for host in table] == [2, 4, 0, 1, 5, 0, 3]
    shares = collections.Counter(maglev.table({"a:1": 1, "b:1": 2, "c:1": 3}))
    assert abs(shares["c:1"] - 32768) < 60 and abs(shares["b:1"] - 21845) < 60


@modes
def test_every_flow_gets_the_server_of_the_table(tmp_path, mode, inner, outer):
    flows = many(mode, 200, FAMILY[inner], FAMILY[outer])
    result = replay(tmp_path, service(mode, FAMILY[inner], server_family=FAMILY[outer]),
                    [flow.from_client() for flow in flows])
    assert [chosen(result.one(index)) for index in range(len(flows))] == [flow.server for flow in flows]
    assert len({flow.server for flow in flows}) == 4


@modes
def test_a_decision_tells_the_choice(tmp_path, mode, inner, outer):
    flow = Flow(mode, FAMILY[inner], FAMILY[outer])
    family, tunnel = flow.family, mode in ("ipip", "gue")
    result = replay(tmp_path, service(mode, family, server_family=flow.server_family), [flow.from_client()] * 2)
    flow.learn(result.one(0))
    value = maglev.flow_hash(flow.client, family.vip, flow.sport, 80, 6)
    client, vip = family.endpoint(flow.client, flow.sport), family.endpoint(family.vip, 80)
    server = flow.server_family.endpoint(flow.server, 80)
    first, second = (decisions[0] for decisions in result.decisions)
    wanted = {
        "protocol": "tcp", "source": client, "destination": vip, "tcp_flags": "S", "service": vip, "group": "web",
        "forward": mode, "hash": value, "entry": value % maglev.SIZE, "server": server, "flow": "none",
        "verdict": "started",
        "sent_source": family.endpoint(family.weir, flow.local_port) if mode == "full_nat" else client,
        "sent_destination": server if mode in ("full_nat", "nat") else vip,
        "outer_source": flow.server_family.weir if tunnel else None, "outer_destination": flow.server if tunnel else None,
    }
    assert {key: first[key] for key in wanted} == wanted
    assert (second["flow"], second["verdict"]) == ("opening", "forwarded")


@pytest.mark.parametrize("seed", [1, 0x123456789abcdef])
def test_the_seed_changes_the_choice(tmp_path, seed):
    flows = many("dsr", 200)
    result = replay(tmp_path, service("dsr", stream=f"hash_seed {seed};"), [flow.from_client() for flow in flows])
    servers = [chosen(result.one(index)) for index in range(len(flows))]
    expected = [server_of(flow.servers, flow.client, flow.sport, V4.vip, 80, 6, seed) for flow in flows]
    assert servers == [server.rsplit(":", 1)[0] for server in expected]
    assert servers != [flow.server for flow in flows]


def test_weights_and_servers_that_take_no_new_flows(tmp_path):
    a, b, c, d = V4.servers
    lines = [f"{a}:80 weight=3", f"{b}:80", f"{c}:80 weight=0", f"{d}:80 down", f"{V4.server(15)}:80 backup"]
    flows = many("dsr", 400, servers={f"{a}:80": 3, f"{b}:80": 1})
    result = replay(tmp_path, service("dsr", lines=lines), [flow.from_client() for flow in flows])
    servers = [chosen(result.one(index)) for index in range(len(flows))]
    assert servers == [flow.server for flow in flows]
    assert 250 < servers.count(a) < 350


def test_backups_serve_when_no_other_server_does(tmp_path):
    a, b, c, _ = V4.servers
    lines = [f"{a}:80 weight=0", f"{b}:80 down", f"{c}:80 backup", f"{V4.server(15)}:80 backup"]
    flows = many("dsr", 100, servers={f"{c}:80": 1, f"{V4.server(15)}:80": 1})
    result = replay(tmp_path, service("dsr", lines=lines), [flow.from_client() for flow in flows])
    assert [chosen(result.one(index)) for index in range(len(flows))] == [flow.server for flow in flows]


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_no_server_at_all(tmp_path, mode):
    result = replay(tmp_path, service(mode, lines=[f"{V4.servers[0]}:80 down", f"{V4.servers[1]}:80 weight=0"]),
                    [Flow(mode, V4).from_client()])
    assert result.verdicts() == [["drop_no_server"]] and not result.frames[0]


@pytest.mark.parametrize("family", [V4, V6], ids=repr)
@pytest.mark.parametrize("method", ["hash $remote_addr;", "hash $remote_addr consistent;", "maglev $remote_addr;",
                                    "ip_hash;"])
@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_affinity_to_the_clients_address(tmp_path, mode, method, family):
    """A client keeps its server whatever its port; clients are spread. (ip_hash goes by the /24 of an IPv4 address.)"""
    clients = [family.client_of(256 * (1 + index)) for index in range(20)]
    flows = [Flow(mode, family, client=client, sport=sport) for client in clients for sport in range(5000, 5005)]
    result = replay(tmp_path, service(mode, family, method=method), [flow.from_client() for flow in flows])
    of_client = collections.defaultdict(set)
    for index, flow in enumerate(flows):
        of_client[flow.client].add(chosen(result.one(index)))
    assert all(len(servers) == 1 for servers in of_client.values())
    assert len(set.union(*of_client.values())) >= 3


@pytest.mark.parametrize("method", ["round_robin", "least_conn", "random"])
def test_other_methods_spread_and_stay(tmp_path, method):
    """A flow stays where its first packet went, though the method would say something else the next time."""
    flows = many("dsr", 80)
    frames = [flow.from_client() for flow in flows] + [flow.from_client(b"x", "PA") for flow in flows]
    result = replay(tmp_path, service("dsr", method=f"{method};"), frames)
    first = [chosen(result.one(index)) for index in range(80)]
    assert [chosen(result.one(80 + index)) for index in range(80)] == first
    shares = collections.Counter(first)
    assert len(shares) == 4 and min(shares.values()) >= (20 if method != "random" else 5)


# ---- ports ----

@pytest.mark.parametrize("mode, inner, outer", [row for row in MODES if row[1] == 4], ids=str)
@pytest.mark.parametrize("ports, served, others", [("8000-8100", [8000, 8042, 8100], [7999, 8101]),
                                                   ("*", [1, 80, 443, 65535], [])], ids=["range", "all"])
def test_ports_are_kept(tmp_path, mode, inner, outer, ports, served, others):
    servers = "".join(f"server {address if outer == 4 else f'[{address}]'};\n" for address in FAMILY[outer].servers)
    text = config(f"""upstream web {{ {servers} }}
        server {{ listen {V4.vip}:{ports}; proxy_pass web; forward {mode}; }}""")
    flows = [Flow(mode, V4, FAMILY[outer], dport=port) for port in served + others]
    result = replay(tmp_path, text, [flow.from_client() for flow in flows])
    assert result.verdicts() == [["started"]] * len(served) + [["passed"]] * len(others)
    for index, flow in enumerate(flows[:len(served)]):
        frame = flow.from_client()
        flow.server = chosen(result.one(index))
        flow.learn(result.one(index))
        assert result.one(index) == flow.at_server(frame, result.one(index))


# ---- flows that there is no room for ----

@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_more_flows_than_places(tmp_path, mode):
    """One-way modes forward by the table alone, the others need their entries and say so. Who has one keeps it."""
    flows = many(mode, 2500, l4=UDP)
    frames = [flow.from_client() for flow in flows] + [flow.from_client(b"x") for flow in flows]
    result = replay(tmp_path, service(mode, udp=True, stream="flows 1k;"), frames)
    verdicts = [verdict for (verdict,) in result.verdicts()]
    one_way = mode in ("dsr", "ipip", "gue")
    beyond = "stateless" if one_way else "drop_flows_full"
    assert set(verdicts[:2500]) == {"started", beyond}
    assert (800 if one_way else 400) <= verdicts[:2500].count("started") <= 2100
    for index, flow in enumerate(flows):
        later = verdicts[2500 + index]
        # A port tried anew may find a place for the answers.
        assert later == "forwarded" if verdicts[index] == "started" else later in (beyond, "started")
        if one_way:
            assert chosen(result.one(index)) == chosen(result.one(2500 + index)) == flow.server


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_established_connections_outlive_a_flood(tmp_path, mode):
    """Connections that were opened before go on through more SYNs than there are places."""
    real, flood = many(mode, 100), many(mode, 2600)[100:]
    for flow in flood:
        flow.sport += 20000
    frames = [flow.from_client() for flow in real] + [flow.from_client(flags="A", seq=1001) for flow in real]
    start = len(frames) + len(flood)
    frames += [flow.from_client() for flow in flood] + [flow.from_client(b"x", "PA", seq=1001) for flow in real]
    result = replay(tmp_path, service(mode, stream="flows 1k;"), frames)
    verdicts = [verdict for (verdict,) in result.verdicts()]
    assert verdicts[:200] == ["started"] * 100 + ["forwarded"] * 100
    assert verdicts[start:] == ["forwarded"] * 100


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_a_flood_of_syns(tmp_path, mode):
    """So many a second get an entry; the next second starts anew."""
    flows = many(mode, 200)
    times = [START_NS + (index // 100) * SECOND_NS + index % 100 * STEP_NS for index in range(200)]
    result = replay(tmp_path, service(mode, options="syn_rate 30;"), [flow.from_client() for flow in flows], times)
    verdicts = [verdict for (verdict,) in result.verdicts()]
    beyond = "stateless" if mode in ("dsr", "ipip", "gue") else "drop_syn_rate"
    for second in (verdicts[:100], verdicts[100:]):
        assert second == ["started"] * 30 + [beyond] * 70


def test_the_rate_does_not_bind_udp(tmp_path):
    flows = many("dsr", 100, l4=UDP)
    result = replay(tmp_path, service("dsr", udp=True, options="syn_rate 30;"), [flow.from_client() for flow in flows])
    assert result.verdicts() == [["started"]] * 100


# ---- the end of flows ----

@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
@pytest.mark.parametrize("l4, silence_s, alive", [(UDP, 9, True), (UDP, 12, False)], ids=["in time", "too late"])
def test_a_silent_flow_ends(tmp_path, mode, l4, silence_s, alive):
    flow = Flow(mode, V4, l4=l4)
    result = replay(tmp_path, service(mode, udp=True, options="proxy_timeout 10s;"), [flow.from_client()] * 2,
                    [START_NS, START_NS + silence_s * SECOND_NS])
    assert result.verdicts() == [["started"], ["forwarded" if alive else "started"]]


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_a_new_connection_after_a_reset(tmp_path, mode):
    flow = Flow(mode, V4)
    frames = [flow.from_client(), flow.from_client(flags="R"), flow.from_client()]
    assert replay(tmp_path, service(mode), frames).verdicts() == [["started"], ["forwarded"], ["started"]]


def test_a_pause_of_years(tmp_path):
    flow = Flow("dsr", V4)
    result = replay(tmp_path, service("dsr"), [flow.from_client()] * 2, [START_NS, START_NS + 10 ** 8 * SECOND_NS])
    assert result.verdicts() == [["started"], ["started"]]
