#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <dirent.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "xdp/internal.h"
#include "xdp/weir.skel.h"

#define BPF_FILE_SYSTEM "/sys/fs/bpf"
#define BPF_FILE_SYSTEM_MAGIC 0xcafe4a11
/* Of what is pinned: a Weir that has it otherwise does not take it over. */
#define LAYOUT 2
#define PATH_LEN 192

/* ---- whose ---- */

static uint64_t
namespace_cookie(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (fd < 0)
		return 0;
	getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len);
	close(fd);
	return cookie;
}

/* A name that is given back however the process ends, and is this network namespace's own. */
static int
lock_take(struct xdp_program *program)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;
	int len = snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "weir-xdp-pin");

	if (fd < 0)
		return -errno;
	rc = bind(fd, (struct sockaddr *)&address,
		  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len));
	if (rc < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	program->lock_fd = fd;
	return 0;
}

static void
directory_name(char out[64])
{
	snprintf(out, 64, BPF_FILE_SYSTEM "/weir-%lu", (unsigned long)namespace_cookie());
}

/* ---- files ---- */

static void
directory_remove(const char *path)
{
	DIR *directory = opendir(path);
	struct dirent *entry;
	char file[PATH_LEN + 256];

	if (!directory)
		return;
	while ((entry = readdir(directory))) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
		unlink(file);
	}
	closedir(directory);
	rmdir(path);
}

static void
map_path(const char *directory, const char *name, char out[PATH_LEN])
{
	snprintf(out, PATH_LEN, "%s/%d-%s", directory, LAYOUT, name);
	for (char *at = out + strlen(directory) + 1; *at; at++)
		if (*at == '.')
			*at = '_';
}

/* Constants are the program's, not the flows'. */
static bool
is_to_be_pinned(const struct bpf_map *map)
{
	return !strstr(bpf_map__name(map), "rodata");
}

/* The map in the file is as this program has it. */
static bool
map_fits(const struct bpf_map *map, const char *path)
{
	struct bpf_map_info information = { 0 };
	uint32_t len = sizeof(information);
	int fd = bpf_obj_get(path);
	bool fits;

	if (fd < 0)
		return false;
	fits = bpf_obj_get_info_by_fd(fd, &information, &len) == 0 && information.type == bpf_map__type(map) &&
	       information.key_size == bpf_map__key_size(map) && information.value_size == bpf_map__value_size(map) &&
	       information.max_entries == bpf_map__max_entries(map);
	close(fd);
	return fits;
}

static bool
all_fit(struct xdp_program *program)
{
	struct bpf_map *map;
	char path[PATH_LEN];

	bpf_object__for_each_map(map, program->skeleton->obj)
	{
		map_path(program->pin_directory, bpf_map__name(map), path);
		if (is_to_be_pinned(map) && !map_fits(map, path))
			return false;
	}
	return true;
}

/* The flows were placed by the same hash. */
static bool
settings_fit(const struct xdp_program *program, const struct xdp_forwarding *forwarding, uint64_t *start_ns)
{
	size_t size = bpf_map__value_size(program->skeleton->maps.bss);
	struct weir_bpf__bss *bss = calloc(1, size);
	uint32_t zero = 0;
	char path[PATH_LEN];
	bool fits = false;
	int fd;

	map_path(program->pin_directory, bpf_map__name(program->skeleton->maps.bss), path);
	fd = bpf_obj_get(path);
	if (bss && fd >= 0 && bpf_map_lookup_elem(fd, &zero, bss) == 0) {
		const struct xdp_settings *settings = (const struct xdp_settings *)&bss->settings;

		fits = settings->hash_seed == forwarding->hash_seed && settings->workers == forwarding->workers &&
		       settings->pair_count == forwarding->pairs;
		*start_ns = settings->start_ns;
	}
	if (fd >= 0)
		close(fd);
	free(bss);
	return fits;
}

static int
pin_paths_set(struct xdp_program *program)
{
	struct bpf_map *map;
	char path[PATH_LEN];
	int rc = 0;

	bpf_object__for_each_map(map, program->skeleton->obj)
	{
		map_path(program->pin_directory, bpf_map__name(map), path);
		if (is_to_be_pinned(map) && rc == 0)
			rc = bpf_map__set_pin_path(map, path);
	}
	return rc;
}

static bool
is_bpf_file_system(void)
{
	struct statfs information;

	return statfs(BPF_FILE_SYSTEM, &information) == 0 && (uint32_t)information.f_type == BPF_FILE_SYSTEM_MAGIC;
}

int
xdp_pin_open(struct xdp_program *program, struct xdp_forwarding *forwarding, char *error, size_t size)
{
	uint64_t start_ns = 0;
	int rc = lock_take(program);

	if (rc < 0) {
		snprintf(error, size, "xdp_pin: another Weir of this network namespace pins its flows (%s)",
			 strerror(-rc));
		return rc;
	}
	if (!is_bpf_file_system()) {
		snprintf(error, size,
			 "xdp_pin: " BPF_FILE_SYSTEM " is no BPF file system: mount -t bpf bpf " BPF_FILE_SYSTEM);
		return -ENODEV;
	}
	directory_name(program->pin_directory);
	if (access(program->pin_directory, F_OK) == 0) {
		forwarding->found = all_fit(program) && settings_fit(program, forwarding, &start_ns);
		if (forwarding->found)
			forwarding->start_ns = start_ns;
		else
			directory_remove(program->pin_directory);
	}
	if (!forwarding->found && mkdir(program->pin_directory, 0700) < 0) {
		rc = -errno;
		snprintf(error, size, "xdp_pin: mkdir() \"%s\" failed (%d: %s)", program->pin_directory, -rc,
			 strerror(-rc));
		return rc;
	}
	return pin_paths_set(program);
}

void
xdp_pin_clear(struct xdp_program *program)
{
	char path[64];

	directory_name(path);
	if (access(path, F_OK) < 0 || lock_take(program) < 0)
		return;
	directory_remove(path);
}

void
xdp_program_unpin(struct xdp_program *program)
{
	if (program->pin_directory[0])
		directory_remove(program->pin_directory);
}

/* ---- links ---- */

static void
link_path(const struct xdp_program *program, int ifindex, enum xdp_mode mode, char out[PATH_LEN])
{
	snprintf(out, PATH_LEN, "%s/link-%d-%s", program->pin_directory, ifindex,
		 mode == XDP_MODE_NATIVE ? "native" : "generic");
}

/* An interface may have gone since, and another have its number. */
static bool
is_link_of(int fd, int ifindex)
{
	struct bpf_link_info information = { 0 };
	uint32_t len = sizeof(information);

	return bpf_obj_get_info_by_fd(fd, &information, &len) == 0 && information.xdp.ifindex == (uint32_t)ifindex;
}

int
xdp_pin_link_take(struct xdp_program *program, int ifindex, enum xdp_mode wanted, enum xdp_mode *used)
{
	static const enum xdp_mode modes[] = { XDP_MODE_NATIVE, XDP_MODE_GENERIC };
	char path[PATH_LEN];

	for (int i = 0; program->pin_directory[0] && i < 2; i++) {
		int fd;

		link_path(program, ifindex, modes[i], path);
		fd = bpf_obj_get(path);
		if (fd < 0)
			continue;
		if ((wanted == XDP_MODE_AUTO || wanted == modes[i]) && is_link_of(fd, ifindex) &&
		    bpf_link_update(fd, xdp_program_fd(program), NULL) == 0) {
			*used = modes[i];
			return fd;
		}
		unlink(path);
		close(fd);
	}
	return -ENOENT;
}

void
xdp_pin_link(struct xdp_program *program, int ifindex, int fd, enum xdp_mode mode)
{
	char path[PATH_LEN];

	if (!program->pin_directory[0])
		return;
	link_path(program, ifindex, mode, path);
	unlink(path);
	bpf_obj_pin(fd, path);
}

void
xdp_pin_link_remove(struct xdp_program *program, int ifindex)
{
	char path[PATH_LEN];

	if (!program->pin_directory[0])
		return;
	link_path(program, ifindex, XDP_MODE_NATIVE, path);
	unlink(path);
	link_path(program, ifindex, XDP_MODE_GENERIC, path);
	unlink(path);
}
