/* Reading configuration files. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/internal.h"

struct config_file *
config_file_add(struct config *config, const char *path, struct bytes text)
{
	struct config_file *file;

	/* A file included in many places is read each time, as it may have changed, but dumped once. */
	for (file = config->files; file; file = file->next)
		if (strcmp(file->path, path) == 0) {
			file->text = text;
			return file;
		}
	file = arena_alloc(config->arena, sizeof(*file));
	file->path = path;
	file->text = text;
	*config->files_end = file;
	config->files_end = &file->next;
	return file;
}

static int
fail_call(struct config *config, const char *call, const char *path, const char *file, unsigned int line)
{
	return config_fail_at(config, file, line, "%s() \"%s\" failed (%d: %s)", call, path, errno, strerror(errno));
}

/* Bytes to ask for first: the size of a regular file, and one more to see its end. Pipes and devices say 0. */
static size_t
size_expected(int fd)
{
	struct stat about;

	if (fstat(fd, &about) < 0 || !S_ISREG(about.st_mode) || about.st_size <= 0)
		return 4096;
	return about.st_size > CONFIG_FILE_MAX ? CONFIG_FILE_MAX + 1 : (size_t)about.st_size + 1;
}

/* All of it into a malloc'd buffer; -errno of the read that failed, -EFBIG when there is no end to it. */
static ssize_t
read_all(int fd, uint8_t **out)
{
	size_t size = size_expected(fd), len = 0;
	uint8_t *data = malloc(size);

	while (data) {
		ssize_t got = read(fd, data + len, size - len);
		uint8_t *larger;

		if (got < 0 && errno == EINTR)
			continue;
		if (got == 0 && len < CONFIG_FILE_MAX + 1) {
			*out = data;
			return (ssize_t)len;
		}
		if (got <= 0 || len + (size_t)got > CONFIG_FILE_MAX) {
			int error = got < 0 ? errno : EFBIG;

			free(data);
			return -error;
		}
		len += (size_t)got;
		if (len < size)
			continue;
		size *= 2;
		larger = realloc(data, size);
		if (!larger)
			free(data);
		data = larger;
	}
	return -ENOMEM;
}

int
config_file_read(struct config *config, const char *path, const char *file, unsigned int line, struct config_file **out)
{
	uint8_t *data = NULL;
	ssize_t len;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return fail_call(config, "open", path, file, line);
	len = read_all(fd, &data);
	close(fd);
	if (len == -EFBIG)
		return config_fail_at(config, file, line, "\"%s\" is too large, the limit is %u MB", path,
				      CONFIG_FILE_MAX >> 20);
	if (len < 0) {
		errno = (int)-len;
		/* nginx's word for its read of a directory, and so on. */
		return fail_call(config, "pread", path, file, line);
	}
	path = (const char *)arena_copy(config->arena, bytes_of_string(path)).data;
	*out = config_file_add(config, path, arena_copy(config->arena, bytes_of(data, (size_t)len)));
	free(data);
	return 0;
}

static int
expand_pattern(struct config_directive_call *call, const char *pattern, const char ***paths, size_t *count)
{
	struct arena *arena = call->config->arena;
	glob_t found = { 0 };
	int error = glob(pattern, 0, NULL, &found);

	if (error && error != GLOB_NOMATCH) {
		globfree(&found);
		return config_fail(call, "glob() \"%s\" failed", pattern);
	}
	*count = error ? 0 : found.gl_pathc;
	*paths = arena_alloc(arena, (*count + 1) * sizeof(**paths));
	for (size_t i = 0; i < *count; i++)
		(*paths)[i] = (const char *)arena_copy(arena, bytes_of_string(found.gl_pathv[i])).data;
	globfree(&found);
	return 0;
}

int
config_file_expand(struct config_directive_call *call, const char ***paths, size_t *count)
{
	struct arena *arena = call->config->arena;
	const char *path = (const char *)call->words[1].data;

	if (*path != '/')
		path = arena_printf(arena, "%s%s", call->config->include_directory, path);
	/* Without these characters a file that is missing is an error; a pattern may match nothing. */
	if (strpbrk(path, "*?["))
		return expand_pattern(call, path, paths, count);
	*paths = arena_alloc(arena, sizeof(**paths));
	(*paths)[0] = path;
	*count = 1;
	return 0;
}
