"""The kernel's TCP as the peer over paths that lose: every byte is right, and nothing stalls. How fast it is against Linux
on the same path is pktgen-scripts' to say."""

import hashlib
import re

import pytest
from weirtest import PATHS, ok, serving

CONFIG = """
{directives}
events {{ }}
http {{
    server {{
        listen 10.0.1.1:80;
        client_max_body_size 100m;
        location / {{ proxy_pass http://10.0.2.11:8080; }}
    }}
}}
"""
BODY = b"".join(hashlib.sha256(bytes([i & 255, i >> 8])).digest() for i in range(32768))  # 1 MB


def digest(request):
    return ok(hashlib.sha256(request.body).hexdigest()) if request.body else ok(BODY)


@pytest.mark.parametrize("paths,congestion", [(["loss 2 %"], "cubic"), (["bursts"], "new_reno"),
                                              (["reordering 5 %", "duplication 5 %", "corruption 1 %"], "cubic")])
def test_every_byte_arrives_over_a_bad_path(net, paths, congestion, tmp_path):
    topology = net(direct=True, bad_path=True)
    trouble = {name: value for path in paths for name, value in PATHS[path].items()}
    topology.origin(serving(digest))
    (tmp_path / "body").write_bytes(BODY)
    with topology.path(delay_us=1000, **trouble), \
            topology.balancer(CONFIG.format(directives=f"tcp_congestion {congestion};")):
        topology.curl("-o", str(tmp_path / "got"), "http://10.0.1.1/", timeout=30)
        assert (tmp_path / "got").read_bytes() == BODY
        sent = topology.curl("--data-binary", f"@{tmp_path}/body", "-H", "Expect:", "http://10.0.1.1/", timeout=30)
        assert sent.strip() == hashlib.sha256(BODY).hexdigest()


def test_a_connection_from_a_cookie_is_as_any_other(net, tmp_path):
    topology = net(servers=1)
    topology.origin(serving(digest))
    with topology.balancer(CONFIG.format(directives="tcp_syn_cookies always;")):
        for _ in range(5):
            topology.curl("-o", str(tmp_path / "got"), "http://10.0.1.1/", timeout=30)
            assert (tmp_path / "got").read_bytes() == BODY


@pytest.mark.weir_only
def test_marks_are_heard_and_echoed(net, tmp_path):
    """ECN (RFC 3168) with Linux as the peer that asks for it, and that answers."""
    topology = net(direct=True, bad_path=True)
    topology.origin(serving(digest))
    for namespace in (topology.client, topology.servers[0]):
        namespace.sysctl("net.ipv4.tcp_ecn", 1)
    (tmp_path / "body").write_bytes(BODY)
    with topology.path(delay_us=1000, marking=20) as path, topology.balancer(CONFIG.format(directives="tcp_ecn on;")) as weir:
        topology.curl("-o", str(tmp_path / "got"), "http://10.0.1.1/", timeout=30)
        assert (tmp_path / "got").read_bytes() == BODY
        topology.curl("--data-binary", f"@{tmp_path}/body", "-H", "Expect:", "http://10.0.1.1/", timeout=30)
        weir.stop()
        counts = {name: int(count) for name, count in re.findall(r"counter tcp\.(ecn_\w+) (\d+)", weir.error_log)}
    # Two connections with the client and two with the server, at least.
    assert counts["ecn_agreed"] >= 4
    assert 0 < counts["ecn_marks"] <= path.report["near"]["marked"]
    assert 0 < counts["ecn_reductions"] <= path.report["far"]["marked"]
