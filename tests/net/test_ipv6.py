"""IPv6 on either side, on both, and mixed with IPv4."""

import pytest
from weirtest import Origin, ok, pattern, serving

CONFIG = """
events { }
http {
    access_log access.log;
    upstream mixed { server 10.0.2.11; server [fd00:2::12]; }
    server {
        listen 10.0.1.1:80;
        listen [fd00:1::1]:80;
        location / { proxy_pass http://mixed; }
        location /six { proxy_pass http://[fd00:2::11]:80/; }
        location /big { proxy_pass http://[fd00:2::11]:8080; client_max_body_size 0; }
        location /who { return 200 "$remote_addr $server_addr"; }
    }
}
"""


@pytest.fixture
def six(net):
    topology = net(servers=2)
    topology.nginx()
    topology.running.append(Origin(topology.servers[0], "fd00:2::11", 8080, serving(lambda request: ok(request.body))))
    with topology.balancer(CONFIG) as topology.weir:
        yield topology


def test_six_to_six(six):
    assert six.get("/six", address="fd00:1::1").text == "s1\n"


def test_four_to_six_and_six_to_four(six):
    assert six.get("/six").text == "s1\n"
    assert six.counts("http://10.0.1.1/", 10) == {"s1": 5, "s2": 5}


def test_large_bodies(six):
    with six.connect("fd00:1::1") as stream:
        assert stream.request("POST", "/big", body=pattern(3 << 20)).body == pattern(3 << 20)


def test_addresses_in_variables_and_logs(six):
    assert six.get("/who", address="fd00:1::1").text == "fd00:1::2 fd00:1::1"
    assert six.weir.lines(count=1)[-1].startswith("fd00:1::2 - - [")


def test_neighbour_discovery_passes(six):
    six.client.run("ping", "-c2", "-i0.2", "-W2", "fd00:1::1")
    six.servers[0].run("ping", "-c2", "-i0.2", "-W2", "fd00:2::1")


def test_every_interface_of_an_address_family(net):
    """`listen 80` is IPv4's wildcard, `listen [::]:81` IPv6's."""
    topology = net()
    text = "events { } http { access_log off; server { listen 80; listen [::]:81; return 200 any; } }"
    with topology.balancer(text):
        assert topology.get("/").text == "any"
        assert topology.get("/", address="10.0.2.1").text == "any"
        assert topology.get("/", address="fd00:1::1", port=81).text == "any"
