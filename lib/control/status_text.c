#include <string.h>

#include "control/status.h"

static const char *
text(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? value : "?";
}

static long long
number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

static double
real(const json_t *object, const char *key)
{
	return json_number_value(json_object_get(object, key));
}

/* 1234567 becomes "1.23M". */
static const char *
scaled(double value, char out[16])
{
	static const char units[] = " kMGTP";
	int unit = 0;

	while (value >= 999.5 && unit < 5) {
		value /= 1000;
		unit++;
	}
	if (unit == 0)
		snprintf(out, 16, "%.0f", value);
	else
		snprintf(out, 16, "%.3g%c", value, units[unit]);
	return out;
}

static void
render_totals(const json_t *row, FILE *out)
{
	char packets[16], rate[16], bits[16];

	fprintf(out, "  %lld flow%s  %s packets  %s packets/s  %sbit/s\n", number(row, "flows"),
		number(row, "flows") == 1 ? "" : "s", scaled(real(row, "packets"), packets),
		scaled(real(row, "packets_per_second"), rate), scaled(real(row, "bits_per_second"), bits));
}

static void
render_weight(const json_t *server, FILE *out)
{
	fprintf(out, " weight %lld", number(server, "weight"));
	if (number(server, "weight_in_force") != number(server, "weight"))
		fprintf(out, ", now %lld", number(server, "weight_in_force"));
}

static void
render_service(const json_t *service, FILE *out)
{
	bool v6 = strchr(text(service, "address"), ':');
	json_t *server;
	size_t index;

	fprintf(out, "%s %s%s%s:%s  %s  group %s (%s%s)", text(service, "protocol"), v6 ? "[" : "",
		text(service, "address"), v6 ? "]" : "", text(service, "ports"), text(service, "forward"),
		text(service, "group"), text(service, "method"),
		json_is_true(json_object_get(service, "by_address")) ? ", by address" : "");
	render_totals(service, out);
	json_array_foreach(json_object_get(service, "servers"), index, server)
	{
		fprintf(out, "    %-24s %-7s", text(server, "address"), text(server, "state"));
		render_weight(server, out);
		fprintf(out, "  %.1f %%", real(server, "share") * 100);
		render_totals(server, out);
	}
}

static void
render_workers(const json_t *answer, FILE *out)
{
	json_t *worker, *flows;
	size_t index;

	json_array_foreach(json_object_get(answer, "workers"), index, worker)
	{
		fprintf(out, "worker %lld  busy %.1f %%", number(worker, "worker"), real(worker, "busy") * 100);
		flows = json_object_get(worker, "flows");
		if (flows)
			fprintf(out, "  %lld of %lld flow entries", number(flows, "entries"), number(flows, "places"));
		fputc('\n', out);
	}
}

static void
render_http(const json_t *http, FILE *out)
{
	json_t *item, *server;
	size_t index, place;

	if (!json_array_size(json_object_get(http, "listeners")) && !json_array_size(json_object_get(http, "groups")))
		return;
	fputs("http", out);
	json_array_foreach(json_object_get(http, "listeners"), index, item)
		fprintf(out, " %s", json_string_value(item));
	fprintf(out, "  %lld connections/s  %lld requests/s\n", number(http, "accepted_per_second"),
		number(http, "requests_per_second"));
	json_array_foreach(json_object_get(http, "groups"), index, item)
	{
		fprintf(out, "http group %s (%s)\n", text(item, "name"), text(item, "method"));
		json_array_foreach(json_object_get(item, "servers"), place, server)
		{
			fprintf(out, "    %-24s %-7s", text(server, "address"), text(server, "state"));
			render_weight(server, out);
			fputc('\n', out);
		}
	}
}

static void
render_port(const json_t *port, FILE *out)
{
	char rx[16], rx_bits[16], tx[16], tx_bits[16];

	fprintf(out, "port %s  %s  %s  mtu %lld  link %s", text(port, "name"), text(port, "kind"), text(port, "mac"),
		number(port, "mtu"), json_is_true(json_object_get(port, "link")) ? "up" : "down");
	fprintf(out, "  in %s packets/s %sbit/s  out %s packets/s %sbit/s\n",
		scaled(real(port, "rx_packets_per_second"), rx), scaled(real(port, "rx_bits_per_second"), rx_bits),
		scaled(real(port, "tx_packets_per_second"), tx), scaled(real(port, "tx_bits_per_second"), tx_bits));
}

void
control_status_render(const json_t *answer, FILE *out)
{
	long long up = (long long)real(answer, "uptime_seconds");
	json_t *item;
	size_t index;

	fprintf(out, "weir %s  pid %lld  up %lldd %02lld:%02lld:%02lld  %lld configuration%s in use\n",
		text(answer, "version"), number(answer, "pid"), up / 86400, up / 3600 % 24, up / 60 % 60, up % 60,
		number(answer, "configurations"), number(answer, "configurations") == 1 ? "" : "s");
	render_workers(answer, out);
	json_array_foreach(json_object_get(answer, "services"), index, item) render_service(item, out);
	json_array_foreach(json_object_get(answer, "leaving"), index, item)
		fprintf(out, "leaving: %s %s to %s by %s  %lld flows\n", text(item, "protocol"), text(item, "service"),
			text(item, "server"), text(item, "forward"), number(item, "flows"));
	render_http(json_object_get(answer, "http"), out);
	json_array_foreach(json_object_get(answer, "ports"), index, item) render_port(item, out);
}

void
control_counters_render(const json_t *answer, FILE *out)
{
	const json_t *rates = json_object_get(answer, "per_second");
	const char *room, *name;
	json_t *counters, *value;

	json_object_foreach(json_object_get(answer, "counters"), room, counters)
	{
		const json_t *room_rates = json_object_get(rates, room);

		json_object_foreach(counters, name, value)
		{
			fprintf(out, "%s.%s %lld", room, name, (long long)json_integer_value(value));
			if (number(room_rates, name))
				fprintf(out, "  (%lld/s)", number(room_rates, name));
			fputc('\n', out);
		}
	}
}
