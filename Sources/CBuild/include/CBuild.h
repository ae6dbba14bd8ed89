#ifndef SKILLGATE_CBUILD_H
#define SKILLGATE_CBUILD_H

/* The commit this binary was built from, or "unknown". Swift has no way to be told a text at build time; C has. */
const char *skillgate_build_revision(void);

/* Ends the runtime's checks for overlapping accesses in code that was built with them: the packages we depend on. */
void skillgate_disable_exclusivity_checking(void);

/* Unmaps the pages of code and constants that are mapped now; what is used again is mapped again from the file. */
void skillgate_forget_code_pages(void);

/* Keeps core dumps and other processes of the same user from this process's memory (prctl(2), PR_SET_DUMPABLE), whose
   header Swift's Glibc module leaves out. */
void skillgate_hide_memory(void);

#endif
