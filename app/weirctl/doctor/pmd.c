#include "weirctl/doctor/pmd.h"

#include <fcntl.h>
#include <glob.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char mark[] = "PMD_INFO_STRING= ";
/* The id that stands for any. */
#define ANY_ID 0xffff

struct pmd_list {
	json_t *drivers;
};

static void
add_from(struct pmd_list *list, const char *bytes, size_t size)
{
	const char *end = bytes + size, *at = bytes;

	while ((at = memmem(at, (size_t)(end - at), mark, sizeof(mark) - 1))) {
		size_t len;
		json_t *driver;

		at += sizeof(mark) - 1;
		len = strnlen(at, (size_t)(end - at));
		driver = json_loadb(at, len, 0, NULL);
		if (driver)
			json_array_append_new(list->drivers, driver);
		at += len;
	}
}

static void
add_file(struct pmd_list *list, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;
	void *bytes;

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && status.st_size > 0) {
		bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
		if (bytes != MAP_FAILED) {
			add_from(list, bytes, (size_t)status.st_size);
			munmap(bytes, (size_t)status.st_size);
		}
	}
	close(fd);
}

struct pmd_list *
pmd_list_new(const char *root)
{
	/* mlx5's table is in what its drivers share. */
	static const char *const patterns[] = { "librte_net_*.so", "librte_common_mlx*.so" };
	struct pmd_list *list = calloc(1, sizeof(*list));
	glob_t files = { 0 };

	if (!list)
		return NULL;
	list->drivers = json_array();
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		char pattern[512];

		snprintf(pattern, sizeof(pattern), "%s/usr/lib/*/dpdk/pmds-*/%s", root, patterns[i]);
		glob(pattern, i ? GLOB_APPEND : 0, NULL, &files);
	}
	for (size_t i = 0; i < files.gl_pathc; i++)
		add_file(list, files.gl_pathv[i]);
	globfree(&files);
	return list;
}

void
pmd_list_free(struct pmd_list *list)
{
	if (!list)
		return;
	json_decref(list->drivers);
	free(list);
}

static long long
id(const json_t *ids, size_t index)
{
	return json_integer_value(json_array_get(ids, index));
}

void
pmd_find(const struct pmd_list *list, long long vendor, long long device, char *out, size_t size)
{
	json_t *driver, *ids;
	size_t i, j;

	out[0] = 0;
	if (!list)
		return;
	json_array_foreach(list->drivers, i, driver)
		json_array_foreach(json_object_get(driver, "pci_ids"), j,
				   ids) if (id(ids, 0) == vendor && (id(ids, 1) == device || id(ids, 1) == ANY_ID))
	{
		const char *name = json_string_value(json_object_get(driver, "name"));

		snprintf(out, size, "%s", name ? name : "");
		return;
	}
}
