"""A machine with PCI NICs, emulated by QEMU: what tests/guest boots.

The guest sees this machine's files, read-only, under a layer in its memory (tests/guest/image), and is told what to do over a
serial line. Its NICs hang on taps in a namespace, each a port of a bridge there. No KVM: it runs about ten times slower than
the machine, on any machine.
"""

import os
import shlex
import socket
import subprocess
import tempfile

from weirtest import PREFIX, ROOT, run, wait_for

# What a device needs to be told so that it works behind an IOMMU.
MODELS = {"e1000e": "", "vmxnet3": "", "virtio-net-pci": ",disable-legacy=on,iommu_platform=on"}
# Under load from elsewhere: the machine may be slow, and the guest ten times as slow.
PATIENCE = 180


class Nic:
    """`model` as QEMU calls it; plugged into `bridge` of the switch namespace. The guest finds it at `address`."""

    def __init__(self, number, model, bridge):
        self.number, self.model, self.bridge = number, model, bridge
        self.address = f"0000:00:{16 + number:02x}.0"
        self.mac = f"52:54:00:00:01:{number:02x}"
        self.tap = f"tap{number}"

    def arguments(self):
        return ["-netdev", f"tap,id=n{self.number},ifname={self.tap},script=no,downscript=no",
                "-device", f"{self.model},netdev=n{self.number},mac={self.mac},addr={16 + self.number:#x},romfile="
                + MODELS[self.model]]

    def plug_in(self, switch):
        switch.ip("tuntap", "add", self.tap, "mode", "tap")
        switch.ip("link", "set", self.tap, "master", self.bridge, "up")


class Guest:
    """`with Guest(switch, [("e1000e", "lan"), ...]) as guest:` boots it, and ends it with its power switched off."""

    def __init__(self, switch, nics, iommu=True, memory_mb=1536):
        self.switch, self.iommu, self.memory_mb = switch, iommu, memory_mb
        self.nics = [Nic(number, model, bridge) for number, (model, bridge) in enumerate(nics, 1)]
        self.directory = tempfile.mkdtemp(prefix=f"{PREFIX}-")
        self.process = self.line = None

    def __enter__(self):
        try:
            self.boot()
        except BaseException:
            self.close()
            raise
        return self

    def command(self):
        image = run(f"{ROOT}/tests/guest/image", timeout=300, stderr=None).stdout.strip()
        words = ["qemu-system-x86_64", "-accel", "tcg,thread=multi", "-M", "q35,kernel-irqchip=off", "-cpu", "max", "-smp", "2",
                 "-m", self.memory_mb, "-nodefaults", "-display", "none", "-no-reboot",
                 "-kernel", f"{image}/vmlinuz", "-initrd", f"{image}/initramfs",
                 "-append", "console=ttyS0 panic=1 mitigations=off" + (" intel_iommu=on" if self.iommu else ""),
                 "-chardev", f"file,id=console,path={self.directory}/console", "-serial", "chardev:console",
                 "-chardev", f"socket,id=line,path={self.directory}/line,server=on,wait=off", "-serial", "chardev:line",
                 "-fsdev", "local,id=root,path=/,readonly=on,security_model=none,multidevs=remap",
                 "-device", "virtio-9p-pci,fsdev=root,mount_tag=root"]
        if self.iommu:
            words += ["-device", "intel-iommu,intremap=on,caching-mode=on"]
        for nic in self.nics:
            words += nic.arguments()
        return words

    def boot(self):
        for nic in self.nics:
            nic.plug_in(self.switch)
        self.output = open(f"{self.directory}/output", "wb")
        self.process = self.switch.popen(*self.command(), stdout=self.output, stderr=self.output, stdin=subprocess.DEVNULL)
        connection = socket.socket(socket.AF_UNIX)
        wait_for(lambda: self.process.poll() is not None or os.path.exists(f"{self.directory}/line"), what="a serial line")
        assert self.process.poll() is None, f"qemu ended\n{self.story()}"
        connection.connect(f"{self.directory}/line")
        connection.settimeout(PATIENCE)
        self.line = connection.makefile("rwb")
        connection.close()
        self._answer()

    def _silence(self):
        return AssertionError(f"the guest is silent for {PATIENCE} s\n{self.story()}")

    def _answer(self):
        try:
            line = self.line.readline()
        except TimeoutError:
            raise self._silence() from None
        assert line, f"the guest has gone: {self.process.wait(10)}\n{self.story()}"
        return line

    def _ask(self, text):
        """As init reads it: one line, every byte that may mean something to a terminal or a shell in octal."""
        word = "".join(chr(byte) if chr(byte).isalnum() or chr(byte) in " /.,:-_=" else f"\\{byte:03o}" for byte in text.encode())
        self.line.write(f"$'{word}'\n".encode())
        self.line.flush()

    def run(self, *words, check=True):
        """A command in the guest, to its end. One word alone is a line for bash."""
        text = words[0] if len(words) == 1 else shlex.join(map(str, words))
        self._ask(text)
        code, length = map(int, self._answer().split())
        try:
            output = self.line.read(length).decode(errors="replace")
        except TimeoutError:
            raise self._silence() from None
        if check and code != 0:
            raise AssertionError(f"{text}: exit {code}\n{output}")
        return subprocess.CompletedProcess(text, code, output)

    def write(self, path, text):
        self.run(f"printf %s {shlex.quote(text)} >{path}")

    def story(self):
        """What was said on the console, and by QEMU."""
        said = []
        for name in ("output", "console"):
            with open(f"{self.directory}/{name}", errors="replace") as file:
                said.append(f"--- {name}\n{file.read()[-3000:]}")
        return "\n".join(said)

    def power_off(self, seconds=60):
        """As the guest's own `poweroff` does it; QEMU ends with it."""
        self._ask("echo o >/proc/sysrq-trigger")
        return self.process.wait(seconds)

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if os.environ.get("WEIR_KEEP") is None:
            run("rm", "-rf", self.directory)

    def __exit__(self, *_):
        self.close()
