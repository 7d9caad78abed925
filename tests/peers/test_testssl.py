"""What testssl.sh says about Weir, above LOW, it says about nginx with the same configuration too."""

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from weirtest import BINARY, Balancer, Certificates, Topology

TESTSSL = "/usr/bin/testssl"
NGINX = "/usr/sbin/nginx"
CONFIG = """
events {{ }}
http {{
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:S:1m;
    server {{
        listen 10.0.1.1:443 ssl http2;
        {ecdsa} {rsa}
        return 200 "yes\\n";
    }}
}}
"""
HARMLESS = ("OK", "INFO", "LOW", "DEBUG")
# its openssl, without input, ends before the tickets of TLS 1.3 have come, or after: with either server
A_RACE = ("sessionresumption_ticket", "WARN")
# all that it grades: without these it plays 50 browsers too, and grades nothing of that
CHECKS = ("--protocols", "--std", "--fs", "--server-preference", "--server-defaults", "--headers", "--vulnerable")
NOBODY = "NXCONNECT=127.0.0.1:0"  # where it connects to see what its openssl can do: a name would wait for a resolver each time


@pytest.fixture
def worlds():
    """One for each: the scans run side by side, as they mostly sleep."""
    certificates = Certificates()
    with Topology(servers=0) as first, Topology(servers=0) as second:
        config = CONFIG.format(ecdsa=certificates.sign("a", "a.test"), rsa=certificates.sign("r", "a.test", kind="rsa"))
        yield config, first, second
    certificates.close()


def findings(config, net, binary, path):
    """{(id, severity): text} of a scan that ran to its end."""
    with Balancer(net.balancer_namespace, config, client=net.client, ready=("10.0.1.1", 443), binary=binary):
        done = net.client.run("env", NOBODY, TESTSSL, "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--jsonfile", path,
                              *CHECKS, "10.0.1.1:443", check=False, timeout=1200, errors="replace", stdin=subprocess.DEVNULL)
    with open(path) as file:
        found = {(one["id"], one["severity"]): one["finding"] for one in json.load(file)}
    assert ("scanTime", "INFO") in found, done.stdout
    return found


def above_low(found):
    return {key for key in found if key[1] not in HARMLESS and key != A_RACE}


@pytest.mark.skipif(not os.path.exists(TESTSSL), reason="testssl.sh is not there")
def test_nothing_that_nginx_has_not(worlds, tmp_path):
    config, first, second = worlds
    with ThreadPoolExecutor() as pool:
        scans = {"weir": pool.submit(findings, config, first, BINARY, tmp_path / "weir"),
                 "nginx": pool.submit(findings, config, second, NGINX, tmp_path / "nginx")}
    found = {who: scan.result() for who, scan in scans.items()}
    for who, those in found.items():
        for name, severity in sorted(above_low(those)):
            print(f"{who:5} {severity:8} {name}: {those[name, severity]}")
    assert not above_low(found["weir"]) - above_low(found["nginx"])
