"""pcap files, in both precisions: what the tests give to weir-replay and read from it."""

import struct

MAGIC = {0xa1b2c3d4: 1000, 0xa1b23c4d: 1}  # nanoseconds per unit of the fraction
ETHERNET = 1
SECOND_NS = 1_000_000_000


def write(path, frames, times, nanoseconds=True, link_type=ETHERNET):
    magic, unit = (0xa1b23c4d, 1) if nanoseconds else (0xa1b2c3d4, 1000)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", magic, 2, 4, 0, 0, 262144, link_type))
        for frame, time_ns in zip(frames, times, strict=True):
            data = bytes(frame)
            file.write(struct.pack("<IIII", time_ns // SECOND_NS, time_ns % SECOND_NS // unit, len(data), len(data)))
            file.write(data)


def read(path):
    """(time in ns, frame) of each record; a file that does not end with a whole one is an error."""
    with open(path, "rb") as file:
        data = file.read()
    magic, _, _, _, _, _, link_type = struct.unpack_from("<IHHiIII", data)
    assert link_type == ETHERNET
    offset, records = 24, []
    while offset < len(data):
        seconds, fraction, captured, length = struct.unpack_from("<IIII", data, offset)
        frame = data[offset + 16:offset + 16 + captured]
        assert captured == length == len(frame), f"{path} is cut off"
        records.append((seconds * SECOND_NS + fraction * MAGIC[magic], frame))
        offset += 16 + captured
    return records
