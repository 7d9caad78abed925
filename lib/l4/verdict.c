#include "l4/verdict.h"

const char *const l4_verdict_names[L4_VERDICT_COUNT] = {
#define ROW(name, text) [L4_##name] = text,
	L4_VERDICTS(ROW)
#undef ROW
};
