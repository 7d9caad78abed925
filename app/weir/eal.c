#include "weir/eal.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "weir/topology.h"

#define ARGUMENTS_MAX 64

/* Of 2 MB; 0 where there are none or no place where they are mounted. */
static unsigned long
free_hugepages_megabytes(void)
{
	FILE *file = fopen("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "re");
	unsigned long pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%lu", &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * 2;
}

struct arguments {
	char *words[ARGUMENTS_MAX];
	int count;
	char text[1024];
	size_t used;
};

static void __attribute__((format(printf, 2, 3))) add(struct arguments *a, const char *format, ...)
{
	va_list list;
	int len;

	if (a->count >= ARGUMENTS_MAX - 1 || a->used >= sizeof(a->text))
		return;
	va_start(list, format);
	len = vsnprintf(a->text + a->used, sizeof(a->text) - a->used, format, list);
	va_end(list);
	a->words[a->count++] = a->text + a->used;
	a->used += (size_t)len + 1;
}

/* The CPUs that the process was given (taskset, a container's set), as EAL reads them: "0-3,8". What does not fit is left out. */
static void
cpus_format(char *out, size_t size)
{
	cpu_set_t given;
	size_t used = 0;

	snprintf(out, size, "0");
	if (sched_getaffinity(0, sizeof(given), &given) < 0)
		return;
	for (int first = 0; first < CPU_SETSIZE && used + 16 < size; first++) {
		int last = first;

		if (!CPU_ISSET(first, &given))
			continue;
		while (last + 1 < CPU_SETSIZE && CPU_ISSET(last + 1, &given))
			last++;
		used += (size_t)snprintf(out + used, size - used, "%s%d-%d", used ? "," : "", first, last);
		first = last;
	}
}

int
eal_start(struct config *config, int extra_count, char **extra, char *error, size_t size)
{
	unsigned long megabytes = topology_megabytes(config);
	struct arguments a = { 0 };
	char cpus[256];

	cpus_format(cpus, sizeof(cpus));
	add(&a, "weir");
	/* One EAL lcore, for control, on any CPU: workers are threads that register themselves. */
	add(&a, "--lcores=0@(%s)", cpus);
	add(&a, "--no-telemetry");
	add(&a, "--log-level=*:warning");
	if (!topology_needs_pci(config))
		add(&a, "--no-pci");
	if (free_hugepages_megabytes() < megabytes) {
		add(&a, "--no-huge");
		add(&a, "--no-shconf");
		add(&a, "-m");
		add(&a, "%lu", megabytes);
	} else {
		add(&a, "--in-memory");
		/* One file for all pages: virtio_user can share it with a vhost backend. */
		add(&a, "--single-file-segments");
	}
	for (int i = 1; i < extra_count && a.count < ARGUMENTS_MAX - 1; i++)
		a.words[a.count++] = extra[i];
	if (rte_eal_init(a.count, a.words) < 0) {
		snprintf(error, size, "DPDK cannot be started (%d: %s)", rte_errno, rte_strerror(rte_errno));
		return rte_errno ? -rte_errno : -EIO;
	}
	return 0;
}

void
eal_stop(void)
{
	rte_eal_cleanup();
}
