#include "CBuild.h"

#ifndef SKILLGATE_REVISION
#define SKILLGATE_REVISION "unknown"
#endif

const char *skillgate_build_revision(void) { return SKILLGATE_REVISION; }
