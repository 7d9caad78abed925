"""`weirctl doctor` on hosts of many kinds: what it says, what it advises, and that the exit code tells whether Weir can start."""

import pytest
from weirtest import Namespace, run

from fixture import WEIRCTL, Host

XDP = "interface eth0 { }\nevents { }\nhttp { server { listen 10.0.1.1:80; return 200 x; } }\n"
PCI = "interface 0000:01:00.0 { }\nevents { }\nhttp { server { listen 10.0.1.1:80; return 200 x; } }\n"
NAT = ("interface eth0 { }\nevents { }\nstream { flows 1m; upstream w { server 10.0.2.1:80; } "
       "server { listen 10.0.1.1:80; proxy_pass w; forward nat; } }\n")


@pytest.fixture
def host(tmp_path):
    made = Host(tmp_path)
    made.interface("eth0", "virtio_net")
    return made


def test_a_good_host_has_no_problem(host):
    assert host.doctor().code == 0
    assert host.doctor(XDP).of("advice") == []


# ---- kernel ----

def test_a_kernel_that_is_too_old(tmp_path):
    host = Host(tmp_path, kernel="5.4.0-200-generic")
    host.interface("eth0", "i40e")
    host.doctor(XDP).has("problem", "Linux 5.4.0-200-generic", "newer kernel")


@pytest.mark.parametrize("probe, text", [("xdp", "XDP programs"), ("af_xdp", "AF_XDP sockets"), ("bpf_link", "links"),
                                         ("mmapable", "shared memory")])
def test_a_kernel_without_a_feature(host, probe, text):
    host.write(f"probe/kernel/{probe}", 0)
    host.doctor(XDP).has("problem", text)


def test_what_xdp_lacks_is_no_problem_under_dpdk(host):
    host.write("probe/kernel/af_xdp", 0)
    host.nic("0000:01:00.0", 0x8086, 0x1572, "vfio-pci")
    assert host.doctor(PCI).code == 0


def test_too_few_rights_are_told_once(host):
    host.write("probe/kernel/privileged", 0)
    host.write("probe/kernel/xdp", 0)
    assert len(host.doctor(XDP).problems) == 1


def test_locked_memory_counts_before_5_11(tmp_path):
    host = Host(tmp_path, kernel="5.10.0-28-amd64")
    host.interface("eth0", "i40e")
    host.doctor(XDP).has("problem", "64 KB of memory may be locked", "ulimit -l unlimited")


# ---- memory ----

def test_no_hugepages(host):
    host.hugepages(node0=(0, 0))
    host.doctor().has("advice", "no huge pages", "drivers-conf/hugepages")


def test_flows_that_do_not_fit_into_memory(host):
    host.write("proc/meminfo", "MemAvailable:   500000 kB")
    host.hugepages(node0=(0, 0))
    host.doctor(NAT.replace("1m", "100m")).has("problem", "5701 MB for flows; there are 488 MB")
    host.doctor(NAT).has("advice", "58 MB for flows, and 0 MB of huge pages are free")


# ---- devices ----

def test_each_nic_with_the_driver_that_would_take_it(host):
    host.nic("0000:01:00.0", 0x8086, 0x1572, "i40e", "eth1")
    host.nic("0000:02:00.0", 0x8086, 0x1592, "ice", "eth2")
    host.nic("0000:03:00.0", 0x15b3, 0x1017, "mlx5_core", "eth3")
    host.nic("0000:00:06.0", 0x1d0f, 0xec20, "ena", "eth4")
    host.nic("0000:0b:00.0", 0x15ad, 0x07b0, "vfio-pci")
    host.nic("0000:0c:00.0", 0x1234, 0x0001, "strange", "eth5")
    said = host.doctor()
    said.has("ok", "0000:01:00.0 (8086:1572, eth1): the kernel's i40e has it; DPDK's net_i40e would take it")
    said.has("ok", "0000:02:00.0 (8086:1592, eth2): the kernel's ice has it; DPDK's net_ice would take it")
    said.has("ok", "0000:03:00.0 (15b3:1017, eth3): the kernel's mlx5_core has it, and shares it with DPDK's mlx5_eth")
    said.has("ok", "0000:00:06.0 (1d0f:ec20, eth4): the kernel's ena has it; DPDK's net_ena would take it")
    said.has("ok", "0000:0b:00.0 (15ad:07b0): under vfio-pci, for DPDK's net_vmxnet3")
    said.has("ok", "0000:0c:00.0 (1234:0001, eth5): the kernel's strange has it, and no driver of DPDK knows it")


def test_a_configured_nic_that_the_kernel_still_has(host):
    host.nic("0000:01:00.0", 0x8086, 0x1572, "i40e", "eth1")
    host.doctor(PCI).has("problem", "and i40e has it", "drivers-conf/bind 0000:01:00.0")


def test_a_configured_mlx5_needs_no_binding(host):
    host.nic("0000:01:00.0", 0x15b3, 0x1017, "mlx5_core", "eth1")
    assert host.doctor(PCI).code == 0


def test_a_configured_nic_that_no_driver_of_dpdk_knows(host):
    host.nic("0000:01:00.0", 0x1234, 0x0001, "vfio-pci")
    host.doctor(PCI).has("problem", "no driver of the installed DPDK knows this device")


def test_a_configured_nic_that_is_not_there(host):
    host.doctor(PCI).has("problem", "interface 0000:01:00.0: there is no such PCI device")


def test_without_an_iommu(host):
    run("rm", "-r", f"{host.root}/sys/kernel/iommu_groups")
    host.hugepages(node0=(0, 0))
    host.nic("0000:01:00.0", 0x1d0f, 0xec20, "uio_pci_generic")
    said = host.doctor(PCI)
    said.has("advice", "no IOMMU", "intel_iommu=on")
    said.has("problem", "under uio_pci_generic DPDK needs huge pages")


def test_a_nic_on_a_node_without_hugepages(host):
    host.hugepages(node0=(512, 512), node1=(0, 0))
    host.write("sys/devices/system/node/node0/distance", "10 21")
    host.write("sys/devices/system/node/node1/cpulist", "4-7")
    host.nic("0000:81:00.0", 0x8086, 0x1592, "vfio-pci", node=1)
    said = host.doctor()
    said.has("advice", "0000:81:00.0 is on NUMA node 1, which has no huge pages", "--node 1")
    said.has("ok", "2 NUMA nodes; distances from node 0: 10 21")
    said.has("ok", "its workers belong on CPUs 4-7")


# ---- CPUs ----

def test_cpus_that_are_not_left_alone(host):
    host.write("sys/devices/system/cpu/isolated", "")
    host.write("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave")
    host.write("sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "performance")
    host.write("proc/77/comm", "irqbalance")
    said = host.doctor()
    said.has("advice", "no CPU is isolated", "isolcpus")
    said.has("advice", "1 of 2 CPUs follow the load (governor powersave)", "scaling_governor")
    said.has("advice", "irqbalance runs", "IRQBALANCE_BANNED_CPULIST")


def test_more_workers_than_cpus(host):
    host.doctor("worker_processes 16;\n" + XDP).has("advice", "16 workers on 8 CPUs")


# ---- interfaces ----

@pytest.mark.parametrize("driver, kernel, grade, text", [
    ("ice", "6.1.0", "ok", "driver ice runs XDP natively, and knows zero copy"),
    ("ena", "6.1.0", "ok", "driver ena runs XDP natively"),
    ("vmxnet3", "6.1.0", "advice", "natively from Linux 6.6 on"),
    ("e1000e", "6.1.0", "advice", "driver e1000e is not known to run XDP natively"),
])
def test_what_a_driver_does_under_xdp(tmp_path, driver, kernel, grade, text):
    host = Host(tmp_path, kernel=kernel)
    host.interface("eth0", driver)
    host.doctor(XDP).has(grade, text)


@pytest.mark.parametrize("facts, grade, text, remedy", [
    ({"lro": 1}, "problem", "large receive offload is on", "ethtool -K eth0 lro off"),
    ({"mtu": 9000}, "problem", "mtu 9000", "ip link set dev eth0 mtu 1500"),
    ({"xdp_program": 17}, "problem", "XDP program 17 is attached", "ip link set dev eth0 xdp off"),
    ({"up": 0}, "advice", "eth0 is down", "ip link set dev eth0 up"),
    ({"rx_queues": 1}, "advice", "1 receive queue for 2 workers", "ethtool -L eth0 combined 2"),
    ({"rx_ring": 256, "rx_ring_max": 4096, "tx_ring": 256, "tx_ring_max": 4096}, "advice", "rings of 256 and 256",
     "ethtool -G eth0 rx 4096 tx 4096"),
])
def test_how_an_interface_is_set(host, facts, grade, text, remedy):
    host.interface("eth0", "virtio_net", **facts)
    host.doctor("worker_processes 2;\n" + XDP).has(grade, text, remedy)


def test_an_interface_that_is_not_there(host):
    host.doctor(XDP.replace("eth0", "eth9")).has("problem", "interface eth9: there is none")


# ---- settings and ports ----

def test_settings(host):
    host.write("proc/sys/net/ipv4/ip_local_port_range", "1024 65535")
    host.write("proc/sys/net/ipv4/ip_forward", 0)
    host.write("proc/sys/net/ipv4/conf/all/rp_filter", 0)
    host.write("proc/sys/net/ipv4/conf/eth0/rp_filter", 1)
    host.write("proc/sys/net/netfilter/nf_conntrack_count", 9000)
    host.write("proc/sys/net/netfilter/nf_conntrack_max", 10000)
    said = host.doctor(NAT)
    said.has("advice", "Linux has local ports 1024 to 65535 for itself")
    said.has("advice", "strict reverse-path filter", "sysctl -w net.ipv4.conf.eth0.rp_filter=2")
    said.has("advice", "the kernel forwards nothing")
    said.has("advice", "9000 of 10000 entries")


def test_ports_that_others_listen_on(host):
    host.write("proc/net/tcp", "  sl  local_address rem_address   st\n"
               "   0: 0101000A:0050 00000000:0000 0A 0\n   1: 0101000A:0051 00000000:0000 0A 0")
    said = host.doctor(XDP)
    said.has("advice", "another process listens on 10.0.1.1:80", "ss -lptn sport = :80")
    assert len(said.of("advice")) == 1
    host.doctor(NAT).has("advice", "another process listens on 10.0.1.1:80")


# ---- the command ----

def test_this_machine():
    """By system calls, in a namespace of its own."""
    namespace = Namespace("doctor")
    try:
        namespace.ip("link", "add", "name", "one", "type", "veth", "peer", "name", "two")
        said = namespace.run(WEIRCTL, "doctor", check=False).stdout
    finally:
        namespace.delete()
    assert "XDP programs, AF_XDP sockets, links and shared maps" in said, said
    assert "one: driver veth runs XDP natively" in said, said
    assert said.endswith("nothing prevents a start\n"), said


def test_mistakes_are_told(tmp_path):
    for words, text in ((["-c"], "-c needs a value"), (["-x"], "usage: doctor"), (["--x"], "unknown option"), (["-c", "/none"], "No such file"),
                        (["x"], "usage: doctor")):
        done = run(WEIRCTL, "doctor", *words, check=False)
        assert done.returncode == 1 and text in done.stdout, done.stdout
    (tmp_path / "bad.conf").write_text("events { }\nnonsense;\n")
    done = run(WEIRCTL, "doctor", "-c", tmp_path / "bad.conf", check=False)
    assert done.returncode == 1 and "unknown directive \"nonsense\"" in done.stdout and "bad.conf:2" in done.stdout
