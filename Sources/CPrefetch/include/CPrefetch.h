#ifndef SKILLGATE_CPREFETCH_H
#define SKILLGATE_CPREFETCH_H

/* Has the processor fetch what is at `address` into its cache, and does not wait for it. Swift has no way to say so. Any address
   will do. */
static inline void skillgate_prefetch(const void *address) { __builtin_prefetch(address); }

#endif
