#include "CBuild.h"

#ifndef SKILLGATE_REVISION
#define SKILLGATE_REVISION "unknown"
#endif

const char *skillgate_build_revision(void) { return SKILLGATE_REVISION; }

/* Exported by the Swift runtime (swift/Runtime/Exclusivity.h). */
extern _Bool _swift_disableExclusivityChecking;

void skillgate_disable_exclusivity_checking(void) { _swift_disableExclusivityChecking = 1; }
