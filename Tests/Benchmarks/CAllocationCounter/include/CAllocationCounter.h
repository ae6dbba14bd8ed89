#ifndef ALLOCATION_COUNTER_H
#define ALLOCATION_COUNTER_H

/// Times this process has asked its allocator for memory: malloc, calloc, realloc and the aligned ones.
long allocation_count(void);

#endif
