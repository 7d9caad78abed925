#include "port/loopback.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/ethtool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "port/device.h"
#include "port/driver.h"

#define STATE_DIRECTORY "/run/weir"
#define SYSCTL "/proc/sys/net/ipv4/conf/lo/"

/* Since Linux 5.14; glibc's headers may be older. */
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

enum { SEGMENTATION_TCP, SEGMENTATION_GENERIC, ROUTE_LOCALNET, ACCEPT_LOCAL, SETTINGS };

static_assert(SETTINGS == PORT_LOOPBACK_SETTINGS, "one original per setting");

static const struct setting {
	const char *name;
	uint32_t get_command, set_command; /* ethtool's, else `sysctl` */
	const char *sysctl;
	int wanted;
	bool segmentation;
} settings[SETTINGS] = {
	[SEGMENTATION_TCP] = { "tso", ETHTOOL_GTSO, ETHTOOL_STSO, NULL, 0, true },
	[SEGMENTATION_GENERIC] = { "gso", ETHTOOL_GGSO, ETHTOOL_SGSO, NULL, 0, true },
	[ROUTE_LOCALNET] = { "net.ipv4.conf.lo.route_localnet", 0, 0, SYSCTL "route_localnet", 1 },
	[ACCEPT_LOCAL] = { "net.ipv4.conf.lo.accept_local", 0, 0, SYSCTL "accept_local", 1 },
};

/* A short text file as a zero-terminated string. Length or -errno. */
static int
read_text(const char *path, char *out, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = read(fd, out, size - 1);
	close(fd);
	if (len < 0)
		return -EIO;
	out[len] = '\0';
	return (int)len;
}

static int
write_text(const char *path, const char *text, int flags)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CLOEXEC | flags, 0644);
	int rc;

	if (fd < 0)
		return -errno;
	rc = write(fd, text, len) == (ssize_t)len ? 0 : -EIO;
	return close(fd) < 0 ? -errno : rc;
}

static int
setting_read(const struct setting *s)
{
	char text[16];
	int rc, value;

	if (!s->sysctl)
		return port_device_setting_read("lo", s->get_command);
	rc = read_text(s->sysctl, text, sizeof(text));
	if (rc < 0)
		return rc;
	return sscanf(text, "%d", &value) == 1 ? value : -EIO;
}

static int
setting_write(const struct setting *s, int value)
{
	char text[16];

	if (!s->sysctl)
		return port_device_setting_write("lo", s->set_command, (uint32_t)value);
	snprintf(text, sizeof(text), "%d\n", value);
	return write_text(s->sysctl, text, 0);
}

/* A cookie is never used twice between two boots, unlike the inode of a namespace. */
static int
state_path(char *out, size_t size)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc;

	if (fd < 0)
		return -errno;
	rc = getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0 ? -errno : 0;
	close(fd);
	snprintf(out, size, STATE_DIRECTORY "/lo-%" PRIx64, cookie);
	return rc;
}

static int
boot_id(char out[40])
{
	int len = read_text("/proc/sys/kernel/random/boot_id", out, 40);

	if (len < 0)
		return len;
	out[strcspn(out, "\n")] = '\0';
	return 0;
}

/* What a Weir that was killed has left; -ENOENT when there is nothing, or of another boot. */
static int
state_load(int values[SETTINGS])
{
	char path[64], text[128], boot[40], saved_boot[40];
	int rc = state_path(path, sizeof(path));

	if (rc == 0)
		rc = boot_id(boot);
	if (rc == 0)
		rc = read_text(path, text, sizeof(text));
	if (rc < 0)
		return rc;
	if (sscanf(text, "%39s %d %d %d %d", saved_boot, &values[0], &values[1], &values[2], &values[3]) !=
	    1 + SETTINGS)
		return -ENOENT;
	return strcmp(boot, saved_boot) == 0 ? 0 : -ENOENT;
}

/* Under another name first, so that a crash in the middle leaves no half of it. */
static int
state_save(const int values[SETTINGS])
{
	char path[64], temporary[72], text[128], boot[40];
	int rc = state_path(path, sizeof(path));

	if (rc == 0)
		rc = boot_id(boot);
	if (rc < 0)
		return rc;
	if (mkdir(STATE_DIRECTORY, 0755) < 0 && errno != EEXIST)
		return -errno;
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	snprintf(text, sizeof(text), "%s %d %d %d %d\n", boot, values[0], values[1], values[2], values[3]);
	rc = write_text(temporary, text, O_CREAT | O_TRUNC);
	if (rc == 0 && rename(temporary, path) < 0)
		rc = -errno;
	return rc;
}

static int
read_originals(int values[SETTINGS], char *error, size_t size)
{
	int rc;

	if (state_load(values) == 0) {
		log_error(LOG_NOTICE, "interface lo: the settings before an earlier Weir, which did not restore them, "
				      "are known");
		return 0;
	}
	for (int i = 0; i < SETTINGS; i++) {
		values[i] = setting_read(&settings[i]);
		if (values[i] < 0)
			return port_fail(error, size, values[i], "interface lo: cannot read %s: %s", settings[i].name,
					 strerror(-values[i]));
	}
	rc = state_save(values);
	if (rc < 0)
		log_error(LOG_WARN,
			  "interface lo: its settings cannot be kept in " STATE_DIRECTORY
			  " (%s); if Weir is killed, they stay changed",
			  strerror(-rc));
	return 0;
}

void
port_loopback_restore(const struct port_loopback *loopback)
{
	char path[64];

	for (int i = 0; i < SETTINGS; i++) {
		int original = loopback->originals[i];

		if (setting_read(&settings[i]) == original)
			continue;
		if (setting_write(&settings[i], original) < 0)
			log_error(LOG_WARN, "interface lo: %s cannot be set back to %d", settings[i].name, original);
		else
			log_error(LOG_NOTICE, "interface lo: %s set back to %d", settings[i].name, original);
	}
	if (state_path(path, sizeof(path)) == 0) {
		unlink(path);
		rmdir(STATE_DIRECTORY); /* when it was the last */
	}
}

int
port_loopback_prepare(struct port_loopback *loopback, bool long_packets, char *error, size_t size)
{
	int rc = read_originals(loopback->originals, error, size);

	if (rc < 0)
		return rc;
	for (int i = 0; i < SETTINGS; i++) {
		const struct setting *s = &settings[i];

		if (setting_read(s) == s->wanted || (long_packets && s->segmentation))
			continue;
		rc = setting_write(s, s->wanted);
		if (rc < 0) {
			port_loopback_restore(loopback);
			return port_fail(error, size, rc, "interface lo: cannot set %s to %d: %s", s->name, s->wanted,
					 strerror(-rc));
		}
		log_error(LOG_NOTICE, "interface lo: %s set from %d to %d until Weir stops", s->name,
			  loopback->originals[i], s->wanted);
	}
	return 0;
}
