"""drivers-conf: every fragment is a configuration's part that Weir takes, every kind of host has a page, and the scripts refuse
what would cut a machine off. What they do to a real device is in tests/guest."""

import glob
import os

import pytest
from weirtest import BINARY, ROOT, Namespace, run

FRAGMENTS = sorted(os.path.basename(path) for path in glob.glob(f"{ROOT}/drivers-conf/*.conf"))
CONFIG = """
include {root}/drivers-conf/{fragment};
events {{ }}
http {{
    access_log off;
    server {{ listen 192.0.2.10:80; location / {{ proxy_pass http://192.0.2.11; }} }}
}}
"""


# ---- fragments ----

def test_there_is_one_for_each_kind_of_host():
    assert FRAGMENTS == [f"{name}.conf" for name in (
        "container", "dpdk-ena", "dpdk-intel", "dpdk-mlx5", "dpdk-virtio", "dpdk-vmxnet3", "xdp-generic", "xdp-native")]


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_weir_takes_it(fragment, tmp_path):
    (tmp_path / "weir.conf").write_text(CONFIG.format(root=ROOT, fragment=fragment))
    done = run(BINARY, "-t", "-p", tmp_path, "-c", tmp_path / "weir.conf", check=False)
    assert done.returncode == 0 and "[warn]" not in done.stdout, done.stdout


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_it_has_a_page(fragment):
    page = fragment.replace(".conf", ".md")
    with open(f"{ROOT}/drivers-conf/{page}") as file:
        assert f"({fragment})" in file.read()
    with open(f"{ROOT}/drivers-conf/README.md") as file:
        assert f"({page})" in file.read()


# ---- bind and unbind ----

DEVICE = "0000:01:00.0"


class Machine:
    """A network namespace with `eth1`, said to be a NIC by a /sys made for it."""

    def __init__(self, namespace, root):
        self.namespace, self.root = namespace, root
        namespace.ip("link", "add", "name", "eth1", "type", "veth", "peer", "name", "other")
        for name in ("eth1", "other"):
            namespace.ip("link", "set", name, "up")
        namespace.ip("address", "add", "10.7.0.1/24", "dev", "eth1")
        device = root / "bus/pci/devices" / DEVICE
        (device / "net/eth1").mkdir(parents=True)
        (device / "class").write_text("0x020000\n")
        (device / "driver_override").write_text("\n")
        (device / "iommu_group/devices" / DEVICE).mkdir(parents=True)
        (root / "class/net/eth1").mkdir(parents=True)
        (root / "class/net/eth1/device").symlink_to(device)
        (root / "class/net/other").mkdir()
        self.device = device
        self.driver("e1000e")

    def driver(self, name, device=DEVICE):
        path = self.root / "bus/pci/devices" / device
        (self.root / "bus/pci/drivers" / name).mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True)
        (path / "driver").unlink(missing_ok=True)
        (path / "driver").symlink_to(self.root / "bus/pci/drivers" / name)

    def script(self, name, *words, **environment):
        environment = {**os.environ, "HOST_SYS": str(self.root), "HOST_STATES": str(self.root / "states"), **environment}
        environment.setdefault("SSH_CONNECTION", "127.0.0.1 4000 127.0.0.1 22")  # not over eth1
        return self.namespace.run(f"{ROOT}/drivers-conf/{name}", *words, check=False, env=environment)

    def refusal(self, *words, **environment):
        done = self.script("bind", "--dry-run", *words, **environment)
        assert done.returncode == 1, done.stdout
        return done.stdout


@pytest.fixture
def machine(tmp_path):
    namespace = Namespace("machine")
    yield Machine(namespace, tmp_path)
    namespace.delete()


def test_bind_shows_what_it_would_do(machine):
    said = machine.script("bind", "--dry-run", "eth1")
    assert said.returncode == 0 and f"{DEVICE}: from e1000e (eth1) to vfio-pci" in said.stdout
    for line in ("modprobe vfio-pci", "ip link set dev eth1 down", f"put {DEVICE} {machine.device}/driver/unbind",
                 f"put vfio-pci {machine.device}/driver_override", f"put {DEVICE} {machine.root}/bus/pci/drivers_probe"):
        assert f"    {line}\n" in said.stdout, said.stdout
    assert machine.script("bind", "--dry-run", "01:00.0").stdout == said.stdout


def test_bind_without_an_iommu(machine):
    run("rm", "-r", machine.device / "iommu_group")
    assert "to uio_pci_generic" in machine.script("bind", "--dry-run", "eth1").stdout


def test_bind_leaves_the_last_default_route(machine):
    machine.namespace.ip("route", "add", "default", "via", "10.7.0.254", "dev", "eth1")
    assert "the last default route of this machine leaves by eth1" in machine.refusal("eth1")
    assert machine.script("bind", "--dry-run", "--force", "eth1").returncode == 0
    machine.namespace.ip("route", "add", "default", "dev", "other", "metric", "7")
    assert machine.script("bind", "--dry-run", "eth1").returncode == 0


def test_bind_leaves_the_last_default_route_of_ipv6(machine):
    machine.namespace.ip("-6", "route", "add", "default", "dev", "eth1")
    assert "the last default route" in machine.refusal("eth1")


def test_bind_leaves_the_route_of_ssh(machine):
    said = machine.refusal("eth1", SSH_CONNECTION="10.7.0.9 50000 10.7.0.1 22")
    assert "your ssh session from 10.7.0.9 comes over eth1" in said


def test_bind_leaves_what_others_stand_on(machine):
    (machine.root / "class/net/eth1/upper_bond0").mkdir()
    assert "eth1 carries bond0" in machine.refusal("eth1")


def test_bind_leaves_groups_that_the_kernel_shares(machine):
    machine.driver("snd_hda_intel", "0000:01:00.1")
    (machine.device / "iommu_group/devices/0000:01:00.1").mkdir()
    assert "shares its IOMMU group with 0000:01:00.1, which the kernel's driver snd_hda_intel has" in machine.refusal("eth1")


def test_bind_leaves_mlx5(machine):
    machine.driver("mlx5_core")
    assert "shares with the kernel: name it in the configuration as it is" in machine.refusal("eth1")


def test_bind_says_what_is_no_nic(machine):
    assert "no hardware behind it" in machine.refusal("other")
    assert "no such interface" in machine.refusal("eth9")
    assert "there is no such PCI device" in machine.refusal("0000:09:00.0")
    (machine.device / "class").write_text("0x010802\n")
    assert "is no network device" in machine.refusal("eth1")


def test_what_is_bound_is_not_bound_again(machine):
    machine.driver("vfio-pci")
    assert "vfio-pci has it already" in machine.script("bind", "--dry-run", DEVICE).stdout


def test_unbind_shows_what_it_would_restore(machine):
    machine.driver("vfio-pci")
    (machine.root / "states").mkdir()
    (machine.root / "states" / DEVICE).write_text(
        "driver e1000e\ninterface eth1\nmtu 1400\nup\naddress 10.7.0.1/24\nroute -4 default via 10.7.0.254 linkdown\n")
    said = machine.script("unbind", "--dry-run", DEVICE).stdout
    for line in (f"{DEVICE}: from vfio-pci to e1000e", "ip link set dev eth1 mtu 1400", "ip address replace 10.7.0.1/24 dev eth1",
                 "ip -4 route replace default via 10.7.0.254 dev eth1"):
        assert line in said, said
    machine.driver("e1000e")
    assert "the kernel's driver e1000e has it already" in machine.script("unbind", "--dry-run", DEVICE).stdout


# ---- hugepages ----

@pytest.fixture
def hugepages(tmp_path):
    """Two nodes with files in the place of the kernel's."""
    for node in (0, 1):
        path = tmp_path / f"sys/devices/system/node/node{node}/hugepages/hugepages-2048kB"
        path.mkdir(parents=True)
        for name in ("nr_hugepages", "free_hugepages"):
            (path / name).write_text("0\n")
    (tmp_path / "etc").mkdir()

    def script(*words):
        environment = {**os.environ, "HOST_SYS": str(tmp_path / "sys"), "HOST_ETC": str(tmp_path / "etc")}
        return run(f"{ROOT}/drivers-conf/hugepages", *words, env=environment, check=False)

    script.root = tmp_path
    script.node = lambda node: int((tmp_path / f"sys/devices/system/node/node{node}/hugepages/hugepages-2048kB/nr_hugepages").read_text())
    return script


def test_hugepages_are_shared_among_the_nodes(hugepages):
    assert hugepages("1G").returncode == 0
    assert (hugepages.node(0), hugepages.node(1)) == (256, 256)
    assert "node 1      2 MB pages:    256 reserved" in hugepages().stdout


def test_hugepages_of_one_node(hugepages):
    assert hugepages("--node", "1", "512M").returncode == 0
    assert (hugepages.node(0), hugepages.node(1)) == (0, 256)


def test_hugepages_write_files_only_when_asked(hugepages):
    hugepages("64M")
    assert not list((hugepages.root / "etc").iterdir())
    hugepages("--sysctl", "--fstab", "64M")
    assert "vm.nr_hugepages = 32\n" in (hugepages.root / "etc/sysctl.d/80-weir-hugepages.conf").read_text()
    assert "hugetlbfs /dev/hugepages hugetlbfs mode=1770,pagesize=2M 0 0\n" in (hugepages.root / "etc/fstab").read_text()
    hugepages("--systemd", "--node", "1", "512M")
    unit = (hugepages.root / "etc/systemd/system/weir-hugepages.service").read_text()
    assert "echo 16 >" in unit and "echo 256 >" in unit
    hugepages("--forget")
    assert [path for path in (hugepages.root / "etc").rglob("*") if path.is_file() and path.read_text()] == []


def test_hugepages_mistakes(hugepages):
    for words, text in ((["many"], "is no amount"), (["--sysctl"], "how much is to last"), (["--size", "3M", "64M"], "--size is"),
                        (["--node", "7", "64M"], "node 7 has no pages"), (["--sysctl", "--node", "1", "64M"], "use --systemd")):
        done = hugepages(*words)
        assert done.returncode == 1 and text in done.stdout, (words, done.stdout)
