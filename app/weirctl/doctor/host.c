#include "weirctl/doctor/host.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "weirctl/doctor/probe.h"

static void __attribute__((format(printf, 4, 0)))
path_of(const struct host *host, char *out, size_t size, const char *format, va_list arguments)
{
	int len = snprintf(out, size, "%s", host->root);

	if (len >= 0 && (size_t)len < size)
		vsnprintf(out + len, size - (size_t)len, format, arguments);
}

#define PATH_FROM_ARGUMENTS(path)                                                                                      \
	do {                                                                                                           \
		va_list list;                                                                                          \
		va_start(list, format);                                                                                \
		path_of(host, path, sizeof(path), format, list);                                                       \
		va_end(list);                                                                                          \
	} while (0)

bool
host_read(const struct host *host, char *out, size_t size, const char *format, ...)
{
	char path[512];
	FILE *file;
	size_t len;

	PATH_FROM_ARGUMENTS(path);
	out[0] = 0;
	file = fopen(path, "re");
	if (!file)
		return false;
	len = fread(out, 1, size - 1, file);
	fclose(file);
	while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == ' ' || out[len - 1] == 0))
		len--;
	out[len] = 0;
	return true;
}

bool
host_number(const struct host *host, long long *value, const char *format, ...)
{
	char path[512], text[64], *end;

	PATH_FROM_ARGUMENTS(path);
	/* The root is in the path already. */
	if (!host_read(&(struct host){ "" }, text, sizeof(text), "%s", path))
		return false;
	*value = strtoll(text, &end, 0);
	return end != text;
}

bool
host_exists(const struct host *host, const char *format, ...)
{
	char path[512];

	PATH_FROM_ARGUMENTS(path);
	return access(path, F_OK) == 0;
}

bool
host_link(const struct host *host, char *out, size_t size, const char *format, ...)
{
	char path[512], target[512];
	const char *slash;
	ssize_t len;

	PATH_FROM_ARGUMENTS(path);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = 0;
	slash = strrchr(target, '/');
	snprintf(out, size, "%s", slash ? slash + 1 : target);
	return true;
}

static int
not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

void
host_list(const struct host *host, struct host_names *out, const char *format, ...)
{
	struct dirent **entries;
	char path[512];
	int count;

	PATH_FROM_ARGUMENTS(path);
	out->count = 0;
	count = scandir(path, &entries, not_hidden, versionsort);
	for (int i = 0; i < count; i++) {
		if (out->count < HOST_NAMES_MAX && strlen(entries[i]->d_name) < HOST_NAME_SIZE)
			strcpy(out->names[out->count++], entries[i]->d_name);
		free(entries[i]);
	}
	if (count >= 0)
		free(entries);
}

/* ---- probes ---- */

bool
host_probe_kernel(const struct host *host, const char *name, long long *value)
{
	return host->root[0] ? host_number(host, value, "/probe/kernel/%s", name) : probe_kernel(name, value);
}

bool
host_probe_interface(const struct host *host, const char *interface, const char *name, long long *value)
{
	return host->root[0] ? host_number(host, value, "/probe/interface/%s/%s", interface, name)
			     : probe_interface(interface, name, value);
}

bool
host_interface_driver(const struct host *host, const char *interface, char *out, size_t size)
{
	return host->root[0] ? host_read(host, out, size, "/probe/interface/%s/driver", interface)
			     : probe_interface_driver(interface, out, size);
}

void
host_interfaces(const struct host *host, struct host_names *out)
{
	if (host->root[0])
		host_list(host, out, "/probe/interface");
	else
		probe_interfaces(out);
}
