"""weir-load against a real nginx over veth. Over memif, against Weir, it is in test_benchmarks.py."""

import json
import os
import re
import signal
import socket
import string
import subprocess
import time

import pytest
from weirtest import BINARY, Certificates, Origin, Stream, Topology, chunked, pattern, serving, wait_for
from weirtest.balancer import sanitizer_environment

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(BINARY)), "weir-load", "weir-load")
URL = "http://10.0.2.11"
SECURE = "https://10.0.2.11"
# Behind TLS, with a name of its own; says what the handshake was.
HTTPS = """
server {{
    listen 10.0.2.11:443 ssl; server_name other.test; {other}
    location / {{ return 200 "other"; }}
}}
server {{
    listen 10.0.2.11:443 ssl default_server; {main} ssl_protocols TLSv1.2 TLSv1.3;
    location / {{ return 200 "x"; }}
    location /bytes/ {{ alias files/; }}
    location /upload {{ return 200 "$content_length"; }}
}}
"""

pytestmark = [pytest.mark.weir_only, pytest.mark.skipif(not os.path.exists(PROGRAM), reason=f"{PROGRAM} is not built")]


class Load:
    """A run of weir-load: its exit code, what it printed, and the JSON of it."""

    def __init__(self, namespace, directory, *words):
        self.namespace, self.directory = namespace, directory
        self.path = f"{directory}/report.json"
        self.process = namespace.popen(PROGRAM, "--json", self.path, *words, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                       text=True, env=sanitizer_environment(directory))

    def wait(self):
        self.output, self.errors = self.process.communicate(timeout=60)
        self.code = self.process.returncode
        reports = [name for name in os.listdir(self.directory) if name.startswith("sanitizer")]
        assert not reports, [open(f"{self.directory}/{name}").read() for name in reports]
        if os.path.exists(self.path) and os.path.getsize(self.path):
            with open(self.path) as file:
                self.json = json.load(file)
                self.counters = self.json["counters"]
        return self


@pytest.fixture(scope="module")
def wire():
    """weir-load runs in the balancer's namespace, one cable away from an nginx."""
    topology, certificates = Topology(direct=True), Certificates()
    try:
        topology.nginx(more=HTTPS.format(main=certificates.sign("main", "main.test"), other=certificates.sign("other", "other.test")))
        for size in (128, 100000):
            topology.running[0].file(size)
        yield topology
    finally:
        topology.close()
        certificates.close()


@pytest.fixture
def load(wire, tmp_path):
    return lambda *words: Load(wire.balancer_namespace, tmp_path, *words).wait()


def test_kept_connections(load):
    done = load("-c", "8", "-d", "400ms", "--latency", f"{URL}/")
    assert done.code == 0, done.errors
    counters = done.counters
    assert counters["answers"] > 50
    assert counters["connected"] == 8
    assert {name: value for name, value in counters.items() if value}.keys() == {"answers", "bytes", "connected"}
    assert re.search(rf"\b{counters['answers']} requests in 0\.[345]", done.output), done.output
    assert "Socket errors" not in done.output and "Non-2xx" not in done.output
    marks = done.json["latency_ns"]["percentiles"]
    assert 0 < marks["50"] <= marks["99"] <= marks["100"] == done.json["latency_ns"]["max"]
    assert sum(count for _, count in done.json["latency_ns"]["buckets"]) == counters["answers"]


def test_a_connection_for_each_request_on_two_lcores(load):
    done = load("-c", "8", "-t", "2", "-d", "400ms", "--close", f"{URL}/")
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 20
    assert abs(done.counters["connected"] - done.counters["answers"]) <= 8
    assert "Connections/sec:" in done.output


def test_an_open_loop_keeps_its_rate(load):
    done = load("-c", "8", "-d", "1s", "-R", "500", "--latency", f"{URL}/")
    assert done.code == 0, done.errors
    assert 480 <= done.counters["due"] / done.json["seconds"] <= 520
    assert done.counters["due"] - 10 <= done.counters["answers"] <= done.counters["due"] + 1
    assert "from when a request was due" in done.output


def test_a_server_that_stalls_is_seen_by_all_who_would_have_come(wire, tmp_path):
    """Of 200 requests in a second, half a second of standstill delays every second one, by a quarter of a second on average."""
    running = Load(wire.balancer_namespace, tmp_path, "-c", "1", "-d", "1s", "-R", "200", f"{URL}/")
    server = wire.running[0].process
    workers = subprocess.run(["pgrep", "-P", str(server.pid)], capture_output=True, text=True).stdout.split()
    try:
        wait_for(lambda: running.process.stdout.readline().startswith("Running"), 15, "the start")
        time.sleep(0.25)
        for pid in workers:
            os.kill(int(pid), signal.SIGSTOP)
        time.sleep(0.5)
    finally:
        for pid in workers:
            os.kill(int(pid), signal.SIGCONT)
    done = running.wait()
    assert done.code == 0, done.errors
    marks = done.json["latency_ns"]["percentiles"]
    assert marks["75"] > 100e6 and marks["90"] > 250e6, marks


def test_bodies_are_counted_and_their_size_checked(load):
    done = load("-c", "2", "-d", "300ms", "--size", "100000", f"{URL}/bytes/100000")
    assert done.code == 0, done.errors
    assert done.counters["wrong_size"] == 0
    assert done.counters["bytes"] > 100000 * done.counters["answers"]
    done = load("-c", "2", "-d", "300ms", "--size", "129", f"{URL}/bytes/128")
    assert done.counters["wrong_size"] == done.counters["answers"] > 0
    assert f"Bodies of a wrong size: {done.counters['answers']}" in done.output


def echo(request):
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(request.body, 1000)


def test_chunked_answers_and_bodies_up(wire, tmp_path):
    """What a server was sent is what it sends back, in chunks."""
    origin = Origin(wire.servers[0], "10.0.2.11", 8080, serving(echo))
    try:
        done = Load(wire.balancer_namespace, tmp_path, "-c", "2", "-d", "300ms", "--body", "5000", "--size", "5000",
                    f"{URL}:8080/").wait()
    finally:
        origin.close()
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 0 and done.counters["wrong_size"] == done.counters["bad_answer"] == 0


def test_other_statuses_are_counted(load):
    done = load("-c", "2", "-d", "200ms", f"{URL}/status/503")
    assert done.code == 0
    assert done.counters["bad_status"] == done.counters["answers"] > 0
    assert "Non-2xx or 3xx responses" in done.output


def test_what_cannot_be_reached_is_said(load):
    done = load("-c", "2", "-d", "200ms", f"{URL}:81/")
    assert done.code == 1 and done.counters["connect_refused"] > 0
    assert "10.0.2.11:81: connection refused" in done.errors
    done = load("-c", "1", "-d", "600ms", "--timeout", "200ms", "http://10.0.2.99/")
    assert done.code == 1 and done.counters["connect_timed_out"] > 0
    assert "10.0.2.99:80: connecting timed out" in done.errors
    done = load("-d", "200ms", "http://192.0.2.1/")
    assert done.code == 1 and "there is no route to server 192.0.2.1:80" in done.errors
    done = load("-d", "200ms", "ftp://10.0.2.11/")
    assert done.code == 1 and "must begin with http:// or https://" in done.errors
    done = load("-d", "200ms", "--interface", "nonsense", f"{URL}/")
    assert done.code == 1 and "nonsense" in done.errors


def test_an_interrupt_prints_what_there_is(wire, tmp_path):
    running = Load(wire.balancer_namespace, tmp_path, "-c", "2", "-d", "60s", f"{URL}/")
    wait_for(lambda: running.process.stdout.readline().startswith("Running"), 15, "the start")
    time.sleep(0.3)
    running.process.send_signal(signal.SIGINT)
    done = running.wait()
    assert done.code == 0, done.errors
    assert done.json["interrupted"] and done.counters["answers"] > 0
    assert "Interrupted" in done.output and done.json["seconds"] < 5


def unlike_zero(counters):
    return {name for name, value in counters.items() if value}


def test_kept_connections_over_tls(load):
    """With the name that the server is told."""
    done = load("-c", "4", "-d", "200ms", "--size", "5", "--server-name", "other.test", "-H", "Host: other.test", f"{SECURE}/")
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 50 and done.counters["connected"] == 4
    assert unlike_zero(done.counters) == {"answers", "bytes", "connected"}


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_handshake_for_each_request(load, version):
    words = ["-c", "4", "-d", "200ms", "--tls-version", version, "--close"]
    done = load(*words, f"{SECURE}/")
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 10 and unlike_zero(done.counters) <= {"answers", "bytes", "connected", "closed_by_server"}
    done = load(*words, "--resume", f"{SECURE}/")
    # The first have nothing to go on with, on a busy machine a few more than four; at the end some have no answer yet.
    assert done.counters["connected"] - 12 <= done.counters["resumed"] < done.counters["connected"]
    assert done.counters["answers"] >= done.counters["resumed"] > 10 and "Resumed:" in done.output


def test_bodies_over_tls(load):
    done = load("-c", "2", "-d", "200ms", "--size", "100000", f"{SECURE}/bytes/100000")
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 0 and unlike_zero(done.counters) == {"answers", "bytes", "connected"}
    done = load("-c", "2", "-d", "200ms", "--body", "100000", "--size", "6", f"{SECURE}/upload")
    assert done.code == 0, done.errors
    assert done.counters["answers"] > 0 and done.counters["wrong_size"] == 0


def test_what_tls_refuses_is_said(load):
    done = load("-c", "1", "-d", "200ms", "https://10.0.2.11:80/")
    assert done.code == 1 and done.counters["tls"] > 0
    assert "10.0.2.11:80: TLS fails: SSL_do_handshake() failed (SSL: error:" in done.errors
    done = load("-c", "1", "-d", "200ms", "--resume", f"{URL}/")
    assert done.code == 1 and "belong to https://" in done.errors


def test_it_is_the_server_too(wire, tmp_path):
    """What a proxy may send to it: bodies, requests behind each other, HEAD, HTTP/1.0, nonsense, FIN behind half a request."""
    size = 200000  # more than windows have room for
    running = Load(wire.balancer_namespace, tmp_path, "-c", "1", "-R", "20", "-d", "60s", "--answer", "8081", "--answer-size", size, f"{URL}/")
    body = (string.ascii_lowercase * (size // 26 + 1))[:size].encode()
    try:
        wait_for(lambda: running.process.stdout.readline().startswith("Running"), 15, "the start")
        with Stream(wire.servers[0].connect("10.0.2.1", 8081)) as stream:
            stream.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = stream.response("HEAD")
            assert (answer.status, answer.get("Content-Length"), answer.get("Connection")) == (200, str(size), None)
            stream.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + "x" * 100000 + "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n")
            assert stream.response().body == stream.response().body == body
            stream.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(pattern(5000), 700))
            assert stream.response().body == body
            stream.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            answer = stream.response()
            assert (answer.body, answer.get("Connection")) == (body, "close") and stream.closed()
        for sent, status in (("GET / HTTP/1.0\r\n\r\n", 200), ("nonsense\r\n\r\n", 400), ("GET / HTTP/1.1\r\n\r\n", 400)):
            with Stream(wire.servers[0].connect("10.0.2.1", 8081)) as stream:
                stream.send(sent)
                answer = stream.response()
                assert (answer.status, answer.get("Connection")) == (status, "close") and stream.closed(), sent
        with Stream(wire.servers[0].connect("10.0.2.1", 8081)) as stream:
            stream.send("GET / HTT")
            stream.socket.shutdown(socket.SHUT_WR)
            assert stream.closed()
    finally:
        running.process.send_signal(signal.SIGINT)
        done = running.wait()
    assert done.code == 0 and done.counters["answers"] > 0, done.errors
    assert done.json["answered"] == 8 and "8 requests answered at port 8081" in done.output


def test_a_port_that_requests_leave_from_cannot_answer(wire, load):
    first = int(wire.balancer_namespace.run("sysctl", "-n", "net.ipv4.ip_local_port_range").stdout.split()[0])
    done = load("--answer", str(first - 1), f"{URL}/")
    assert done.code == 1 and f"port {first - 1} cannot answer: requests leave from" in done.errors
