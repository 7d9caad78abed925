#include "weirctl/doctor/doctor.h"

#include <stdarg.h>
#include <string.h>

#include "weir/core.h"
#include "weir/topology.h"

/* A subject, in the order of the report. */
static const struct {
	const char *name;
	const struct doctor_check *checks;
} subjects[] = {
	{ "kernel", doctor_kernel_checks },        { "memory", doctor_memory_checks },
	{ "devices", doctor_device_checks },       { "cpu", doctor_cpu_checks },
	{ "interfaces", doctor_interface_checks }, { "settings", doctor_sysctl_checks },
	{ "ports", doctor_port_checks },
};

static const char *const grades[] = { "ok", "advice", "problem" };

/* ---- findings ---- */

void
doctor_say(struct doctor *doctor, enum doctor_grade grade, const char *remedy, const char *format, ...)
{
	va_list arguments;
	char text[512];
	json_t *finding;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	finding = json_pack("{s:s,s:s,s:s}", "check", doctor->check->name, "grade", grades[grade], "text", text);
	if (remedy)
		json_object_set_new(finding, "remedy", json_string(remedy));
	json_array_append_new(doctor->findings, finding);
	doctor->problems += grade == DOCTOR_PROBLEM;
}

const char *
doctor_remedy(struct doctor *doctor, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(doctor->remedy, sizeof(doctor->remedy), format, arguments);
	va_end(arguments);
	return doctor->remedy;
}

/* ---- what the configuration wants ---- */

static const struct core_interface *
named(const struct doctor *doctor)
{
	return doctor->config ? core_settings(doctor->config)->interfaces : NULL;
}

bool
doctor_wants_xdp(const struct doctor *doctor)
{
	return !doctor->config || topology_may_have_xdp(doctor->config);
}

bool
doctor_wants_pci(const struct doctor *doctor)
{
	return doctor->config && topology_needs_pci(doctor->config);
}

void
doctor_interfaces(const struct doctor *doctor, struct host_names *out)
{
	unsigned int kept = 0;

	if (!named(doctor)) {
		host_interfaces(&doctor->host, out);
		for (unsigned int i = 0; i < out->count; i++)
			if (strcmp(out->names[i], "lo") != 0)
				memmove(out->names[kept++], out->names[i], HOST_NAME_SIZE);
		out->count = kept;
		return;
	}
	out->count = 0;
	for (const struct core_interface *i = named(doctor); i && out->count < HOST_NAMES_MAX; i = i->next)
		if (port_is_xdp(&i->port))
			snprintf(out->names[out->count++], HOST_NAME_SIZE, "%s", i->port.name);
}

unsigned int
doctor_workers(const struct doctor *doctor)
{
	return doctor->config ? (unsigned int)core_settings(doctor->config)->worker_processes : 1;
}

/* ---- the command ---- */

static void
examine(struct doctor *doctor, json_t *answer)
{
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		doctor->findings = json_array();
		for (doctor->check = subjects[i].checks; doctor->check->name; doctor->check++)
			doctor->check->run(doctor);
		json_array_append_new(
			list, json_pack("{s:s,s:o}", "subject", subjects[i].name, "findings", doctor->findings));
	}
	json_object_set_new(answer, "subjects", list);
	json_object_set_new(answer, "problems", json_integer(doctor->problems));
}

static int
run(struct control_call *call)
{
	const char *path = NULL, *root = "";
	struct control_words words;
	static struct doctor doctor;

	control_words_of(call, &words);
	if (control_words_option(call, &words, "-c", &path) < 0 ||
	    control_words_option(call, &words, "--root", &root) < 0 || control_words_end(call, &words, 0, 0) < 0)
		return -1;
	doctor = (struct doctor){ .host = { root } };
	if (path) {
		doctor.config = call->parse(path, call->error, sizeof(call->error));
		if (!doctor.config)
			return -1;
	}
	examine(&doctor, call->answer);
	config_free(doctor.config);
	return doctor.problems ? 1 : 0;
}

static void
render_finding(const json_t *finding, FILE *out)
{
	const char *remedy = json_string_value(json_object_get(finding, "remedy"));

	fprintf(out, "  %-8s %s\n", json_string_value(json_object_get(finding, "grade")),
		json_string_value(json_object_get(finding, "text")));
	if (remedy)
		fprintf(out, "             %s\n", remedy);
}

static void
render(const json_t *answer, FILE *out)
{
	json_t *subject, *finding;
	long long problems = json_integer_value(json_object_get(answer, "problems"));
	size_t i, j;

	json_array_foreach(json_object_get(answer, "subjects"), i, subject)
	{
		if (json_array_size(json_object_get(subject, "findings")))
			fprintf(out, "%s\n", json_string_value(json_object_get(subject, "subject")));
		json_array_foreach(json_object_get(subject, "findings"), j, finding) render_finding(finding, out);
	}
	if (problems)
		fprintf(out, "%lld problem%s: weir will not start, or not serve\n", problems, problems == 1 ? "" : "s");
	else
		fprintf(out, "nothing prevents a start\n");
}

const struct control_command doctor_command = {
	.name = "doctor",
	.arguments = "[-c FILE]",
	.help = "Looks at the host: what prevents a start, what would be better, and the commands that mend it. With "
		"a\n"
		"configuration, at what that one needs. Changes nothing. Exit code 0 when nothing prevents a start.",
	.words_max = 4,
	.offline = true,
	.run = run,
	.render = render,
};
