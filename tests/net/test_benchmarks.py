"""The benchmarks run and measure what they say; their figures are reports, and nothing here looks at them."""

import json
import os
import shutil
import subprocess

import pytest
from weirtest import BINARY, ROOT

BUILD = os.path.dirname(os.path.dirname(os.path.dirname(BINARY)))
SCRIPTS = f"{ROOT}/pktgen-scripts"
PROGRAM = f"{BUILD}/tests/bench/l4/bench-l4"
MODES = ("full_nat", "nat", "dsr", "ipip", "gue")

pytestmark = [pytest.mark.loads, pytest.mark.skipif(not os.path.exists(PROGRAM), reason=f"{PROGRAM} is not built")]


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=300)


def test_every_packet_of_bench_l4_does_what_is_measured(tmp_path):
    report = tmp_path / "report.json"
    done = run(f"{SCRIPTS}/bench-l4", "--build", BUILD, "--seconds", "0.05", "--windows", "1", "--flows", "1k",
               "--no-huge", "--parts", "paths,maglev,flood", "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(report.read_text())
    rows = results["paths"]
    assert {row["mode"] for row in rows} == set(MODES)
    assert {row["case"] for row in rows} == {"established", "new", "answers", "stateless"}
    assert {row["ipv6"] for row in rows} == {False, True}
    for row in rows:
        assert row["share"] > 0.99, row
        assert 0 < row["port"]["ns"] < row["total"]["ns"], row
    assert results["maglev"]["ns"] > 0
    for mode, row in results["flood"].items():
        assert row["connections"] > 100000 and row["share"] < 0.01, (mode, row)


def test_a_window_of_new_flows_fits_its_table():
    done = run(PROGRAM, "--no-huge", "--mode", "dsr", "--entries", "1024", "--seconds", "0.01", "--windows", "1", "new")
    assert done.returncode == 0, done.stderr
    # So it does not here, and the verdicts say so.
    assert json.loads(done.stdout)["verdicts"]["stateless"] > 0


def test_bench_l4_refuses_what_is_no_configuration():
    done = run(PROGRAM, "--no-huge", "--mode", "nonsense", "established")
    assert done.returncode != 0
    assert "nonsense" in done.stderr


def test_bench_tcp_measures_what_it_says(tmp_path):
    """Each of its parts, the smallest of it; one balancer and one case."""
    report = tmp_path / "report.json"
    done = run(f"{SCRIPTS}/bench-tcp", "--build", BUILD, "--milliseconds", "300", "--warmup", "100", "--rounds", "1",
               "--connections", "8", "--idle", "5000", "--cases", "proxied keepalive", "--balancers", "weir", "--no-instructions",
               "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(report.read_text())
    assert set(results["inside"]) == {"served keepalive", "served new", "proxied keepalive", "proxied new", "bulk"}
    for row in results["inside"].values():
        assert row["ns"] > 0 and row["answers"] > 0 and row["lost"] == 0, row
        assert row.keys().isdisjoint({"read", "timeout", "bad_answer", "wrong_size", "bad_status"}), row
    for row in (results["memif"]["proxied keepalive"], results["veth"]["proxied keepalive"]["weir"]):
        assert row["answers"] > 0 and not row["errors"], row
    assert results["idle"]["tcp"] > 0
    for offload in ("on", "off"):
        assert results["veth"]["bulk"][f"weir, offload {offload}"]["gbit_per_second"] > 0


def test_bench_tls_measures_what_it_says(tmp_path):
    report = tmp_path / "report.json"
    done = run(f"{SCRIPTS}/bench-tls", "--build", BUILD, "--balancers", "weir", "--seconds", "1", "--warm-up", "0", "--rounds", "1",
               "--connections", "4", "--idle", "20", "--parts", "handshake,idle", "--handshakes", "full 1.2 rsa,resumed 1.3 ecdsa",
               "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(report.read_text())
    full, resumed = (results[f"handshake {name}"]["weir"] for name in ("full 1.2 rsa", "resumed 1.3 ecdsa"))
    for row in (full, resumed):
        assert row["requests_per_second"] > 0 and row["core_us"] > 0 and not row["errors"], row
    assert full["resumed"] == 0 and resumed["resumed"] > 0.5
    assert {"idle 1.2", "idle 1.3"} <= results.keys()


def test_every_packet_of_bench_xdp_does_what_is_measured(tmp_path):
    report = tmp_path / "report.json"
    done = run(f"{SCRIPTS}/bench-xdp", "--build", BUILD, "--flows", "1000", "--repeats", "20000", "--idle-seconds", "0.5",
               "--json", str(report))
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(report.read_text())
    assert {row["mode"] for row in rows if row["case"] == "hit"} == set(MODES)
    assert {row["case"] for row in rows} == {"hit", "miss", "new", "live", "idle"}
    assert {row["mode"] for row in rows if row["case"] == "live"} == set(MODES)


@pytest.mark.parametrize("profile", ["single_flow", "many_flows", "syn_flood", "imix"])
def test_testpmd_sends_what_pktgen_would(profile):
    done = run(f"{SCRIPTS}/run", profile, "net_null0,no-rx=1", "--with", "testpmd", "--no-huge", "--seconds", "1",
               "--flows", "256")
    assert done.returncode == 0, done.stdout + done.stderr
    words = done.stdout.split()
    assert words[:3] == ["RESULT", profile, "sent"]
    assert int(words[3]) > 0


@pytest.mark.parametrize("profile", ["rate_sweep", "latency"])
def test_what_testpmd_cannot_is_refused(profile):
    done = run(f"{SCRIPTS}/run", profile, "net_null0", "--with", "testpmd")
    assert done.returncode == 2
    assert f"{profile} needs Pktgen" in done.stderr


@pytest.mark.skipif(not shutil.which("luac5.4"), reason="no Lua")
@pytest.mark.parametrize("script", sorted(os.listdir(f"{SCRIPTS}/pktgen")))
def test_the_scripts_for_pktgen_are_lua(script):
    # One at a time: luac 5.4.4 crashes when it is given several.
    done = run("luac5.4", "-p", f"{SCRIPTS}/pktgen/{script}")
    assert done.returncode == 0, done.stderr
