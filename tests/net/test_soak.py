"""A long run with reloads in it: every body is compared, and nothing may fail or grow.

WEIR_SOAK_REQUESTS says how many requests (a million is the long version), WEIR_SOAK_SECONDS when to stop at the latest.
"""

import os
import threading
import time

import pytest
from weirtest import Origin, ok, pattern, serving

REQUESTS = int(os.environ.get("WEIR_SOAK_REQUESTS", "1000000"))
SECONDS = int(os.environ.get("WEIR_SOAK_SECONDS", "20"))
SIZES = [1, 100, 128, 1000, 1460, 1461, 4096, 10000, 65536, 300000]
CONFIG = """
events {{ worker_connections 4096; }}
http {{
    access_log access.log;
    keepalive_requests 1000000000;
    upstream group {{ server 10.0.2.11; server 10.0.2.12{second}; server 10.0.2.13; keepalive 32; }}
    server {{
        listen 10.0.1.1:80;
        client_max_body_size 0;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        location / {{ proxy_pass http://group; }}
        location /echo {{ proxy_pass http://10.0.2.11:8080; }}
    }}
}}
"""
# Small bodies often, large ones now and then; every body is compared with the file it should be.
LUA = """
local paths, bodies, wrong, right = {}, {}, 0, 0
for _, size in ipairs({%s}) do
    local file = io.open("%s/files/" .. size, "rb")
    bodies["/bytes/" .. size] = file:read("*a")
    file:close()
    for _ = 1, math.max(1, math.floor(20000 / (size + 500))) do paths[#paths + 1] = "/bytes/" .. size end
end
local threads = {}
function setup(thread) threads[#threads + 1] = thread end
function init() math.randomseed(7) end
function request() return wrk.format("GET", paths[math.random(#paths)]) end
function response(status, headers, body)
    if status == 200 and bodies[headers["X-Path"]] == body then right = right + 1 else wrong = wrong + 1 end
    wrk.thread:set("right", right)
    wrk.thread:set("wrong", wrong)
end
function done()
    for _, thread in ipairs(threads) do
        io.write(string.format("right %%d wrong %%d\\n", thread:get("right") or 0, thread:get("wrong") or 0))
    end
end
"""


def echo_until(topology, stop, problems, done):
    """Uploads of changing sizes that must come back as they were."""
    seed = 0
    while not stop.is_set():
        seed += 1
        body = pattern((seed * 7919) % 200000, seed & 0xff)
        try:
            with topology.connect() as stream:
                if stream.request("POST", "/echo", body=body, fields=[("Content-Length", len(body))]).body != body:
                    problems.append(f"body {seed} came back changed")
        except (OSError, EOFError) as error:
            problems.append(f"upload {seed}: {error!r}")
        done.append(seed)
        time.sleep(0.01)


@pytest.mark.weir_only  # nginx closes kept connections when it reloads
@pytest.mark.alone
def test_soak(net, tmp_path):
    topology = net(servers=3)
    servers = topology.nginx()
    for server in servers:
        for size in SIZES:
            server.file(size, pattern(size, size & 0xff))
    topology.running.append(Origin(topology.servers[0], "10.0.2.11", 8080, serving(lambda request: ok(request.body))))
    script = tmp_path / "check.lua"
    script.write_text(LUA % (", ".join(map(str, SIZES)), servers[0].directory))
    requests, stop, problems, uploads = 0, threading.Event(), [], []
    with topology.balancer(CONFIG.format(second="")) as weir:
        uploader = threading.Thread(target=echo_until, args=(topology, stop, problems, uploads))
        uploader.start()
        try:
            end, slices, memory = time.monotonic() + SECONDS, 0, None
            while requests < REQUESTS and time.monotonic() < end:
                load = topology.client.popen("wrk", "-t1", "-c32", "-d10s", "-s", str(script), "http://10.0.1.1/", stdout=-1,
                                             text=True)
                for number in range(4):
                    time.sleep(2)
                    weir.reload(CONFIG.format(second=" weight=2" if number % 2 else ""))
                report = load.communicate(timeout=60)[0]
                right, wrong = map(int, report.rsplit("right ", 1)[1].split(" wrong "))
                requests += right
                assert wrong == 0 and "Socket errors" not in report, report
                slices += 1
                if slices == 1:
                    memory = weir.memory_bytes()
        finally:
            stop.set()
            uploader.join()
        print(f"{requests} requests, {len(uploads)} uploads, {slices * 4} reloads")
        assert problems == []
        assert requests > 1000 and len(uploads) > 50
        assert weir.memory_bytes() < memory + (16 << 20), "memory does not grow with requests and reloads"
