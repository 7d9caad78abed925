#include <assert.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "xdp/internal.h"
#include "xdp/weir.skel.h"

/* Put in their places together: the kernel waits once for all packets on their way. */
#define TOGETHER 64

struct xdp_choices {
	uint64_t hashes[XDP_CHOICES]; /* of what the program has; 0: nothing, or it is not known what */
	uint64_t present[XDP_CHOICES / 64 + 1], set[XDP_CHOICES / 64 + 1];
	uint32_t numbers[TOGETHER]; /* made, and not yet in their places */
	int fds[TOGETHER];
	uint32_t count;
};

static bool
bit_is_set(const uint64_t *bits, uint32_t number)
{
	return bits[number / 64] >> (number % 64) & 1;
}

static void
bit_set(uint64_t *bits, uint32_t number)
{
	bits[number / 64] |= 1ull << (number % 64);
}

static int
outer_fd(const struct xdp_program *program)
{
	return bpf_map__fd(program->skeleton->maps.choices);
}

int
xdp_choices_new(struct xdp_program *program)
{
	program->choices = calloc(1, sizeof(*program->choices));
	return program->choices ? 0 : -ENOMEM;
}

void
xdp_choices_read(struct xdp_program *program)
{
	for (uint32_t number = 0; number < XDP_CHOICES; number++) {
		uint32_t id;

		if (bpf_map_lookup_elem(outer_fd(program), &number, &id) == 0)
			bit_set(program->choices->present, number);
	}
}

static void
withdraw(struct xdp_program *program, uint32_t number)
{
	struct xdp_choices *choices = program->choices;

	bpf_map_delete_elem(outer_fd(program), &number);
	choices->hashes[number] = 0;
	choices->present[number / 64] &= ~(1ull << (number % 64));
}

static int
put_one_by_one(struct xdp_program *program)
{
	struct xdp_choices *choices = program->choices;
	int result = 0;

	for (uint32_t i = 0; i < choices->count; i++) {
		int rc = bpf_map_update_elem(outer_fd(program), &choices->numbers[i], &choices->fds[i], BPF_ANY);

		if (rc == 0)
			continue;
		withdraw(program, choices->numbers[i]);
		result = rc;
	}
	return result;
}

/* What has been made, in the place of what there was. */
static int
put(struct xdp_program *program)
{
	struct xdp_choices *choices = program->choices;
	uint32_t count = choices->count;
	int rc = 0;

	/* Kernels that cannot do it together do nothing. */
	if (count && (bpf_map_update_batch(outer_fd(program), choices->numbers, choices->fds, &count, NULL) < 0 ||
		      count != choices->count))
		rc = put_one_by_one(program);
	for (uint32_t i = 0; i < choices->count; i++)
		close(choices->fds[i]);
	choices->count = 0;
	return rc;
}

static int
make(const struct xdp_choice *choice)
{
	const uint32_t zero = 0;
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "weir_choice", sizeof(zero), sizeof(*choice), 1, NULL), rc;

	if (fd < 0)
		return fd;
	rc = bpf_map_update_elem(fd, &zero, choice, BPF_ANY);
	if (rc == 0)
		return fd;
	close(fd);
	return rc;
}

int
xdp_program_choice_set(struct xdp_program *program, uint32_t service, const struct xdp_choice *choice)
{
	struct xdp_choices *choices = program->choices;
	uint64_t hash;
	int fd;

	if (!choices)
		return 0;
	assert(service > 0 && service < XDP_CHOICES);
	bit_set(choices->set, service);
	hash = XXH64(choice, sizeof(*choice), 0);
	if (bit_is_set(choices->present, service) && choices->hashes[service] == hash)
		return 0;
	fd = make(choice);
	if (fd < 0) {
		withdraw(program, service);
		return fd;
	}
	choices->hashes[service] = hash;
	bit_set(choices->present, service);
	choices->numbers[choices->count] = service;
	choices->fds[choices->count++] = fd;
	return choices->count == TOGETHER ? put(program) : 0;
}

int
xdp_program_choices_end(struct xdp_program *program)
{
	struct xdp_choices *choices = program->choices;
	int rc;

	if (!choices)
		return 0;
	rc = put(program);
	for (uint32_t number = 0; number < XDP_CHOICES; number++)
		if (bit_is_set(choices->present, number) && !bit_is_set(choices->set, number))
			withdraw(program, number);
	memset(choices->set, 0, sizeof(choices->set));
	return rc;
}
