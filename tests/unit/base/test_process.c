#include "base/process.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/cmocka.h"

static bool
is_true(void)
{
	return getpid() == syscall(SYS_getpid);
}

static void
it_is_true_in_children_too(void **state)
{
	for (int kept = 0; kept < 2; kept++) {
		pid_t child = fork();
		int status;

		if (child == 0)
			_exit(is_true() && getpid() != getppid() ? 0 : 1);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_true(is_true());
		process_id_keep();
	}
}

static void
libraries_hear_it(void **state)
{
	assert_ptr_equal(dlsym(RTLD_DEFAULT, "getpid"), (void *)(uintptr_t)getpid);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_true_in_children_too),
		cmocka_unit_test(libraries_hear_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
