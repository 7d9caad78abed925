#include "packet/verdict.h"

const char *const packet_verdict_names[PACKET_VERDICT_COUNT] = {
#define ROW(name, text) [PACKET_##name] = text,
	PACKET_VERDICTS(ROW)
#undef ROW
};
