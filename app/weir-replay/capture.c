#include "weir-replay/capture.h"

#include <errno.h>
#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* What tcpdump writes, and the longest record that libpcap reads of Ethernet. */
#define SNAPSHOT_MAX 262144

struct capture_reader {
	const char *path;
	pcap_t *pcap;
};

struct capture_writer {
	const char *path;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
	int error;                   /* errno of the first write that failed; pcap_dump() does not tell */
	uint8_t frame[SNAPSHOT_MAX]; /* where the segments come together */
};

/* ---- in ---- */

int
capture_reader_open(struct capture_reader **out, const char *path, char *error, size_t size)
{
	struct capture_reader *reader = calloc(1, sizeof(*reader));
	char reason[PCAP_ERRBUF_SIZE];
	const char *link;

	if (!reader) {
		snprintf(error, size, "out of memory");
		return -ENOMEM;
	}
	reader->path = path;
	reader->pcap = pcap_open_offline_with_tstamp_precision(path, PCAP_TSTAMP_PRECISION_NANO, reason);
	if (!reader->pcap) {
		/* libpcap names the file where the system refused it, and does not where the contents are at fault. */
		if (strncmp(reason, path, strlen(path)) == 0)
			snprintf(error, size, "%s", reason);
		else
			snprintf(error, size, "%s: %s", path, reason);
		free(reader);
		return -EIO;
	}
	if (pcap_datalink(reader->pcap) != DLT_EN10MB) {
		link = pcap_datalink_val_to_name(pcap_datalink(reader->pcap));
		snprintf(error, size, "%s: link type %s (%d), only Ethernet can be replayed", path,
			 link ? link : "unknown", pcap_datalink(reader->pcap));
		capture_reader_close(reader);
		return -EPROTO;
	}
	*out = reader;
	return 0;
}

int
capture_reader_next(struct capture_reader *reader, struct capture_frame *frame, char *error, size_t size)
{
	struct pcap_pkthdr *header;
	const u_char *bytes;
	int result = pcap_next_ex(reader->pcap, &header, &bytes);

	if (result == PCAP_ERROR_BREAK)
		return 0;
	if (result != 1) {
		snprintf(error, size, "%s: %s", reader->path, pcap_geterr(reader->pcap));
		return -EIO;
	}
	*frame = (struct capture_frame){
		/* With this precision tv_usec counts nanoseconds. */
		.time_ns = (uint64_t)header->ts.tv_sec * NS_PER_SECOND + (uint64_t)header->ts.tv_usec,
		.bytes = bytes,
		.len = header->caplen,
		.wire_len = header->len,
	};
	return 1;
}

void
capture_reader_close(struct capture_reader *reader)
{
	if (!reader)
		return;
	pcap_close(reader->pcap);
	free(reader);
}

/* ---- out ---- */

int
capture_writer_open(struct capture_writer **out, const char *path, char *error, size_t size)
{
	struct capture_writer *writer = calloc(1, sizeof(*writer));

	if (writer)
		writer->pcap =
			pcap_open_dead_with_tstamp_precision(DLT_EN10MB, SNAPSHOT_MAX, PCAP_TSTAMP_PRECISION_NANO);
	if (!writer || !writer->pcap) {
		snprintf(error, size, "out of memory");
		free(writer);
		return -ENOMEM;
	}
	writer->path = path;
	writer->dumper = pcap_dump_open(writer->pcap, path);
	if (!writer->dumper) {
		snprintf(error, size, "%s", pcap_geterr(writer->pcap));
		pcap_close(writer->pcap);
		free(writer);
		return -EIO;
	}
	*out = writer;
	return 0;
}

void
capture_writer_add(struct capture_writer *writer, uint64_t time_ns, const struct rte_mbuf *m)
{
	uint32_t len = RTE_MIN(m->pkt_len, (uint32_t)SNAPSHOT_MAX);
	struct pcap_pkthdr header = {
		.ts = { .tv_sec = (time_t)(time_ns / NS_PER_SECOND),
			.tv_usec = (suseconds_t)(time_ns % NS_PER_SECOND) },
		.caplen = len,
		.len = m->pkt_len,
	};

	pcap_dump((u_char *)writer->dumper, &header, rte_pktmbuf_read(m, 0, len, writer->frame));
	if (!writer->error && ferror(pcap_dump_file(writer->dumper)))
		writer->error = errno;
}

int
capture_writer_close(struct capture_writer *writer, char *error, size_t size)
{
	int result = -writer->error;

	if (pcap_dump_flush(writer->dumper) < 0 && result == 0)
		result = -errno;
	if (result < 0)
		snprintf(error, size, "%s: not everything could be written: %s", writer->path, strerror(-result));
	pcap_dump_close(writer->dumper);
	pcap_close(writer->pcap);
	free(writer);
	return result;
}
