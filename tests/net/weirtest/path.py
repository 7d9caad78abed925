"""A path on which things go wrong between two devices of a namespace (tests/bench/path), and the paths that TCP is tried on."""

import json
import os
import subprocess

from .balancer import BINARY, IS_NGINX, ROOT

BUILD = f"{ROOT}/build" if IS_NGINX else os.path.dirname(os.path.dirname(os.path.dirname(BINARY)))

# Both ways, and of TCP's segments alone; of a thousand where nothing else is said.
PATHS = {
    "clean": {},
    "loss 2 %": {"loss": 20},
    "bursts": {"loss": 2, "burst": 10},
    "reordering 5 %": {"reordering": 50},
    "duplication 5 %": {"duplication": 50},
    "corruption 1 %": {"corruption": 10},
    "50 Mbit/s, queue 100": {"rate_kbit": 50000, "queue": 100},
}


class BadPath:
    """`with BadPath(namespace, "a", "b", loss=20):`; .report has what happened, by device, once it is over."""

    def __init__(self, namespace, *devices, build=BUILD, **trouble):
        self.namespace, self.devices, self.report = namespace, devices, {}
        self.command = [f"{build}/tests/bench/path/bad-path"]
        for name, value in trouble.items():
            self.command += [f"--{name.replace('_', '-')}", value]

    def __enter__(self):
        self.process = self.namespace.popen(*self.command, *self.devices, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout.readline() == "ready\n", f"{self.command} did not start"
        return self

    def __exit__(self, kind, *_):
        self.process.terminate()
        output = self.process.communicate(timeout=10)[0]
        if kind is None:
            assert self.process.returncode == 0, output
            self.report = {line["from"]: line for line in map(json.loads, output.splitlines())}
