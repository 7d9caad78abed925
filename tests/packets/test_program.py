"""weir-replay as a program: what it says, what it refuses, and that it does the same thing twice."""

import json
import random
import struct

import capture
import pytest
from flows import MODES, Flow
from scapy.compat import raw
from scapy.layers.inet import ICMP, IP, TCP, fragment
from world import START_NS, STEP_NS, V4, V6, config, received, replay, run, service

FAMILY = {4: V4, 6: V6}


@pytest.fixture
def files(tmp_path):
    """A configuration, a capture of ten frames, and paths for what is written."""
    flow = Flow("dsr", V4)
    (tmp_path / "weir.conf").write_text(service("dsr"))
    capture.write(tmp_path / "in.pcap", [flow.from_client()] + [flow.from_client(b"x", "PA")] * 9,
                  [START_NS + index * STEP_NS for index in range(10)])
    return tmp_path


def arguments(directory, **changes):
    words = {"conf": directory / "weir.conf", "input": directory / "in.pcap", "output": directory / "out.pcap"}
    words.update(changes)
    return ["-c", words["conf"], words["input"], words["output"]]


def refused(done, *texts):
    assert done.returncode == 1, done.stderr
    for text in texts:
        assert text in done.stderr
    assert "Sanitizer" not in done.stderr


def test_it_says_what_it_did(files):
    done = run(*arguments(files))
    assert done.returncode == 0
    assert done.stderr == "10 frames read, 10 written: forwarded 9, started 1\n" and done.stdout == ""


def test_help_and_version():
    assert "Usage: weir-replay -c FILE" in run("-h").stdout and run("--help").returncode == 0
    assert run("-v").stdout.startswith("weir-replay version: weir/")


@pytest.mark.parametrize("words, text", [
    ([], "option \"-c FILE\" is needed"),
    (["-c", "x.conf"], "two captures are needed"),
    (["-c", "x.conf", "a", "b", "c"], "two captures are needed"),
    (["-x"], "invalid option"),
    (["--burst", "0", "-c", "x", "a", "b"], "must be between 1 and 64"),
    (["--burst", "65", "-c", "x", "a", "b"], "must be between 1 and 64"),
], ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_wrong_arguments(words, text):
    refused(run(*words), text)


def test_files_that_cannot_be_read(files):
    refused(run(*arguments(files, input=files / "none.pcap")), "none.pcap", "No such file")
    (files / "text").write_text("not a capture at all, not even nearly\n")
    refused(run(*arguments(files, input=files / "text")), "text", "unknown file format")
    (files / "empty").write_text("")
    refused(run(*arguments(files, input=files / "empty")), "empty")
    refused(run(*arguments(files, conf=files / "none.conf")), "none.conf", "No such file")
    assert not (files / "out.pcap").exists()


def test_other_link_types(files):
    capture.write(files / "raw.pcap", [b"\x45" * 40], [START_NS], link_type=101)
    refused(run(*arguments(files, input=files / "raw.pcap")), "raw.pcap", "only Ethernet can be replayed")


@pytest.mark.parametrize("text, reason", [
    ("events { }\nhttp { }\n", "no packet-level services"),
    (config("").replace("stream {\n\n}", ""), "no packet-level services"),
    (service("dsr").replace("interface sim0", "interface sim0 { }\ninterface sim1"), None),
    (service("dsr", mtu=1500).split("interface")[0] + "stream" + service("dsr").split("stream", 1)[1],
     "has no \"interface\""),
    (service("dsr").replace("forward dsr", "forward dsl"), "weir.conf:"),
    ("nonsense", "weir.conf:"),
], ids=["no stream", "an empty file", "two interfaces", "no interface", "bad directive", "nonsense"])
def test_configurations(files, text, reason):
    (files / "weir.conf").write_text(text)
    done = run(*arguments(files))
    if reason:
        refused(done, reason)
        assert not (files / "out.pcap").exists()
    else:
        assert done.returncode == 0 and "only the first interface" in done.stderr


def test_http_beside_it_is_not_run(files):
    http = f"http {{ server {{ listen {V4.vip}:8080; location / {{ return 200; }} }} }}"
    (files / "weir.conf").write_text(service("dsr").replace("stream {", http + "\nstream {"))
    done = run(*arguments(files))
    assert done.returncode == 0 and "the http part" in done.stderr and "is not run" in done.stderr
    assert "written: forwarded 9, started 1" in done.stderr


@pytest.mark.parametrize("cut", [1, 17, 60])
def test_a_capture_that_breaks_off(files, cut):
    """What is whole is replayed, and the exit code says that there was more."""
    data = (files / "in.pcap").read_bytes()
    (files / "in.pcap").write_bytes(data[:-cut])
    done = run(*arguments(files))
    refused(done, "in.pcap", "truncated", "9 frames read, 9 written")
    assert len(capture.read(files / "out.pcap")) == 9


def test_a_capture_of_nothing(files):
    capture.write(files / "in.pcap", [], [])
    done = run("--decisions", files / "decisions", *arguments(files))
    assert done.returncode == 0 and capture.read(files / "out.pcap") == []
    assert (files / "decisions").read_text() == ""


def test_outputs_that_cannot_be_written(files):
    refused(run(*arguments(files, output=files / "none" / "out.pcap")), "out.pcap", "No such file")
    refused(run("--decisions", files / "none" / "d", *arguments(files)), "none/d", "No such file")
    refused(run(*arguments(files, output="/dev/full")), "/dev/full", "No space left")
    refused(run("--decisions", "/dev/full", *arguments(files)), "/dev/full", "not everything could be written")


def test_inputs_are_not_overwritten(files):
    before = (files / "in.pcap").read_bytes()
    refused(run(*arguments(files, output=files / "in.pcap")), "named twice")
    refused(run("--decisions", files / "weir.conf", *arguments(files)), "named twice")
    refused(run("--decisions", files / "out.pcap", *arguments(files)), "named twice")
    assert (files / "in.pcap").read_bytes() == before


def test_standard_input_and_output(files):
    import subprocess

    from world import BINARY
    with open(files / "in.pcap", "rb") as file:
        done = subprocess.run([BINARY, "-c", files / "weir.conf", "-", "-"], stdin=file, capture_output=True,
                              timeout=60)
    assert done.returncode == 0
    assert run(*arguments(files)).returncode == 0
    assert done.stdout == (files / "out.pcap").read_bytes()


@pytest.mark.parametrize("nanoseconds", [True, False])
def test_times_are_those_of_the_capture(files, nanoseconds):
    frame = Flow("dsr", V4).from_client()
    times = [START_NS + 123_456_789, START_NS + 5_000_000_001, START_NS + 1]  # one goes back
    capture.write(files / "in.pcap", [frame] * 3, times, nanoseconds=nanoseconds)
    assert run(*arguments(files)).returncode == 0
    unit = 1 if nanoseconds else 1000
    assert [time for time, _ in capture.read(files / "out.pcap")] == [time // unit * unit for time in times]


def test_time_may_begin_at_zero(files):
    capture.write(files / "in.pcap", [Flow("dsr", V4).from_client()] * 2, [0, 1])
    assert run(*arguments(files)).returncode == 0
    assert [time for time, _ in capture.read(files / "out.pcap")] == [0, 1]


def test_a_frame_of_which_the_capture_has_a_part(files):
    """`tcpdump -s 60`: what is not there cannot be forwarded."""
    data = raw(Flow("dsr", V4).from_client(b"x" * 500))
    with open(files / "in.pcap", "r+b") as file:
        file.truncate(24)
        file.seek(24)
        file.write(struct.pack("<IIII", 1, 0, 60, len(data)) + data[:60])
    done = run(*arguments(files))
    assert done.returncode == 0 and "1 frames read, 0 written: drop_parse 1" in done.stderr
    assert "1 frame was captured in part" in done.stderr


def test_a_frame_longer_than_a_buffer(tmp_path):
    """Captures of hosts with segmentation offload have such; a link of that MTU takes them."""
    flow = Flow("dsr", V4)
    text = service("dsr", mtu=9000)
    frame = flow.from_client(bytes(range(251)) * 34, "PA")
    result = replay(tmp_path, text, [flow.from_client(), frame])
    assert result.one(1) == flow.at_server(frame, None)
    result = replay(tmp_path, service("dsr"), [flow.from_client(), frame])
    assert result.verdicts() == [["started"], ["too_big_sent"]]


# ---- the same again ----

def mixture(seed):
    """Frames of many kinds for the service of `service(mode)`: bytes."""
    rng = random.Random(seed)
    frames = []
    for index in range(150):
        flow = Flow("dsr", V4, client=V4.client_of(rng.randrange(1, 40)), sport=rng.randrange(2000, 2005))
        kind = rng.randrange(8)
        if kind == 0:
            whole = IP(src=flow.client, dst=V4.vip, id=index) / TCP(sport=flow.sport, dport=80) / (b"f" * 3000)
            frames += [received(part) for part in fragment(whole)]
        elif kind == 1:
            frames.append(received(IP(src="203.0.113.254", dst=V4.vip) / ICMP(type=3, code=4, nexthopmtu=1400) /
                                   IP(src=V4.vip, dst=flow.client) / TCP(sport=80, dport=flow.sport)))
        elif kind == 2:
            frames.append(flow.from_client(ttl=1))
        elif kind == 3:
            frames.append(received(IP(src=rng.choice(V4.servers), dst=flow.client) /
                                   TCP(sport=80, dport=flow.sport, flags="SA")))
        elif kind == 4:
            frames.append(flow.from_client(b"d" * rng.randrange(1460), rng.choice(["PA", "FA", "R"])))
        else:
            frames.append(flow.from_client())
    return [raw(frame) for frame in frames]


MIXED_V6 = [raw(Flow("dsr", V6, sport=3000 + index).from_client(b"six" * index)) for index in range(30)]


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_the_same_twice_is_the_same(tmp_path, mode):
    frames = mixture(1)
    first, second = (replay(tmp_path, service(mode), frames) for _ in range(2))
    assert first.output == second.output and first.decision_text == second.decision_text
    assert first.stderr == second.stderr


@pytest.mark.parametrize("mode", ["full_nat", "nat", "dsr", "ipip", "gue"])
def test_a_burst_is_the_same_as_one_by_one(tmp_path, mode):
    """Stages look ahead: what the first packets of a burst begin must be there for the later ones."""
    frames = mixture(2)
    times = [START_NS + index // 50 * STEP_NS for index in range(len(frames))]
    alone, together = (replay(tmp_path, service(mode), frames, times, options=("--burst", size)) for size in (1, 64))
    assert alone.output == together.output
    assert sorted(alone.decision_text.splitlines()) == sorted(together.decision_text.splitlines())


# ---- a corpus ----

def summed(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


CHECKSUM_AT = {1: 2, 6: 16, 17: 6, 58: 2}


def mended(data):
    """With sums that are right again where there is an IP packet of a known protocol: such mutations come further."""
    v4, v6 = data[12:14] == b"\x08\0" and len(data) >= 34, data[12:14] == b"\x86\xdd" and len(data) >= 54
    if v4:
        data[24:26] = b"\0\0"
        data[24:26] = struct.pack(">H", summed(bytes(data[14:14 + (data[14] & 15) * 4])))
    if not v4 and not v6:
        return
    protocol, l4 = (data[23], 14 + (data[14] & 15) * 4) if v4 else (data[20], 54)
    end = 14 + struct.unpack_from(">H", data, 16)[0] if v4 else 54 + struct.unpack_from(">H", data, 18)[0]
    at = l4 + CHECKSUM_AT.get(protocol, 1 << 20)
    if not at + 2 <= end <= len(data):
        return
    data[at:at + 2] = b"\0\0"
    pseudo = b"" if protocol == 1 else bytes(data[26:34] if v4 else data[22:54]) + struct.pack(">HH", protocol, end - l4)
    data[at:at + 2] = struct.pack(">H", summed(pseudo + bytes(data[l4:end])))


def mutated(rng, frame):
    data = bytearray(frame)
    for _ in range(rng.randrange(1, 4)):
        kind = rng.randrange(4)
        if kind == 0 and len(data) > 1:
            del data[rng.randrange(1, len(data)):]
        elif kind == 1:
            data[rng.randrange(min(len(data), 80))] = rng.randrange(256)
        elif kind == 2:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        else:
            at = rng.randrange(len(data))
            data[at:at] = rng.randbytes(rng.randrange(1, 9))
    if rng.random() < 0.7:
        mended(data)
    return bytes(data)


def test_mended():
    """The helper makes what scapy makes."""
    for frame in mixture(4)[:40] + MIXED_V6:
        if frame[12:14] == b"\x08\0" and struct.unpack_from(">H", frame, 20)[0] & 0x3fff:
            continue
        broken = bytearray(frame)
        broken[24 if frame[12:14] == b"\x08\0" else 70] ^= 0xff
        mended(broken)
        assert bytes(broken) == frame


@pytest.mark.parametrize("mode, inner, outer", MODES, ids=str)
def test_mutations_are_survived_and_decided(tmp_path, mode, inner, outer):
    rng = random.Random(f"{mode} {inner} {outer}")
    originals = mixture(3) + MIXED_V6
    frames = [mutated(rng, rng.choice(originals)) if rng.random() < 0.8 else rng.choice(originals) for _ in range(4000)]
    result = replay(tmp_path, service(mode, FAMILY[inner], server_family=FAMILY[outer], stream="flows 1k;"), frames)
    assert all(decision["verdict"] for decision in map(json.loads, result.decision_text.splitlines()))
    undecided = [index for index, decisions in enumerate(result.decisions) if not decisions]
    assert not undecided
