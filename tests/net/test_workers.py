"""Several lcores: two workers over veth pairs of one queue and of two, and workers set aside for connections, with the right
answers from each."""

import os
import threading

import pytest
from weirtest import Origin, chunked, ok, pattern, serving

CONFIG = """
worker_processes 2;
events { }
http {
    access_log access.log;
    upstream group { server 10.0.2.11; server 10.0.2.12; server 10.0.2.13; keepalive 8; }
    server {
        listen 10.0.1.1:80;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / { proxy_pass http://group; }
        location /echo { proxy_pass http://10.0.2.11:8080; }
    }
}
"""


@pytest.fixture(params=[(1, ""), (2, ""), (2, "proxy_lcores 2;")], ids=["one queue", "two queues", "set aside"])
def workers(net, request):
    queues, main = request.param
    topology = net(servers=3, queues=queues)
    topology.queues = queues
    topology.nginx()
    topology.running.append(Origin(topology.servers[0], "10.0.2.11", 8080, serving(lambda request: ok(request.body))))
    with topology.balancer(main + CONFIG) as topology.weir:
        yield topology


def test_requests_are_spread(workers):
    counts = workers.counts_by_connection("http://10.0.1.1/", 300)
    assert sum(counts.values()) == 300
    assert all(80 <= count <= 120 for count in counts.values()), counts
    if workers.queues > 1:  # a veth has no key to tell: answers come in anywhere, and are handed over
        assert workers.weir.logged("how it spreads packets over its queues is not known: Operation not supported")


def test_many_connections_at_once(workers):
    report, requests, errors = workers.wrk("http://10.0.1.1/", 3, 64)
    assert errors == 0 and requests > 1000, report


def test_bodies_side_by_side(workers):
    failures = []

    def post(seed):
        body = pattern(200000 + seed * 1000, seed)
        with workers.connect() as stream:
            for _ in range(5):
                if stream.request("POST", "/echo", [("Transfer-Encoding", "chunked")], chunked(body)).body != body:
                    failures.append(seed)

    threads = [threading.Thread(target=post, args=(seed,)) for seed in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_every_request_is_logged_once(workers):
    workers.counts_by_connection("http://10.0.1.1/", 200)
    assert len(workers.weir.lines(count=200)) == 200


@pytest.mark.timing
@pytest.mark.weir_only
def test_idle_workers_sleep(workers):
    before = workers.weir.cpu_seconds()
    workers.client.run("sleep", "4")
    assert (workers.weir.cpu_seconds() - before) / 4 < 0.03


@pytest.mark.weir_only
def test_affinity(net):
    topology = net(servers=3)
    topology.nginx()
    with topology.balancer(CONFIG.replace("worker_processes 2;", "worker_processes 2; worker_cpu_affinity 01 10;")):
        assert topology.counts("http://10.0.1.1/", 30) == {"s1": 10, "s2": 10, "s3": 10}


@pytest.mark.weir_only
def test_it_stays_on_the_cpus_that_it_was_given(net):
    topology = net(servers=3)
    topology.nginx()
    given = max(os.sched_getaffinity(0))
    with topology.balancer(CONFIG, prefix=["taskset", "-c", str(given)]) as weir:
        assert topology.counts("http://10.0.1.1/", 30) == {"s1": 10, "s2": 10, "s3": 10}
        tasks = [int(task) for task in os.listdir(f"/proc/{weir.pid}/task")]
        assert all(os.sched_getaffinity(task) == {given} for task in tasks)
