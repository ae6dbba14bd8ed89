#ifndef SKILLGATE_CBUILD_H
#define SKILLGATE_CBUILD_H

/* The commit this binary was built from, or "unknown". Swift has no way to be told a text at build time; C has. */
const char *skillgate_build_revision(void);

#endif
