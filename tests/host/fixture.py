"""Hosts that this machine is not: trees of the files that the doctor reads, one call per thing a host may have."""

import glob
import json
import os

from weirtest import ROOT, run

WEIRCTL = os.environ.get("WEIRCTL_BIN") or f"{os.path.dirname(os.environ.get('WEIR_BIN', f'{ROOT}/build/app/weir/weir'))}/../weirctl/weirctl"
PMDS = glob.glob("/usr/lib/*/dpdk")


class Host:
    """A host that has all it needs, in `root`; then changed by what a test takes away or adds."""

    def __init__(self, root, kernel="6.1.0-18-amd64", cpus="0-7"):
        self.root = str(root)
        self.write("proc/sys/kernel/osrelease", kernel)
        self.write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999")
        self.write("proc/sys/net/ipv4/ip_forward", 1)
        self.write("proc/meminfo", "MemTotal:       32000000 kB\nMemAvailable:   16000000 kB")
        self.write("proc/mounts", "hugetlbfs /dev/hugepages hugetlbfs rw 0 0")
        self.write("sys/kernel/btf/vmlinux", "")
        self.write("dev/net/tun", "")
        self.write("sys/devices/system/cpu/online", cpus)
        self.write("sys/devices/system/cpu/isolated", "1-3")
        for name, value in (("xdp", 1), ("af_xdp", 1), ("bpf_link", 1), ("mmapable", 1), ("memlock", 65536), ("privileged", 1)):
            self.write(f"probe/kernel/{name}", value)
        self.write("sys/kernel/iommu_groups/0/type", "DMA")
        os.makedirs(f"{self.root}/sys/bus/pci/drivers/vfio-pci")
        self.hugepages(node0=(512, 512))
        # What drivers of DPDK there are, is this machine's.
        os.makedirs(f"{self.root}/usr/lib/any")
        os.symlink(PMDS[0], f"{self.root}/usr/lib/any/dpdk")

    def write(self, path, text):
        os.makedirs(os.path.dirname(f"{self.root}/{path}"), exist_ok=True)
        with open(f"{self.root}/{path}", "w") as file:
            file.write(f"{text}\n")

    def hugepages(self, **nodes):
        """node0=(all, free), ... of 2 MB."""
        for name, (count, free) in nodes.items():
            self.write(f"sys/devices/system/node/{name}/hugepages/hugepages-2048kB/nr_hugepages", count)
            self.write(f"sys/devices/system/node/{name}/hugepages/hugepages-2048kB/free_hugepages", free)
        for index, file in enumerate(("nr_hugepages", "free_hugepages")):
            self.write(f"sys/kernel/mm/hugepages/hugepages-2048kB/{file}", sum(pages[index] for pages in nodes.values()))

    def nic(self, address, vendor, device, driver, interface=None, node=-1):
        path = f"sys/bus/pci/devices/{address}"
        for name, value in (("class", "0x020000"), ("vendor", f"{vendor:#06x}"), ("device", f"{device:#06x}"), ("numa_node", node)):
            self.write(f"{path}/{name}", value)
        os.makedirs(f"{self.root}/sys/bus/pci/drivers/{driver}", exist_ok=True)
        os.symlink(f"../../drivers/{driver}", f"{self.root}/{path}/driver")
        if interface:
            os.makedirs(f"{self.root}/{path}/net/{interface}")

    def interface(self, name, driver, **facts):
        facts = {"mtu": 1500, "up": 1, "rx_queues": 4, "rx_queues_max": 4, "lro": 0, "xdp_program": 0, "driver": driver, **facts}
        for fact, value in facts.items():
            self.write(f"probe/interface/{name}/{fact}", value)

    def doctor(self, config=None, check=None):
        """The examination of this host, for a configuration when there is one."""
        words = []
        if config is not None:
            self.write("weir.conf", config)
            words = ["-c", f"{self.root}/weir.conf"]
        done = run(WEIRCTL, "--json", "doctor", "--root", self.root, *words, check=False)
        return Findings(json.loads(done.stdout), done.returncode)


class Findings:
    def __init__(self, answer, code):
        assert "error" not in answer, answer
        self.all = [finding for subject in answer["subjects"] for finding in subject["findings"]]
        self.code, self.count = code, answer["problems"]
        assert self.count == len(self.problems) and (code == 0) == (self.count == 0), answer

    def of(self, grade):
        return [(finding["text"], finding.get("remedy")) for finding in self.all if finding["grade"] == grade]

    @property
    def problems(self):
        return self.of("problem")

    def has(self, grade, text, remedy=None):
        """Asserts that such a line was said; parts of it are enough."""
        assert any(text in said and (remedy is None or remedy in (cure or "")) for said, cure in self.of(grade)), self.all
