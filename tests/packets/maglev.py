"""Which server a flow gets: a second implementation, from the descriptions and not from Weir's code.

Envoy's table: hosts sorted by key, offset and skip by XXH64 with the seeds 0 and 1, weights by turns.
"""

import ipaddress
import struct

import xxhash

SIZE = 65537
MASK = (1 << 64) - 1


def table(servers, size=SIZE):
    """Of {key: weight}: a list of keys, by entry."""
    total = sum(servers.values())
    hosts = [{"key": key, "share": weight / total, "target": 0.0,
              "offset": xxhash.xxh64_intdigest(key, 0) % size, "skip": xxhash.xxh64_intdigest(key, 1) % (size - 1) + 1,
              "next": 0}
             for key, weight in sorted(servers.items()) if weight]
    largest = max(host["share"] for host in hosts)
    entries, filled, turn = [None] * size, 0, 1
    while filled < size:
        for host in hosts:
            if filled == size:
                break
            if turn * host["share"] < host["target"]:
                continue
            host["target"] += largest
            while True:
                position = (host["offset"] + host["skip"] * host["next"]) % size
                host["next"] += 1
                if entries[position] is None:
                    break
            entries[position] = host["key"]
            filled += 1
        turn += 1
    return entries


def mix(x):
    """fmix64 of MurmurHash3."""
    x ^= x >> 33
    x = x * 0xff51afd7ed558ccd & MASK
    x ^= x >> 33
    x = x * 0xc4ceb9fe1a85ec53 & MASK
    return x ^ x >> 33


def halves(address):
    """Of an address in 16 bytes, IPv4 mapped, as a little-endian machine loads them."""
    ip = ipaddress.ip_address(address)
    packed = ip.packed if ip.version == 6 else b"\0" * 10 + b"\xff\xff" + ip.packed
    return struct.unpack("<QQ", packed)


def wire(port):
    """A port in network order, as a little-endian machine loads it."""
    return struct.unpack("<H", struct.pack(">H", port))[0]


def words(address):
    """Its four words, the last of which is an IPv4 address."""
    return [half >> shift & 0xffffffff for half in halves(address) for shift in (0, 32)]


def flow_hash(source, destination, source_port, destination_port, protocol, seed=0):
    key = [mix(seed + i * 0x9e3779b97f4a7c15 & MASK) for i in range(1, 9)]
    a, b = words(source), words(destination)
    ports = wire(destination_port) << 16 | wire(source_port)
    h = ((b[3] << 32 | a[3]) + key[0]) * (2 * (protocol << 32 | ports) + (key[1] | 1))
    if any(x[:3] != [0, 0, 0xffff0000] for x in (a, b)):
        h += (a[0] + key[2]) * (a[1] + key[3]) + (b[0] + key[4]) * (b[1] + key[5]) + (a[2] + key[6]) * (b[2] + key[7])
    h &= MASK
    for _ in range(2):
        h = (h ^ h >> 32) * 0xff51afd7ed558ccd & MASK
    return h >> 32
