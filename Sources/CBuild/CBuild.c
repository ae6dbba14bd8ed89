#define _GNU_SOURCE
#include "CBuild.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#ifndef SKILLGATE_REVISION
#define SKILLGATE_REVISION "unknown"
#endif

const char *skillgate_build_revision(void) { return SKILLGATE_REVISION; }

/* Exported by the Swift runtime (swift/Runtime/Exclusivity.h). */
extern _Bool _swift_disableExclusivityChecking;

void skillgate_disable_exclusivity_checking(void) { _swift_disableExclusivityChecking = 1; }

void skillgate_hide_memory(void) { prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); }

static int forget_segments(struct dl_phdr_info *object, size_t size, void *page_bytes)
{
    (void)size;
    const uintptr_t page = *(const uintptr_t *)page_bytes;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || (segment->p_flags & PF_W)) continue;
        /* Whole pages only: a neighbour that can be written must not lose what was written. */
        const uintptr_t start = (object->dlpi_addr + segment->p_vaddr + page - 1) & ~(page - 1);
        const uintptr_t end = (object->dlpi_addr + segment->p_vaddr + segment->p_filesz) & ~(page - 1);
        if (end > start) madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void skillgate_forget_code_pages(void)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    dl_iterate_phdr(forget_segments, &page);
}
