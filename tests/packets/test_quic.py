"""QUIC packets go to the server whose id their connection id has, whatever their addresses are."""

import pytest
from flows import MODES, Flow
from scapy.layers.inet import UDP
from scapy.layers.l2 import Ether
from scapy.packet import Padding
from world import MACS, V4, V6, replay, service

FAMILY = {4: V4, 6: V6}
ADDRESS_OF = {mac: address for address, mac in MACS.items()}
IDS = ["0a1b", "0a1c", "ffff", "0000"]
UNKNOWN = "0a1d"


def connection_id(server_id, octet=0x40, rest=b"\x01\x02\x03\x04\x05"):
    return bytes([octet]) + bytes.fromhex(server_id) + rest


def long_header(destination, version=1, length=None, first=0xc3):
    """As RFC 8999 has it; `length` is what it says of the id, true or not."""
    length = len(destination) if length is None else length
    return bytes([first]) + version.to_bytes(4, "big") + bytes([length]) + destination + b"\x08" + b"s" * 8 + b"x" * 30


def short_header(destination, first=0x43):
    return bytes([first]) + destination + b"x" * 20


def quic(mode="dsr", family=V4, server_family=None, lines=None, **options):
    server_family = server_family or family
    lines = lines or [f"{server_family.endpoint(server, 443)} quic_id={server_id}"
                      for server, server_id in zip(server_family.servers, IDS)]
    return service(mode, family, port=443, udp=True, lines=lines, server_family=server_family,
                   options="quic_affinity on;", **options)


def flow(mode="dsr", family=V4, server_family=None, sport=40000, client=None):
    return Flow(mode, family, server_family, l4=UDP, sport=sport, dport=443, client=client)


def chosen(frame):
    return ADDRESS_OF[Ether(frame).dst]


def servers_of(directory, payloads, configuration=None):
    """Where each goes as the first packet of a flow, and where its 5-tuple would have led."""
    flows = [flow(sport=20000 + index) for index in range(len(payloads))]
    result = replay(directory, configuration or quic(), [f.from_client(payload) for f, payload in zip(flows, payloads)])
    assert result.verdicts() == [["started"]] * len(flows)
    return [chosen(result.one(index)) for index in range(len(flows))], [f.server for f in flows]


@pytest.mark.parametrize("mode, inner, outer", MODES, ids=lambda value: str(value))
@pytest.mark.parametrize("header", [long_header, short_header])
def test_the_id_names_the_server(tmp_path, mode, inner, outer, header):
    """Byte for byte what the mode makes of it, at each of the servers, from ports that lead elsewhere as well."""
    family, server_family = FAMILY[inner], FAMILY[outer]
    flows = [flow(mode, family, server_family, sport=20000 + index) for index in range(16)]
    frames = [f.from_client(header(connection_id(IDS[index % 4]))) for index, f in enumerate(flows)]
    result = replay(tmp_path, quic(mode, family, server_family), frames)
    wanted = [server_family.servers[index % 4] for index in range(16)]
    assert [f.server for f in flows] != wanted
    assert [chosen(result.one(index)) for index in range(16)] == wanted
    for index, f in enumerate(flows):
        f.server = wanted[index]
        f.learn(result.one(index))
        assert result.one(index) == f.at_server(frames[index], result.one(index))


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_a_client_that_moves_stays(tmp_path, mode):
    """Its first packet goes by the method; with the id that it got there, other ports and addresses do too."""
    first = flow(mode)
    own = connection_id(IDS[V4.servers.index(first.server)])
    moved = [flow(mode, sport=30000 + index, client=V4.client_of(20 + index)) for index in range(10)]
    frames = [first.from_client(long_header(connection_id(UNKNOWN))), first.from_client(short_header(own))]
    result = replay(tmp_path, quic(mode), frames + [f.from_client(short_header(own)) for f in moved])
    assert any(f.server != first.server for f in moved)
    assert {chosen(result.one(index)) for index in range(12)} == {first.server}


def test_a_known_flow_stays_where_it_is(tmp_path):
    """A client that uses another server's id in its flow is not moved by it."""
    f = flow()
    frames = [f.from_client(short_header(connection_id(UNKNOWN)))]
    frames += [f.from_client(short_header(connection_id(server_id))) for server_id in IDS]
    result = replay(tmp_path, quic(), frames)
    assert [chosen(result.one(index)) for index in range(5)] == [f.server] * 5


def test_all_versions_and_first_octets_are_alike(tmp_path):
    own = connection_id("ffff", octet=0xff)
    payloads = [long_header(own, version) for version in (0, 1, 0x6b3343cf, 0xffffffff)]
    payloads += [long_header(own, first=first) for first in (0x80, 0xff)]
    payloads += [short_header(own, first=first) for first in (0, 0x7f)]
    payloads += [long_header(connection_id("ffff", rest=b"r" * 252)), long_header(connection_id("ffff", rest=b""))]
    servers, by_tuple = servers_of(tmp_path, payloads)
    assert set(servers) == {V4.servers[2]} != set(by_tuple)


def test_what_names_no_server_goes_by_the_method(tmp_path):
    own = connection_id("ffff")
    payloads = [header(connection_id(UNKNOWN)) for header in (long_header, short_header)]
    payloads += [long_header(own, length=length) for length in (0, 1, 2, 255)]  # too short, or longer than the packet
    payloads += [bytes([0x40]) + b"\xff" * 2, b"\xff" * 7]
    payloads *= 8
    servers, by_tuple = servers_of(tmp_path, payloads)
    assert servers == by_tuple and len(set(servers)) == 4


@pytest.mark.parametrize("behind", ["the IP packet", "the datagram"])
@pytest.mark.parametrize("header, complete", [(long_header, 14), (short_header, 4)])
def test_a_packet_that_is_cut_off(tmp_path, header, complete, behind):
    """As long as its id is whole it counts; no octet behind the datagram's end is believed, though in the frame."""
    packet = header(connection_id("ffff"))
    flows = [flow(sport=20000 + index) for index in range(complete + 3)]
    if behind == "the IP packet":
        frames = [f.from_client(packet[:length]) / Padding(packet[length:]) for length, f in enumerate(flows)]
    else:
        frames = [f.from_client(packet, len=8 + length, chksum=0) for length, f in enumerate(flows)]
    result = replay(tmp_path, quic(), frames)
    servers = [chosen(result.one(index)) for index in range(len(flows))]
    assert servers == [f.server if length < complete else V4.servers[2] for length, f in enumerate(flows)]
    assert any(f.server != V4.servers[2] for f in flows[:complete])


def test_drained_servers_keep_their_clients_and_down_ones_do_not(tmp_path):
    a, b, c, d = V4.servers
    lines = [f"{a}:443 quic_id={IDS[0]} weight=0", f"{b}:443 quic_id={IDS[1]} down",
             f"{c}:443 quic_id={IDS[2]}", f"{d}:443 quic_id={IDS[3]} backup"]
    payloads = [short_header(connection_id(server_id)) for server_id in IDS + [UNKNOWN]]
    servers, _ = servers_of(tmp_path, payloads, quic(lines=lines))
    assert servers == [a, c, c, d, c]


def test_a_group_where_all_are_drained(tmp_path):
    lines = [f"{V4.servers[0]}:443 quic_id=01 weight=0"]
    flows = [flow(sport=20000), flow(sport=20001)]
    frames = [flows[0].from_client(short_header(connection_id("01"))), flows[1].from_client(short_header(b"\0\2"))]
    result = replay(tmp_path, quic(lines=lines), frames)
    assert result.verdicts() == [["started"], ["drop_no_server"]]
    assert chosen(result.one(0)) == V4.servers[0]


@pytest.mark.parametrize("method", ["round_robin;", "ip_hash;", "least_conn;"])
def test_before_any_method(tmp_path, method):
    payloads = [long_header(connection_id(server_id)) for server_id in IDS] * 3
    servers, _ = servers_of(tmp_path, payloads, quic(method=method))
    assert servers == V4.servers * 3


@pytest.mark.parametrize("octets", [1, 8])
def test_ids_of_all_lengths(tmp_path, octets):
    ids = [f"{number:02x}" * octets for number in (0xfe, 0x01, 0x80, 0x00)]
    lines = [f"{server}:443 quic_id={server_id.upper()}" for server, server_id in zip(V4.servers, ids)]
    headers = (long_header, short_header)
    payloads = [header(connection_id(server_id, rest=b"")) for server_id in ids for header in headers]
    servers, _ = servers_of(tmp_path, payloads, quic(lines=lines))
    assert servers == [server for server in V4.servers for _ in range(2)]
