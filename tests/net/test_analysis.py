"""tshark's analysis of what Weir says on clean paths, to a client and to a server: every sum is right, and nothing is sent twice."""

import contextlib
import signal
import time

import pytest
from weirtest import Origin, ok, pattern, run, serving, wait_for

CONFIG = """
events { }
http {
    access_log off;
    client_max_body_size 0;
    upstream servers { server 10.0.2.11:8080; keepalive 4; }
    server {
        listen 10.0.1.1:80;
        location / { proxy_pass http://servers; proxy_http_version 1.1; proxy_set_header Connection ""; }
        location /close { proxy_pass http://servers; }
        location /self { return 200 "self"; }
    }
}
"""
# What tshark finds at fault. A window that is full, or an ACK of keep-alive, is none.
FAULTS = ("tcp.checksum.status == 0", "ip.checksum.status == 0", "tcp.analysis.out_of_order", "tcp.analysis.lost_segment",
          "tcp.analysis.ack_lost_segment", "tcp.analysis.reused_ports", "_ws.malformed")
AGAIN = ("tcp.analysis.retransmission", "tcp.analysis.fast_retransmission", "tcp.analysis.spurious_retransmission")


@contextlib.contextmanager
def captured(namespace, file):
    dumpcap = namespace.popen("dumpcap", "-q", "-i", "eth0", "-B", 64, "-w", file, stderr=-1)
    try:
        wait_for(lambda: b"File:" in dumpcap.stderr.readline(), what="the capture")
        yield
        time.sleep(0.5)  # what is in the kernel's ring is read every 250 ms
    finally:
        dumpcap.send_signal(signal.SIGINT)
        dumpcap.communicate()


def analysed(file, shown, *fields):
    """What tshark says about the packets that a filter shows: a line each, or a tuple of fields."""
    words = ["-T", "fields", *[word for field in fields for word in ("-e", field)]] if fields else []
    lines = run("tshark", "-r", file, "-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-Y", shown, *words,
                stderr=-3).stdout.splitlines()
    return [tuple(line.split("\t")) for line in lines] if fields else lines


def sent_again(file, address):
    """Frames of what was sent before, but for probes of the tail (RFC 8985 section 7): the very segment that was the last, as a
    peer that a busy machine keeps waiting is asked."""
    again = {number for number, in analysed(file, f"ip.src == {address} && ({' || '.join(AGAIN)})", "frame.number")}
    last, found = {}, []
    for number, stream, *segment in analysed(file, f"ip.src == {address} && tcp.len > 0", "frame.number", "tcp.stream", "tcp.seq", "tcp.len"):
        if number in again and last.get(stream) != segment:
            found.append((number, stream, *segment))
        last[stream] = segment
    return found


@pytest.mark.weir_only
def test_nothing_is_wrong_and_nothing_is_sent_twice(net, tmp_path):
    topology = net(servers=1)
    topology.running.append(Origin(topology.servers[0], "10.0.2.11", 8080, serving(
        lambda request: ok(request.body or pattern(1000000 if request.target == "/large" else 500)))))
    # Weir cuts up itself, and adds up itself; so do the kernels.
    topology.balancer_namespace.run("ethtool", "-K", "front", "tso", "off", "gso", "off", "tx", "off")
    topology.balancer_namespace.run("ethtool", "-K", "back", "tso", "off", "gso", "off", "tx", "off")
    for end in (topology.client, topology.servers[0]):
        end.run("ethtool", "-K", "eth0", "tx", "off", "gro", "off", "gso", "off")
    files = {"10.0.1.1": f"{tmp_path}/client.pcap", "10.0.2.1": f"{tmp_path}/server.pcap"}
    with topology.balancer(CONFIG) as topology.weir:
        topology.get("/")  # addresses are resolved
        with captured(topology.client, files["10.0.1.1"]), captured(topology.servers[0], files["10.0.2.1"]):
            with topology.connect() as stream:
                for _ in range(50):
                    assert stream.get("/").status == 200
                assert stream.get("/large").body == pattern(1000000)
                assert stream.request("POST", "/", body=pattern(600000)).body == pattern(600000)
            for target in ("/self", "/close") * 10:
                assert topology.get(target, ("Connection", "close")).status == 200
    for address, file in files.items():
        assert len(analysed(file, f"ip.src == {address} && tcp.len > 0")) > 50
        assert analysed(file, f"ip.src == {address} && ({' || '.join(FAULTS)})") == []
        assert sent_again(file, address) == []
