#include "port/dpdk_device.h"

#include <errno.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "port/driver.h"

/* ---- virtual devices ---- */

static int
vdev_attach(const char *name, uint16_t *id, char *error, size_t size)
{
	const char *definition = name + strlen("vdev:"), *comma = strchr(definition, ',');
	char device[RTE_DEV_NAME_MAX_LEN];
	int rc;

	if (snprintf(device, sizeof(device), "%.*s", (int)strcspn(definition, ","), definition) >= (int)sizeof(device))
		return port_fail(error, size, -ENAMETOOLONG, "interface %s: the device's name is too long", name);
	if (rte_eth_dev_get_port_by_name(device, id) == 0)
		return port_fail(error, size, -EEXIST, "interface %s: there is a device %s already", name, device);
	rc = rte_eal_hotplug_add("vdev", device, comma ? comma + 1 : "");
	/* EAL's way to say that no driver takes the name. */
	if (rc == -EFAULT)
		return port_fail(
			error, size, -ENODEV,
			"interface %s: no driver of DPDK takes this name: it begins with the driver's, as net_tap0 "
			"does, and drivers are in the package librte-meta-net",
			name);
	/* Drivers mostly give -1, whatever it was. */
	if (rc < 0)
		return port_fail(
			error, size, rc,
			"interface %s: DPDK cannot make this device: are its arguments right? The driver's own message "
			"is on standard error",
			name);
	rc = rte_eth_dev_get_port_by_name(device, id);
	if (rc < 0) {
		rte_eal_hotplug_remove("vdev", device);
		return port_fail(error, size, rc, "interface %s: it is not an Ethernet device", name);
	}
	return 0;
}

/* ---- PCI devices ---- */

/* The kernel driver that has the device; false when it has none. */
static bool
kernel_driver(const char *address, char *driver, size_t size)
{
	char path[128], target[128];
	const char *slash;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver", address);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	slash = strrchr(target, '/');
	snprintf(driver, size, "%s", slash ? slash + 1 : target);
	return true;
}

/* mlx drivers keep the device and let DPDK share it. */
static bool
gives_to_dpdk(const char *driver)
{
	static const char *const drivers[] = { "vfio-pci",  "uio_pci_generic", "igb_uio",
					       "mlx4_core", "mlx5_core",       "mana" };

	for (size_t i = 0; i < RTE_DIM(drivers); i++)
		if (strcmp(driver, drivers[i]) == 0)
			return true;
	return false;
}

static int
pci_fail(const char *address, int code, char *error, size_t size)
{
	char path[128], driver[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s", address);
	if (access(path, F_OK) < 0)
		return port_fail(
			error, size, -ENODEV,
			"interface %s: there is no such PCI device (`dpdk-devbind.py --status-dev net` lists them)",
			address);
	if (!kernel_driver(address, driver, sizeof(driver)))
		return port_fail(
			error, size, -ENODEV,
			"interface %s: no driver has this device; give it to DPDK: dpdk-devbind.py -b vfio-pci %s",
			address, address);
	if (!gives_to_dpdk(driver))
		return port_fail(
			error, size, -EBUSY,
			"interface %s: the kernel's driver %s has this device; give it to DPDK: take its interface "
			"down, then dpdk-devbind.py -b vfio-pci %s",
			address, driver, address);
	if (!rte_eal_has_pci())
		return port_fail(error, size, -ENODEV, "interface %s: EAL was started with --no-pci", address);
	return port_fail(error, size, code,
			 "interface %s: DPDK cannot take this device from %s: %s (no DPDK driver for it, no access to "
			 "/dev/vfio, no IOMMU, or no hugepages: see EAL's messages)",
			 address, driver, rte_strerror(-code));
}

static int
pci_attach(const char *name, uint16_t *id, char *error, size_t size)
{
	char address[RTE_DEV_NAME_MAX_LEN];
	int rc;

	/* "01:00.0" is in the first domain. */
	snprintf(address, sizeof(address), "%s%s", strlen(name) < strlen("0000:00:00.0") ? "0000:" : "", name);
	if (rte_eth_dev_get_port_by_name(address, id) == 0)
		return 0;
	rc = rte_eal_has_pci() ? rte_eal_hotplug_add("pci", address, "") : -ENODEV;
	if (rc == 0)
		rc = rte_eth_dev_get_port_by_name(address, id);
	return rc < 0 ? pci_fail(address, rc, error, size) : 0;
}

int
dpdk_device_attach(const char *name, uint16_t *id, char *error, size_t size)
{
	if (strncmp(name, "vdev:", 5) == 0)
		return vdev_attach(name, id, error, size);
	if (port_name_is_dpdk(name))
		return pci_attach(name, id, error, size);
	return port_fail(error, size, -EINVAL,
			 "interface %s: not a name for DPDK: write a PCI address (0000:01:00.0) or vdev:NAME,ARGUMENTS",
			 name);
}

void
dpdk_device_detach(uint16_t id)
{
	struct rte_eth_dev_info info;
	bool known = rte_eth_dev_info_get(id, &info) == 0;

	rte_eth_dev_close(id);
	if (known && info.device)
		rte_dev_remove(info.device);
}
