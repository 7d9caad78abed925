"""What is logged, in which file, in which form, and that no log can stop the traffic."""

import os
import re
import signal
import time

import pytest
from weirtest import Topology, ok, wait_for

CONFIG = """
events { }
http {
    log_format times '$remote_addr [$time_local] "$request" $status rt=$request_time uct=$upstream_connect_time '
                     'uht=$upstream_header_time urt=$upstream_response_time up=$upstream_addr us=$upstream_status';
    log_format sizes '$request_length $bytes_sent $body_bytes_sent $request_method $uri $args $server_protocol';
    log_format names '$host|$server_name|$server_port|$http_user_agent|$http_x_a|$cookie_b|$arg_c|$scheme';
    access_log access.log;
    upstream pair { server 10.0.2.11:9; server 10.0.2.11:8080; }
    server {
        listen 10.0.1.1:80;
        server_name log.test;
        location / { return 200 "12345"; }
        location /off { access_log off; return 200; }
        location /times { access_log times.log times; proxy_pass http://10.0.2.11:8080; }
        location /retry { access_log retry.log times; proxy_pass http://pair; }
        location /local { access_log local.log times; return 200; }
        location /sizes { access_log sizes.log sizes; return 200 "12345"; }
        location /names { access_log names.log names; return 200; }
        location /two { access_log one.log; access_log two.log; return 200; }
        location /full { access_log /dev/full; return 200 "x"; }
    }
}
"""


@pytest.fixture
def web(net):
    topology = net(servers=1)
    topology.origin(lambda stream: (stream.read_request(), time.sleep(0.2), stream.send(ok("up"))))
    with topology.balancer(CONFIG) as topology.weir:
        yield topology


def test_combined_is_the_default(web):
    web.get("/path?q=1", ("Referer", "http://from/"), ("User-Agent", "agent \"x\""))
    line = web.weir.lines(count=1)[0]
    assert re.fullmatch(r'10\.0\.1\.2 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /path\?q=1 HTTP/1\.1" 200 5 '
                        r'"http://from/" "agent \\x22x\\x22"', line)


def test_user_of_basic_authorization_is_named(web):
    web.get("/", ("Authorization", "Basic dXNlcjpwYXNz"))
    assert web.weir.lines(count=1)[0].startswith("10.0.1.2 - user [")


def test_off(web):
    web.get("/off")
    web.get("/after")
    assert ["/after" in line for line in web.weir.lines(count=1)] == [True]


def test_times_of_the_upstream(web):
    web.get("/times")
    line = web.weir.lines("times.log", 1)[0]
    times = re.search(r"200 rt=(0\.\d{3}) uct=(0\.\d{3}) uht=(0\.\d{3}) urt=(0\.\d{3}) up=10\.0\.2\.11:8080 us=200$", line)
    assert times, line
    assert all(0.15 <= float(times[group]) < 1 for group in (1, 3, 4)) and float(times[2]) < 0.15


def test_times_of_several_upstreams(web):
    web.get("/retry"), web.get("/retry")
    line = next(line for line in web.weir.lines("retry.log", 2) if "," in line)
    assert re.search(r"uct=-, 0\.\d{3} uht=-, 0\.\d{3} urt=0\.\d{3}, 0\.\d{3} "
                     r"up=10\.0\.2\.11:9, 10\.0\.2\.11:8080 us=502, 200$", line), line


def test_no_upstream_is_a_dash(web):
    web.get("/local")
    assert web.weir.lines("local.log", 1)[0].endswith("uct=- uht=- urt=- up=- us=-")


def test_sizes(web):
    with web.connect() as stream:
        request = b"GET /sizes?a=b HTTP/1.1\r\nHost: log.test\r\n\r\n"
        stream.send(request)
        response = stream.response()
        sent = len(response.head) + 4 + 5
    assert web.weir.lines("sizes.log", 1)[0] == f"{len(request)} {sent} 5 GET /sizes a=b HTTP/1.1"


def test_names(web):
    web.get("/names?c=3", ("User-Agent", "u"), ("X-A", "1"), ("Cookie", "z=0; b=2"), host="Asked.test")
    assert web.weir.lines("names.log", 1)[0] == "asked.test|log.test|80|u|1|2|3|http"


def test_two_logs(web):
    web.get("/two")
    assert len(web.weir.lines("one.log", 1)) == len(web.weir.lines("two.log", 1)) == 1


def test_usr1_reopens(web):
    """logrotate: move the file away, send USR1, find new lines in a new file."""
    web.get("/before")
    web.weir.lines(count=1)
    path = f"{web.weir.directory}/access.log"
    os.rename(path, f"{path}.1")
    web.get("/between")
    wait_for(lambda: "/between" in web.weir.read("access.log.1"))
    web.weir.send_signal(signal.SIGUSR1)
    wait_for(lambda: os.path.exists(path))
    web.get("/after")
    assert ["/after" in line for line in web.weir.lines(count=1)] == [True]


def test_a_full_disk_does_not_stop_traffic(web):
    start = time.monotonic()
    with web.connect() as stream:
        for _ in range(90):
            assert stream.get("/full").status == 200
    assert time.monotonic() - start < 3


@pytest.mark.weir_only
def test_a_pipe_that_nobody_reads_does_not_stop_traffic(net):
    """The slowest log writer there is. nginx would stand still here, and does not open such a pipe to begin with."""
    topology = net()
    weir = topology.balancer("events { } http { access_log pipe; server { listen 10.0.1.1:80; return 200 x; } }")
    os.mkfifo(f"{weir.directory}/pipe")
    reader = os.open(f"{weir.directory}/pipe", os.O_RDWR)
    try:
        with weir:
            for _ in range(20):
                with topology.connect() as stream:
                    for _ in range(90):
                        assert stream.get("/", ("User-Agent", "x" * 500)).status == 200
    finally:
        os.close(reader)
