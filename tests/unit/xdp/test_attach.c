#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/cmocka.h"
#include "support/namespace.h"
#include "xdp/xdp.h"

static struct xdp_program *program;
static char error[256];

static int
interface(const char *name)
{
	return (int)if_nametoindex(name);
}

static uint32_t
program_on(const char *name)
{
	uint32_t id = 0;

	assert_int_equal(bpf_xdp_query_id(interface(name), 0, &id), 0);
	return id;
}

/* The kernel takes a link down shortly after its last descriptor is closed. */
static bool
becomes_free(const char *name)
{
	const struct timespec nap = { .tv_nsec = 5000000 };

	for (int i = 0; i < 400 && program_on(name); i++)
		nanosleep(&nap, NULL);
	return program_on(name) == 0;
}

static int
set_up(void **state)
{
	namespace_enter();
	namespace_run("ip link add v0 type veth peer name v1 && ip link set v0 up && ip link set v1 up");
	return xdp_program_load(&program, NULL, error, sizeof(error));
}

static int
tear_down(void **state)
{
	xdp_program_free(program);
	return 0;
}

static void
one_program_is_native_on_veth_and_generic_on_lo(void **state)
{
	enum xdp_mode used;
	uint32_t id;

	assert_int_equal(xdp_program_attach(program, interface("v0"), XDP_MODE_AUTO, &used, error, sizeof(error)), 0);
	assert_int_equal(used, XDP_MODE_NATIVE);
	assert_int_equal(xdp_program_attach(program, interface("lo"), XDP_MODE_AUTO, &used, error, sizeof(error)), 0);
	assert_int_equal(used, XDP_MODE_GENERIC);
	id = program_on("v0");
	assert_true(id > 0);
	assert_int_equal(program_on("lo"), id);
	xdp_program_detach(program, interface("v0"));
	xdp_program_detach(program, interface("lo"));
	assert_true(becomes_free("v0"));
	assert_true(becomes_free("lo"));
}

static void
a_mode_that_the_driver_has_not_is_an_error(void **state)
{
	enum xdp_mode used;

	assert_true(xdp_program_attach(program, interface("lo"), XDP_MODE_NATIVE, &used, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "interface lo in native mode"));
	assert_int_equal(program_on("lo"), 0);
	assert_int_equal(xdp_program_attach(program, interface("v0"), XDP_MODE_GENERIC, &used, error, sizeof(error)),
			 0);
	assert_int_equal(used, XDP_MODE_GENERIC);
	xdp_program_detach(program, interface("v0"));
	assert_true(becomes_free("v0"));
}

static void
a_second_weir_is_told_of_the_first(void **state)
{
	struct xdp_program *second;
	enum xdp_mode used;
	char id[32];

	assert_int_equal(xdp_program_load(&second, NULL, error, sizeof(error)), 0);
	assert_int_equal(xdp_program_attach(program, interface("v0"), XDP_MODE_AUTO, &used, error, sizeof(error)), 0);
	snprintf(id, sizeof(id), "id %u", program_on("v0"));
	assert_int_equal(xdp_program_attach(second, interface("v0"), XDP_MODE_AUTO, &used, error, sizeof(error)),
			 -EBUSY);
	assert_non_null(strstr(error, "interface v0"));
	assert_non_null(strstr(error, id));
	assert_non_null(strstr(error, "another Weir"));
	assert_int_equal(xdp_program_attach(second, interface("v0"), XDP_MODE_GENERIC, &used, error, sizeof(error)),
			 -EBUSY);
	xdp_program_free(second);
	assert_true(program_on("v0") > 0);
	xdp_program_detach(program, interface("v0"));
	assert_true(becomes_free("v0"));
}

static void
a_killed_process_leaves_no_program(void **state)
{
	enum xdp_mode used;
	int ready[2], status;
	char byte;
	pid_t child;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	if (child == 0) {
		struct xdp_program *own;

		if (xdp_program_load(&own, NULL, error, sizeof(error)) == 0 &&
		    xdp_program_attach(own, interface("v0"), XDP_MODE_AUTO, &used, error, sizeof(error)) == 0 &&
		    write(ready[1], "x", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	assert_true(program_on("v0") > 0);
	kill(child, SIGKILL);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(becomes_free("v0"));
	assert_int_equal(xdp_program_attach(program, interface("v0"), XDP_MODE_AUTO, &used, error, sizeof(error)), 0);
	xdp_program_detach(program, interface("v0"));
	assert_true(becomes_free("v0"));
}

static void
an_interface_may_go_while_attached(void **state)
{
	enum xdp_mode used;
	int ifindex;

	namespace_run("ip link add v2 type veth peer name v3");
	ifindex = interface("v2");
	assert_int_equal(xdp_program_attach(program, ifindex, XDP_MODE_AUTO, &used, error, sizeof(error)), 0);
	namespace_run("ip link del v2");
	xdp_program_detach(program, ifindex);
	assert_true(xdp_program_attach(program, ifindex, XDP_MODE_AUTO, &used, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "(gone)"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_program_is_native_on_veth_and_generic_on_lo),
		cmocka_unit_test(a_mode_that_the_driver_has_not_is_an_error),
		cmocka_unit_test(a_second_weir_is_told_of_the_first),
		cmocka_unit_test(a_killed_process_leaves_no_program),
		cmocka_unit_test(an_interface_may_go_while_attached),
	};

	/* Skipping would hide that the program was never loaded. */
	if (geteuid() != 0) {
		fprintf(stderr, "these tests need root\n");
		return 1;
	}
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
