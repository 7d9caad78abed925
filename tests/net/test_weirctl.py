"""weirctl and the control socket, against a real Weir."""

import contextlib
import json
import os
import socket
import stat
import time

import pytest
from weirtest import BINARY, run, wait_for

pytestmark = pytest.mark.weir_only

WEIRCTL = f"{os.path.dirname(BINARY)}/../weirctl/weirctl"
HTTP = """
events { }
http {
    access_log off;
    upstream web { least_conn; server 10.0.2.11 weight=3; server 10.0.2.12 down; server 10.0.2.13 weight=0; server 10.0.2.14 backup; }
    server { listen 10.0.1.1:80; location / { proxy_pass http://web; } location /self { return 200 "self"; } }
}
"""
STREAM = """
stream {
    flows 4k;
    upstream packets { server 10.0.2.11:81; server 10.0.2.12:81; }
    server { listen 10.0.1.1:81; proxy_pass packets; forward full_nat; }
}
"""


@pytest.fixture
def served(net):
    topology = net(servers=2)
    topology.nginx()
    return topology


def weirctl(weir, *words, check=True, command=WEIRCTL):
    return run(command, "--socket", f"{weir.directory}/weir.sock", *words, check=check)


def status(weir):
    return json.loads(weirctl(weir, "status", "--json").stdout)


def talk(weir, *lines, timeout=3):
    """Bytes to the socket as they are; everything that comes back until it is closed or silent."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(timeout)
        client.connect(f"{weir.directory}/weir.sock")
        for line in lines:
            client.sendall(line)
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
    return [json.loads(line) for line in answer.splitlines()]


def test_status_tells_workers_listeners_groups_and_ports(served):
    with served.balancer(HTTP) as weir:
        for _ in range(5):
            assert served.get("/").text == "s1\n"
        told = status(weir)
        assert told["pid"] == weir.pid and told["configurations"] == 1 and told["uptime_seconds"] < 60
        assert [worker["worker"] for worker in told["workers"]] == [0]
        assert 0 <= told["workers"][0]["busy"] <= 1 and told["workers"][0]["rounds"] > 0
        assert told["http"]["listeners"] == ["10.0.1.1:80"]
        (group,) = told["http"]["groups"]
        assert (group["name"], group["method"]) == ("web", "least_conn")
        assert [(s["address"], s["weight"], s["state"]) for s in group["servers"]] == [
            ("10.0.2.11:80", 3, "up"), ("10.0.2.12:80", 1, "down"), ("10.0.2.13:80", 0, "drained"),
            ("10.0.2.14:80", 1, "backup")]
        ports = {port["name"]: port for port in told["ports"]}
        assert ports["front"]["counters"]["rx_packets"] >= 15 and ports["front"]["link"] is True
        text = weirctl(weir, "status").stdout
        for part in ("worker 0", "http 10.0.1.1:80", "10.0.2.13:80             drained", "port front"):
            assert part in text, text


def test_rates_are_those_of_the_last_second(served):
    with served.balancer(HTTP) as weir:
        def rate():
            with served.connect() as stream:
                for _ in range(50):
                    assert stream.get("/self").text == "self"
            return status(weir)["http"]["requests_per_second"]

        wait_for(lambda: rate() > 20, 10, "a rate of requests")
        wait_for(lambda: status(weir)["http"]["requests_per_second"] == 0, 4, "a rate of 0")


def test_counters_are_those_of_all_rooms(served):
    with served.balancer(HTTP) as weir:
        before = json.loads(weirctl(weir, "counters", "--json").stdout)["counters"]["proxy"]["requests"]
        for _ in range(7):
            served.get("/self")
        told = json.loads(weirctl(weir, "--json", "counters").stdout)["counters"]
        assert told["proxy"]["requests"] == before + 7
        assert {"packet", "port", "tcp", "net", "proxy", "worker"} <= set(told)
        assert f"proxy.requests {before + 7}" in weirctl(weir, "counters").stdout


def test_the_socket_is_for_its_owner_alone_and_goes_with_weir(served):
    with served.balancer(HTTP) as weir:
        path = f"{weir.directory}/weir.sock"
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_ISSOCK(os.stat(path).st_mode)
        assert weir.stop() == 0
        assert not os.path.exists(path)


def test_the_socket_of_a_killed_weir_is_replaced(served):
    with served.balancer(HTTP) as weir:
        weir.expect_exit = None
        weir.kill()
        assert os.path.exists(f"{weir.directory}/weir.sock")
        gone = weirctl(weir, "status", check=False)
        assert gone.returncode == 1 and "is weir running?" in gone.stdout
        weir.exit_code = weir.daemon = None
        os.unlink(f"{weir.directory}/weir.pid")
        weir.start()
        assert status(weir)["pid"] == weir.pid
        assert weir.logged("was left by a weir that ended badly: replaced")
        assert weir.stop() == 0


def test_a_socket_that_answers_is_not_taken_and_a_file_is_not_removed(served):
    with served.balancer(HTTP) as weir:
        second = served.balancer(f"control {weir.directory}/weir.sock;" + HTTP, ready=None)
        third = served.balancer(f"control {weir.directory}/weir.conf;" + HTTP, ready=None)
        for other, reason in ((second, "another weir answers there"), (third, "there is a file that is no socket")):
            try:
                other.start()
                assert other.wait_exit() == 1
                assert reason in other.error_log + other.read("output")
            finally:
                other.clean()
        assert status(weir)["pid"] == weir.pid and weir.read("weir.conf")


def test_control_names_another_path_or_none(served):
    with served.balancer("control off;" + HTTP) as weir:
        assert not os.path.exists(f"{weir.directory}/weir.sock")
    with served.balancer("control here.socket;" + HTTP) as weir:
        assert not os.path.exists(f"{weir.directory}/weir.sock")
        told = run(WEIRCTL, "-s", f"{weir.directory}/here.socket", "-j", "status").stdout
        assert json.loads(told)["pid"] == weir.pid
        weir.reload("control off;" + HTTP)
        assert weir.logged('"control" changes with a restart only')


@pytest.mark.parametrize("directives, reason", [
    ("control off; control off;", '"control" directive is duplicate'),
    (f"control {'x' * 108};", "is longer than the 107 bytes that a socket may have"),
    ("control;", 'invalid number of arguments in "control" directive'),
])
def test_a_bad_control_directive_is_refused(tmp_path, directives, reason):
    path = tmp_path / "weir.conf"
    path.write_text(f"{directives}\nevents {{ }}\n")
    told = run(BINARY, "-t", "-e", "stderr", "-c", path, check=False)
    assert told.returncode == 1 and reason in told.stdout and "weir.conf:1" in told.stdout


@pytest.mark.parametrize("words, reason", [
    (["frobnicate"], 'unknown command "frobnicate"'),
    ([], "no command"),
    (["status", "now"], "usage: status"),
    (["drain", "web"], "usage: drain GROUP SERVER"),
    (["drain", "web", "10.0.2.99:80"], 'no server "10.0.2.99:80" in upstream "web" of http'),
    (["drain", "stream:web", "10.0.2.11:80"], 'no upstream "stream:web"'),
    (["weight", "nobody", "10.0.2.11:80", "3"], 'no upstream "nobody"'),
    (["weight", "web", "10.0.2.11:80", "many"], 'invalid weight "many"'),
    (["explain", "icmp", "10.0.0.1:1", "10.0.1.1:80"], 'unknown protocol "icmp"'),
    (["explain", "tcp", "10.0.0.1", "10.0.1.1:80"], "invalid endpoint"),
    (["explain", "tcp", "10.0.0.1:1", "[::1]:80"], "different IP versions"),
    (["explain", "tcp", "10.0.0.1:1", "10.0.1.1:80"], "no packet-level services"),
    (["explain", "tcp", "10.0.0.1:1", "10.0.1.1:80", "--flags", "xyz"], 'unknown TCP flag "xyz"'),
    (["trace", "--count", "0"], "--count must be a number between"),
    (["trace", "--count"], "--count needs a value"),
    (["trace", "--count", "1", "--count", "2"], "stands there twice"),
    (["trace", "--verdict", "good"], 'no verdict is called "good"'),
    (["trace", "--colour", "red"], 'unknown option "--colour"'),
    (["trace"], "no packet-level services"),
])
def test_what_cannot_be_done_is_an_error_with_its_reason(shared, words, reason):
    told = weirctl(shared, *words, check=False)
    assert told.returncode == 1 and reason in told.stdout
    if words and words[0] != "frobnicate":
        told = weirctl(shared, "--json", *words, check=False)
        assert told.returncode == 1 and reason in json.loads(told.stdout)["error"]


@pytest.fixture(scope="module")
def shared():
    """One Weir for tests that change nothing."""
    from weirtest import Topology

    with Topology(servers=1) as topology, topology.balancer(HTTP) as weir:
        yield weir


def test_bad_bytes_are_answered_and_hurt_nobody(shared):
    assert talk(shared, b"status\n")[0]["pid"] == shared.pid
    assert talk(shared, b'["status", "--json"]\r\n')[0]["pid"] == shared.pid
    assert talk(shared, b"status")[0]["pid"] == shared.pid
    two = talk(shared, b"counters\nnonsense\nstatus\n")
    assert "counters" in two[0] and "unknown command" in two[1]["error"] and two[2]["pid"] == shared.pid
    for line in (b'["status"\n', b"[1]\n", b'[["status"]]\n', b"[" * 4000 + b"\n", b'["\\u0000"]\n'):
        assert talk(shared, line) == [{"error": "not a JSON array of words"}]
    assert "unknown command" in talk(shared, b'{"a":1}\n')[0]["error"]
    assert talk(shared, b"\n") == [{"error": "no command"}]
    assert talk(shared, b"a " * 65 + b"\n") == [{"error": "too many words"}]
    assert "control characters" in talk(shared, b"\0\1\n")[0]["error"]
    assert talk(shared, b"x\xff\xfe\n")[0]["error"]


def test_an_endless_line_ends_the_connection(shared):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{shared.directory}/weir.sock")
        client.sendall(b"x" * 5000)
        assert json.loads(client.recv(4096)) == {"error": "the line is too long"}
        client.settimeout(3)
        try:
            assert client.recv(1) == b""
        except ConnectionResetError:
            pass


def test_a_silent_client_is_let_go_and_keeps_nobody_waiting(shared):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{shared.directory}/weir.sock")
        client.sendall(b"sta")
        client.settimeout(10)
        start = time.monotonic()
        assert status(shared)["pid"] == shared.pid
        assert time.monotonic() - start < 2
        assert client.recv(1) == b""
        assert 4 < time.monotonic() - start < 9


def test_a_client_that_does_not_read_is_let_go(shared):
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{shared.directory}/weir.sock")
        client.setblocking(False)
        sent = 0
        try:
            while sent < 50_000_000:
                sent += client.send(b"counters\n" * 1000)
        except BlockingIOError:
            pass
        assert status(shared)["pid"] == shared.pid

        def gone():
            try:
                client.send(b"x")
            except (BrokenPipeError, ConnectionResetError):
                return True
            except BlockingIOError:
                return False

        wait_for(gone, 9, "the end of a client that does not read")


def test_clients_are_limited(shared):
    clients = [socket.socket(socket.AF_UNIX) for _ in range(17)]
    try:
        for client in clients:
            client.connect(f"{shared.directory}/weir.sock")
        clients[16].settimeout(3)
        assert json.loads(clients[16].recv(4096)) == {"error": "too many clients"}
    finally:
        for client in clients:
            client.close()
    wait_for(lambda: weirctl(shared, "status", check=False).returncode == 0, 3, "room for clients")


# ---- packet-level services ----


@pytest.fixture
def forwarding(net):
    """Two services to the same two servers, over real nginx."""
    topology = net(servers=2)
    topology.nginx(port=81)
    with topology.balancer(HTTP + STREAM, ready=("10.0.1.1", 80)) as weir:
        weir.topology = topology
        yield weir


def service(weir):
    (row,) = status(weir)["services"]
    return row


def answers(weir, count=12):
    names = [weir.topology.get("/", port=81).text.strip() for _ in range(count)]
    return {name: names.count(name) for name in set(names)}


def test_status_tells_services_and_their_servers(forwarding):
    assert set(answers(forwarding)) == {"s1", "s2"}
    row = service(forwarding)
    assert (row["address"], row["ports"], row["protocol"], row["forward"], row["group"], row["method"]) == (
        "10.0.1.1", "81", "tcp", "full_nat", "packets", "maglev")
    assert [server["address"] for server in row["servers"]] == ["10.0.2.11:81", "10.0.2.12:81"]
    assert sum(server["share"] for server in row["servers"]) == pytest.approx(1)
    assert row["flows"] == sum(server["flows"] for server in row["servers"]) == 12
    assert row["packets"] >= 12 * 4 and row["bytes"] > row["packets"] * 40
    assert status(forwarding)["workers"][0]["flows"]["entries"] == 24
    assert json.loads(weirctl(forwarding, "counters", "--json").stdout)["counters"]["l4"]["started"] == 12
    text = weirctl(forwarding, "status").stdout
    assert "tcp 10.0.1.1:81  full_nat  group packets (maglev)  12 flows" in text and "24 of" in text


def test_drain_moves_new_flows_only_and_undrain_brings_them_back(forwarding):
    topology = forwarding.topology
    kept = [topology.connect(port=81) for _ in range(8)]
    before = [stream.get("/").text for stream in kept]
    assert {"s1\n", "s2\n"} == set(before)
    assert "drained" in weirctl(forwarding, "drain", "packets", "10.0.2.11:81").stdout
    assert answers(forwarding) == {"s2": 12}
    assert [stream.get("/").text for stream in kept] == before
    states = [(server["state"], server["weight"], server["weight_in_force"]) for server in service(forwarding)["servers"]]
    assert states == [("drained", 1, 0), ("up", 1, 1)]
    forwarding.reload()
    assert forwarding.logged("configuration is in force")
    assert answers(forwarding) == {"s2": 12}
    assert "configured weight" in weirctl(forwarding, "undrain", "packets", "10.0.2.11:81").stdout
    assert set(answers(forwarding, 20)) == {"s1", "s2"}
    for stream in kept:
        stream.close()


def test_weight_changes_the_shares(forwarding):
    assert weirctl(forwarding, "weight", "packets", "10.0.2.11:81", "3").stdout == "10.0.2.11:81 of packets has weight 3\n"
    shares = [server["share"] for server in service(forwarding)["servers"]]
    assert shares == [pytest.approx(0.75, abs=0.01), pytest.approx(0.25, abs=0.01)]
    told = weirctl(forwarding, "weight", "packets", "10.0.2.99:81", "3", check=False)
    assert told.returncode == 1 and 'no server "10.0.2.99:81" in upstream "packets"' in told.stdout


POOL = """
events { }
http {
    access_log off;
    upstream packets { server 10.0.2.11; server 10.0.2.12; keepalive 4; }
    server { listen 10.0.1.1:80; location / { proxy_pass http://packets; proxy_http_version 1.1; proxy_set_header Connection ""; } }
}
"""


def counts(topology):
    return topology.counts("http://10.0.1.1/", 12)


def test_drain_and_weight_of_a_group_of_http(served):
    def servers():
        return [(server["state"], server["weight"], server["weight_in_force"])
                for server in status(weir)["http"]["groups"][0]["servers"]]

    with served.balancer(POOL) as weir:
        assert counts(served) == {"s1": 6, "s2": 6}
        told = weirctl(weir, "drain", "packets", "10.0.2.11:80").stdout
        assert told == "10.0.2.11:80 of packets is drained: no new requests, those it has go on\n"
        assert counts(served) == {"s2": 12} and servers() == [("drained", 1, 0), ("up", 1, 1)]
        weir.reload()
        assert weir.logged("configuration is in force")
        assert counts(served) == {"s2": 12}
        weirctl(weir, "weight", "http:packets", "10.0.2.11:80", "3")
        assert counts(served) == {"s1": 9, "s2": 3}
        assert "weight 1, now 3" in weirctl(weir, "status").stdout
        weirctl(weir, "undrain", "packets", "10.0.2.11:80")
        assert counts(served) == {"s1": 6, "s2": 6} and servers() == [("up", 1, 1), ("up", 1, 1)]


def test_a_group_of_http_and_one_of_stream_may_share_a_name(served):
    with served.balancer(POOL + STREAM) as weir:
        told = weirctl(weir, "drain", "packets", "10.0.2.11:80", check=False)
        assert told.returncode == 1 and 'say "http:packets" or "stream:packets"' in told.stdout
        weirctl(weir, "drain", "http:packets", "10.0.2.11:80")
        weirctl(weir, "drain", "stream:packets", "10.0.2.12:81")
        assert counts(served) == {"s2": 12}
        assert [server["state"] for server in service(weir)["servers"]] == ["up", "drained"]


def test_explain_says_what_then_happens(forwarding):
    def explain(*words):
        return json.loads(weirctl(forwarding, "--json", "explain", *words).stdout)

    told = explain("tcp", "10.0.1.2:5555", "10.0.1.1:81")
    assert told["verdict"] == "started" and told["flow"] == "none" and told["service"]["group"] == "packets"
    assert told["server"] == told["sent_destination"] and 0 <= told["entry"] < 65537
    assert told["sent_source"].startswith("10.0.2.1") and told["next_hop"]["neighbor"] == told["server"].split(":")[0]
    assert told["next_hop"]["port"] == "back" and told["next_hop"]["mtu"] == 1500
    assert service(forwarding)["flows"] == 0
    with forwarding.topology.connect(port=81, source=("10.0.1.2", 5555)) as stream:
        name = stream.get("/").text.strip()
        told = explain("tcp", "10.0.1.2:5555", "10.0.1.1:81", "--flags", "ack")
        assert told["flow"] == "established" and told["verdict"] == "forwarded"
        assert told["server"] == {"s1": "10.0.2.11:81", "s2": "10.0.2.12:81"}[name]
        assert told["next_hop"]["resolved"] is True
        back = explain("tcp", told["server"], told["sent_source"], "--flags", "ack")
        assert back["verdict"] == "answered" and back["sent_destination"] == "10.0.1.2:5555"
    assert explain("tcp", "10.0.1.2:5555", "10.0.1.1:82")["verdict"] == "passed"
    text = weirctl(forwarding, "explain", "tcp", "10.0.1.2:5556", "10.0.1.1:81").stdout
    assert "flow      miss" in text and "bucket" in text and "verdict   started" in text


def test_trace_shows_the_decisions_that_pass_its_filter(forwarding):
    address = forwarding.topology.servers[0].v4
    path = f"{forwarding.directory}/weir.sock"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(json.dumps(["trace", "--server", address, "--count", "5", "--seconds", "20"]).encode() + b"\n")
        lines = client.makefile()
        told = None
        wait_for(lambda: "another trace" in (told := weirctl(forwarding, "trace", check=False)).stdout, 3, f"the trace {told}")
        answers(forwarding, 10)
        decisions = [json.loads(lines.readline()) for _ in range(5)]
        assert json.loads(lines.readline()) == {"end": {"decisions": 5, "dropped": 0}}
        client.sendall(b"counters\n")
        assert "counters" in json.loads(lines.readline())
    assert {line["verdict"] for line in decisions} <= {"started", "forwarded", "answered"}
    told = weirctl(forwarding, "trace", "--seconds", "1", "--verdict", "drop_no_server")
    assert told.stdout == "0 decisions, 0 dropped\n"


def test_explain_finds_the_worker_that_knows_the_flow(net):
    topology = net(servers=1, queues=2)
    topology.nginx(port=81)
    stream = STREAM.replace("server 10.0.2.12:81;", "")
    with topology.balancer("worker_processes 2;" + HTTP + stream, ready=("10.0.1.1", 80)) as weir:
        with contextlib.ExitStack() as stack:
            for port in range(6000, 6016):
                connection = stack.enter_context(topology.connect(port=81, source=("10.0.1.2", port)))
                assert connection.get("/").text == "s1\n"
            told = [json.loads(weirctl(weir, "--json", "explain", "tcp", f"10.0.1.2:{port}", "10.0.1.1:81", "--flags", "ack").stdout)
                    for port in range(6000, 6016)]
            assert {answer["flow"] for answer in told} == {"established"}
            entries = [worker["flows"]["entries"] for worker in status(weir)["workers"]]
            assert sum(entries) == 32
            assert [2 * sum(answer["worker"] == index for answer in told) for index in (0, 1)] == entries


def test_a_trace_whose_client_goes_ends(forwarding):
    for _ in range(3):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{forwarding.directory}/weir.sock")
            client.sendall(b"trace\n")
            time.sleep(0.1)
        answers(forwarding, 3)
    told = wait_for(lambda: weirctl(forwarding, "trace", "--count", "1", "--seconds", "1", check=False).stdout, 5)
    assert "decisions" in told


def test_help_shows_every_command():
    told = run(WEIRCTL, "help").stdout
    for name in ("status", "counters", "drain", "undrain", "weight", "explain", "trace", "maglev table", "maglev diff"):
        assert f"\n  {name} " in told
        assert name in run(WEIRCTL, "help", *name.split()).stdout
    assert run(WEIRCTL, "help", "nothing", check=False).returncode == 1
    assert "/run/weir.sock" in told


def test_maglev_table_is_computed_without_a_weir():
    told = run(WEIRCTL, "maglev", "table", "10.0.0.1:80", "10.0.0.2:80=3", "10.0.0.3:80=0").stdout.splitlines()
    rows = [line.split() for line in told]
    assert [row[0] for row in rows] == ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]
    entries = [int(row[1]) for row in rows]
    assert sum(entries) == 65537 and entries[2] == 0 and 2.9 < entries[1] / entries[0] < 3.1
    small = json.loads(run(WEIRCTL, "--json", "maglev", "table", "--size", "7", "10.0.0.1:80", "[::1]:80").stdout)
    assert small["size"] == 7 and [server["server"] for server in small["servers"]] == ["10.0.0.1:80", "[::1]:80"]
    for words, reason in ((["--size", "8", "10.0.0.1:80"], "prime"), (["10.0.0.1:80"] * 2, "twice"), (["x"], "invalid server"),
                          (["10.0.0.1:80=-1"], "invalid weight"), (["--size", "7"], "usage")):
        told = run(WEIRCTL, "maglev", "table", *words, check=False)
        assert told.returncode == 1 and reason in told.stdout
    assert len(run(WEIRCTL, "maglev", "table", *(f"10.0.{i // 250}.{i % 250}:80" for i in range(1000))).stdout.splitlines()) == 1000


def configuration(tmp_path, name, servers):
    path = tmp_path / name
    path.write_text("events { } http { upstream web { maglev; %s } upstream turns { server 10.0.0.9; } } " % "".join(
        f"server {server};" for server in servers) + "stream { upstream packets { %s } }" % "".join(
        f"server {server};" for server in servers))
    return path


def test_maglev_diff_tells_what_a_change_would_move(tmp_path):
    servers = [f"10.0.0.{number}:80" for number in range(1, 11)]
    old = configuration(tmp_path, "old.conf", servers)
    new = configuration(tmp_path, "new.conf", servers[1:] + ["10.0.0.99:80"])
    groups = {(group["context"], group["group"]): group for group in
              json.loads(run(WEIRCTL, "--json", "maglev", "diff", old, new).stdout)["groups"]}
    assert set(groups) == {("stream", "packets"), ("http", "web")}
    group = groups["stream", "packets"]
    rows = {row["server"]: row for row in group["servers"]}
    assert group["entries"] == 65537 and group["change"] == "kept"
    assert rows["10.0.0.1:80"]["new"] == 0 and rows["10.0.0.1:80"]["lost"] == rows["10.0.0.1:80"]["old"]
    assert rows["10.0.0.99:80"]["gained"] == rows["10.0.0.99:80"]["new"] > 6000
    assert sum(row["lost"] for row in rows.values()) == sum(row["gained"] for row in rows.values()) == group["moved"]
    assert group["disturbed"] == group["moved"] - rows["10.0.0.1:80"]["lost"] < 65537 // 8
    same = json.loads(run(WEIRCTL, "--json", "maglev", "diff", old, old).stdout)["groups"]
    assert [group["moved"] for group in same] == [0, 0]
    assert "entries move" in run(WEIRCTL, "maglev", "diff", old, new).stdout
    broken = tmp_path / "broken.conf"
    broken.write_text("events { } http { nonsense; }")
    told = run(WEIRCTL, "maglev", "diff", old, broken, check=False)
    assert told.returncode == 1 and 'unknown directive "nonsense"' in told.stdout and "broken.conf:1" in told.stdout
