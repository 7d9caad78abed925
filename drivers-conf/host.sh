# shellcheck shell=bash
# What bind, unbind and hugepages share. To be sourced. Facts come from /sys and iproute2, and go back there: no daemon, no
# Python, no tool of DPDK's. HOST_SYS names another /sys, for tests.

SYS=${HOST_SYS:-/sys}
# shellcheck disable=SC2034
# What a device was before it was given away, until the next boot, which gives every device back by itself.
STATES=${HOST_STATES:-/run/weir/bind}

say() {
	printf '%s\n' "$*"
}

fail() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

# doing COMMAND...: runs it; with --dry-run shows it instead.
doing() {
	if [ -n "${DRY_RUN-}" ]; then
		say "    $*"
	else
		"$@"
	fi
}

# Puts a word into a file of /sys.
put() {
	echo "$1" >"$2"
}

# device_of NAME: the PCI address, in full, of an interface or of an address as people write it ("01:00.0").
device_of() {
	local path
	if [[ $1 =~ ^([0-9a-fA-F]{4,}:)?[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]$ ]]; then
		[ -n "${BASH_REMATCH[1]}" ] && echo "${1,,}" || echo "0000:${1,,}"
		return
	fi
	[ -e "$SYS/class/net/$1" ] || fail "$1: no such interface, and no PCI address (0000:01:00.0)"
	[ -e "$SYS/class/net/$1/device" ] ||
		fail "$1 has no hardware behind it: it stays with the kernel, and XDP serves it (interface $1 { })"
	path=$(readlink -f "$SYS/class/net/$1/device")
	# A virtio interface hangs on a virtio device, which hangs on the PCI device.
	while [ ! -e "$path/driver_override" ] && [ "$path" != / ]; do
		path=$(dirname "$path")
	done
	[ "$path" != / ] || fail "$1 is not on the PCI bus: it stays with the kernel, and XDP serves it (interface $1 { })"
	basename "$path"
}

# interfaces_of ADDRESS: the kernel's interfaces on a device, as ports of one device share it.
interfaces_of() {
	local path
	for path in "$SYS/bus/pci/devices/$1"/net/* "$SYS/bus/pci/devices/$1"/virtio*/net/*; do
		[ ! -e "$path" ] || basename "$path"
	done
}

# driver_of ADDRESS: nothing when no driver has it.
driver_of() {
	[ ! -e "$SYS/bus/pci/devices/$1/driver" ] || basename "$(readlink -f "$SYS/bus/pci/devices/$1/driver")"
}

# Whether a driver only holds a device for a process to drive.
gives_away() {
	case $1 in
	vfio-pci | uio_pci_generic | igb_uio) return 0 ;;
	*) return 1 ;;
	esac
}

# give ADDRESS DRIVER: from the driver that has it to this one; "" leaves the choice to the kernel.
give() {
	local path=$SYS/bus/pci/devices/$1
	[ ! -e "$path/driver" ] || doing put "$1" "$path/driver/unbind"
	doing put "${2:-}" "$path/driver_override"
	doing put "$1" "$SYS/bus/pci/drivers_probe" || true
}
