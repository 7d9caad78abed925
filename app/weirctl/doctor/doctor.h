/*
 * `weirctl doctor [-c FILE] [--root DIR]`: looks at the host, and says line by line what is well, what could be better and what
 * prevents a start, with the command that mends it.
 *
 * It is weirctl's and not a flag of weir: weir's flags are nginx's, and starting it means DPDK, devices and huge pages, which
 * are what is in question here. The doctor takes nothing, changes nothing, needs no running Weir and disturbs none.
 *
 * A check is a row, in the file of its subject: it reads facts by host.h alone and reports any number of findings, none
 * where it has nothing to say. With -c it knows the configuration, and asks for what that needs; without one it speaks of
 * every interface and every NIC.
 */
#ifndef WEIRCTL_DOCTOR_DOCTOR_H
#define WEIRCTL_DOCTOR_DOCTOR_H

#include "control/command.h"
#include "weirctl/doctor/host.h"

struct config;

enum doctor_grade { DOCTOR_OK, DOCTOR_ADVICE, DOCTOR_PROBLEM };

struct doctor {
	struct host host;
	struct config *config; /* NULL: none was named */
	const struct doctor_check *check;
	json_t *findings;
	unsigned int problems;
	char remedy[512];
};

struct doctor_check {
	const char *name;
	void (*run)(struct doctor *doctor);
};

/* One table per subject, each in its file; they end with a NULL name. */
extern const struct doctor_check doctor_kernel_checks[], doctor_memory_checks[], doctor_device_checks[],
	doctor_cpu_checks[], doctor_interface_checks[], doctor_sysctl_checks[], doctor_port_checks[];

/* The row of weirctl. Its run() gives 1 when something prevents a start. */
extern const struct control_command doctor_command;

/* A finding. `remedy`, a command or where it has none a sentence, may be NULL. */
void doctor_say(struct doctor *doctor, enum doctor_grade grade, const char *remedy, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A remedy made up for the finding that is said next. */
const char *doctor_remedy(struct doctor *doctor, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What the configuration asks for; without one, what a configuration may ask for. */
bool doctor_wants_xdp(const struct doctor *doctor);
bool doctor_wants_pci(const struct doctor *doctor);
/* Kernel interfaces that are Weir's: those that the configuration names, else all but lo. */
void doctor_interfaces(const struct doctor *doctor, struct host_names *out);
/* 1 without a configuration. */
unsigned int doctor_workers(const struct doctor *doctor);

#endif
