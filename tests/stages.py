"""The stages of tests/run: each runs its tests and says how many passed, failed and were skipped."""

import argparse
import glob
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, f"{ROOT}/tests/net")

import weirtest  # noqa: E402  (found through the line above)

# The same inputs each time, so that what has passed passes again; with WEIR_FUZZ_SECONDS for longer, and others each time.
FUZZ_SECONDS = int(os.environ.get("WEIR_FUZZ_SECONDS", "3"))
FUZZ_SEED = 0 if "WEIR_FUZZ_SECONDS" in os.environ else 1
# What of it the stages run; the unit tests are built when they are. No benchmarks and no load.
SANITIZED_PROGRAMS = ["app/weir/weir", "app/weirctl/weirctl", "app/weir-replay/weir-replay", "fuzzers"]
# Most of a run on a fresh machine is compiling and linking. mold links the many programs with their sanitizers in a fifth of
# ld's time.
CLANG_BUILD = ["-Dfuzzers=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dc_link_args=-fuse-ld=mold",
               "-Doptimization=1", "-Dc_args=-gline-tables-only"]
# Run again with sanitizers: what reads outside bytes. The rest of it has them in the unit tests.
SANITIZED = ["http/test_answers.py", "http/test_bad_requests.py", "http/test_bad_upstreams.py", "http/test_tls.py",
             "net/test_packets.py", "net/test_reload.py", "packets/test_program.py"]


class Counts:
    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def __iadd__(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        return self

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed" + (f", {self.skipped} skipped" if self.skipped else "")


def say(text):
    print(text, flush=True)


def one(name, done):
    """A test that is one program: its output is only of interest when it failed."""
    if done.returncode == 0:
        return Counts(passed=1)
    say(f"FAILED {name}")
    say("\n".join(f"    {line}" for line in (done.stdout or "").strip().splitlines()[-40:]))
    return Counts(failed=1)


RUNNING = set()


def call(*command, **options):
    """A command to its end, in a session of its own: ^C reaches us alone, and we end the command."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "errors": "replace", "cwd": ROOT,
               "start_new_session": True, **options}
    process = subprocess.Popen([str(word) for word in command], **options)
    RUNNING.add(process)
    try:
        output = process.communicate()[0]
    except KeyboardInterrupt:
        end_running()
        raise
    RUNNING.discard(process)
    return subprocess.CompletedProcess(command, process.returncode, output)


def end_running():
    """Each cleans up behind itself when it is told to end; only the first of a session is told."""
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)
    for process in list(RUNNING):
        process.send_signal(signal.SIGTERM)
    for process in list(RUNNING):
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
    RUNNING.clear()


def at_once(function, items, places=os.cpu_count()):
    """What it returns for each, in their order; as many at a time as there are CPUs, or `places`."""
    with ThreadPoolExecutor(max_workers=places) as pool:
        results = [pool.submit(function, item) for item in items]
        try:
            return [result.result() for result in results]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            end_running()
            raise


def build(sanitized=False):
    """Through app/setup.sh, as app/demo does it. A build that fails is the stage's failure."""
    script = 'ROOT=$1; . "$ROOT/app/setup.sh"; shift; setup_build "$@"'
    what = ["build-sanitized", *SANITIZED_PROGRAMS, "--", *CLANG_BUILD] if sanitized else ["build", "programs"]
    done = call("bash", "-c", script, "setup", ROOT, *what, env={**os.environ, "CC": "clang" if sanitized else "gcc"})
    if done.returncode != 0:
        say(done.stdout)
    return done.returncode == 0


def lint(_):
    counts = Counts()
    for path in sorted(glob.glob(f"{ROOT}/tests/lint/*")):
        if os.access(path, os.X_OK) and os.path.isfile(path):
            counts += one(f"lint/{os.path.basename(path)}", call(path))
    return counts


def unit_results(directory):
    """Every cmocka test of every executable; one that ended badly without a failed test counts as a failure."""
    counts = Counts()
    with open(f"{ROOT}/{directory}/meson-logs/testlog.json") as log:
        for line in log:
            result = json.loads(line)
            output = result.get("stdout", "") + result.get("stderr", "")
            passed = len(re.findall(r"^ok \d+(?!.*# SKIP)", output, re.MULTILINE))
            skipped = len(re.findall(r"^(?:not )?ok \d+.*# SKIP", output, re.MULTILINE))
            failed = re.findall(r"^not ok \d+ - (?!.*# SKIP)(.*)", output, re.MULTILINE)
            if result["result"] not in ("OK", "SKIP") and not failed:
                failed = [f"exit code {result['returncode']}"]
            if failed:
                say(f"FAILED {directory} {result['name']}: {', '.join(failed)}")
                say("\n".join(f"    {text}" for text in output.strip().splitlines()[-60:]))
            counts += Counts(passed or int(result["result"] == "OK" and not skipped), len(failed), skipped)
    return counts


def unit_tests(directory):
    log = f"{ROOT}/{directory}/meson-logs/testlog.json"
    if os.path.exists(log):
        os.unlink(log)
    environment = {**os.environ, "CMOCKA_MESSAGE_OUTPUT": "TAP", "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"}
    # One more than there are CPUs: those that make network namespaces wait for the kernel.
    done = call("/usr/bin/meson", "test", "-C", directory, "--timeout-multiplier", "4", "--num-processes",
                str(os.cpu_count() + 1), env=environment)
    if not os.path.exists(log) or not os.path.getsize(log):
        say(f"FAILED {directory}: no unit tests\n{done.stdout}")
        return Counts(failed=1)
    return unit_results(directory)


def unit(_):
    """With sanitizers. `tests/run optimized` runs them as gcc builds what is used."""
    return unit_tests("build-sanitized") if build(sanitized=True) else Counts(failed=1)


def optimized(_):
    return unit_tests("build") if build() else Counts(failed=1)


def fuzz_one(binary):
    name = os.path.basename(binary)
    with tempfile.TemporaryDirectory(prefix=f"{weirtest.PREFIX}-") as directory:
        corpus = f"{ROOT}/tests/fuzz/corpus/{name.removeprefix('fuzz_')}"
        os.mkdir(f"{directory}/new")
        # The time-out is for what hangs: on a busy machine, one input was seen to take 6 s in the sanitizer's allocator. Entropic
        # scheduling takes longer than the larger targets do: without it, the proxy runs nine times as many inputs.
        done = call(binary, f"-max_total_time={FUZZ_SECONDS}", f"-seed={FUZZ_SEED}", "-timeout=30", "-rss_limit_mb=2048",
                    "-entropic=0", "-print_final_stats=0", "-verbosity=0", f"-artifact_prefix={ROOT}/build-sanitized/{name}-",
                    f"{directory}/new", corpus, cwd=directory)
        if not os.path.isdir(corpus) or not os.listdir(corpus):
            done.returncode, done.stdout = 1, f"{corpus} is empty"
    return name, done


def fuzz(_):
    if not build(sanitized=True):
        return Counts(failed=1)
    binaries = sorted(path for path in glob.glob(f"{ROOT}/build-sanitized/tests/fuzz/fuzz_*") if os.path.isfile(path))
    if not binaries:
        say("FAILED fuzz: no fuzzers")
        return Counts(failed=1)
    counts = Counts()
    for name, done in at_once(fuzz_one, binaries):
        counts += one(name, done)
    return counts


def python_build(sanitized):
    return "WEIR_BIN" in os.environ or build(sanitized)


def python_tests(paths, expression, sanitized=False, marks=None, part="1/1"):
    directory = "build-sanitized" if sanitized else "build"
    environment = {"WEIR_BIN": f"{ROOT}/{directory}/app/weir/weir", "PYTHONDONTWRITEBYTECODE": "1", **os.environ}
    if sanitized:
        environment["WEIR_SANITIZED"] = "1"
    with tempfile.TemporaryDirectory(prefix=f"{weirtest.PREFIX}-") as reports:
        command = ["/usr/bin/python3", "-m", "pytest", "-q", "--no-header", f"--junitxml={reports}/xml",
                   f"--basetemp={reports}/tmp", *(["-k", expression] if expression else []),
                   *(["-m", marks] if marks else []), f"--part={part}",
                   *(f"{ROOT}/tests/{path}" for path in paths)]
        code = call(*command, cwd=f"{ROOT}/tests", env=environment, stdout=None).returncode
        try:
            suite = xml.etree.ElementTree.parse(f"{reports}/xml").getroot().find("testsuite")
        except (FileNotFoundError, xml.etree.ElementTree.ParseError):
            return Counts(failed=1)
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    skipped = int(suite.get("skipped"))
    passed = max(0, int(suite.get("tests")) - failed - skipped)
    if code not in (0, 5) and not failed:
        failed = 1
    return Counts(passed, failed, skipped)


def python_files(stage):
    return [f"{stage}/{os.path.basename(path)}" for path in sorted(glob.glob(f"{ROOT}/tests/{stage}/test_*.py"))]


def side_by_side(files, expression, sanitized=False, marks=None, places=os.cpu_count(), parts=1):
    """A process per file, or per part of one, as many at a time as there are CPUs: most of the time they wait. The longest
    first, so that none is left to run alone at the end."""
    if not python_build(sanitized):
        return Counts(failed=1)
    files = sorted(files, key=lambda file: -os.path.getsize(f"{ROOT}/tests/{file}"))
    runs = [(file, f"{part}/{parts}") for file in files for part in range(1, parts + 1)]
    counts = Counts()
    for of_run in at_once(lambda run: python_tests([run[0]], expression, sanitized, marks, run[1]), runs, places):
        counts += of_run
    return counts


def http(arguments):
    return side_by_side(python_files("http"), arguments.k)


def net(arguments):
    """What measures has the machine for itself, and what loads it disturbs nobody else."""
    counts = side_by_side(python_files("net"), arguments.k, marks="not alone and not loads", places=os.cpu_count() + 1)
    counts += side_by_side(["net/test_benchmarks.py"], arguments.k, marks="loads", parts=os.cpu_count())
    counts += python_tests(["net"], arguments.k, marks="alone")
    return counts


def packets(arguments):
    """Nothing in them is timed, and a third of the time of each is a pause of DPDK's at its start."""
    return side_by_side(python_files("packets"), arguments.k, places=2 * os.cpu_count())


def host(arguments):
    return side_by_side(python_files("host"), arguments.k)


def slow(arguments):
    """PCI devices, in an emulated machine, a browser, and a scanner of TLS: not run unless named."""
    return python_tests(["guest", "peers"], arguments.k) if python_build(False) else Counts(failed=1)


def nginx(arguments):
    return side_by_side(python_files("nginx"), arguments.k, parts=os.cpu_count() + 1)


def sanitized(arguments):
    return side_by_side(SANITIZED, arguments.k, sanitized=True)


def demo(_):
    """The two demonstrations say with their exit code whether everything was as expected; --local in a namespace."""
    counts = one("app/demo", call(f"{ROOT}/app/demo"))
    local = weirtest.Namespace("demo")
    try:
        counts += one("app/demo --local", call(*local.command(f"{ROOT}/app/demo", "--local")))
    finally:
        local.delete()
    return counts


STAGES = {stage.__name__: stage for stage in (lint, unit, fuzz, packets, host, http, net, nginx, demo, sanitized)}
NAMED_ONLY = {"optimized": optimized, "slow": slow}


def state():
    """What a run must leave as it found it, as a set of lines."""
    commands = [("namespace", "ip", "netns", "list"), ("link", "ip", "-d", "-o", "link"),
                ("sysctl", "sysctl", "-a", "-r", r"^net\.ipv[46]\.(conf\.(lo|all|default)|ip_forward)|^vm\.nr_hugepages$")]
    lines = {f"{name}: {line}" for name, *command in commands for line in call(*command).stdout.splitlines()
             if {"namespace": line.startswith("weir"), "link": "prog/xdp" in line}.get(name, True)}
    for pattern in ("/tmp/weir*", "/dev/hugepages/*", "/dev/shm/*rte*", "/sys/fs/bpf/*weir*", "/run/weir*"):
        lines |= {f"file: {path}" for path in glob.glob(pattern)}
    with open("/proc/mounts") as file:
        lines |= {f"mount: {line.strip()}" for line in file if "weir" in line}
    return lines


def host_states():
    """What Weirs that changed a loopback keep of it; see lib/port/README.md."""
    return set(glob.glob("/run/weir/lo-*"))


def forget_killed(before):
    """A Weir that was killed leaves its note for the next start; here its namespace has gone, and nobody will come."""
    for path in host_states() - before:
        os.unlink(path)
    if os.path.isdir("/run/weir") and not os.listdir("/run/weir"):
        os.rmdir("/run/weir")


def left_behind(before):
    """Other runs on this machine may come and go: what carries the id of a process that lives is theirs."""
    new = [line for line in sorted(state() - before)
           if not any(os.path.exists(f"/proc/{pid}") for pid in re.findall(r"weir[a-z]*-(\d+)", line))]
    for line in new:
        say(f"FAILED left behind: {line}")
    return Counts(passed=int(not new), failed=int(bool(new)))


INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def terminated(*_):
    raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(prog="tests/run")
    parser.add_argument("stages", nargs="*", help=" ".join([*STAGES, *NAMED_ONLY]))
    parser.add_argument("-k", metavar="EXPRESSION", help="only Python tests whose name matches")
    parser.add_argument("--list", action="store_true")
    arguments = parser.parse_args()
    if arguments.list:
        say("\n".join([*STAGES, *NAMED_ONLY]))
        return 0
    stages = {**STAGES, **NAMED_ONLY}
    unknown = set(arguments.stages) - set(stages)
    if unknown:
        parser.error(f"no such stage: {', '.join(unknown)}")
    chosen = arguments.stages or (["http", "net"] if arguments.k else list(STAGES))
    for number in INTERRUPTS:
        signal.signal(number, terminated)
    weirtest.sweep()
    weirtest.sweep_directories()
    before, notes, total, summary = state(), host_states(), Counts(), []
    try:
        for name in chosen:
            say(f"=== {name}")
            start = time.monotonic()
            counts = stages[name](arguments)
            total += counts
            summary.append(f"{name:10} {counts}  ({time.monotonic() - start:.0f} s)")
            say(summary[-1])
    except KeyboardInterrupt:
        say("interrupted")
        end_running()
        total += Counts(failed=1)
    finally:
        weirtest.sweep()
        weirtest.sweep_directories()
        forget_killed(notes)
    total += left_behind(before)
    say("=== summary")
    for line in summary:
        say(line)
    say(str(total))
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
