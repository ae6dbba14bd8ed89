// A disk that fails: to be preloaded into a gateway. While the file that $FAILING_DISK names exists, files of records fail as
// its content says:
//   write   write() fails with EIO, and nothing is written
//   half    write() writes half of what it is given, again and again, and fails with EIO at the last byte
//   sync    fdatasync() fails with EIO
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

enum { DESCRIPTORS = 65536 };

static volatile char is_of_records[DESCRIPTORS];

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_read)(int, void *, size_t);
static int (*real_fdatasync)(int);
static int (*real_close)(int);

__attribute__((constructor)) static void look_up(void)
{
    real_open = dlsym(RTLD_NEXT, "open");
    real_write = dlsym(RTLD_NEXT, "write");
    real_read = dlsym(RTLD_NEXT, "read");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_close = dlsym(RTLD_NEXT, "close");
}

static int fails(int descriptor, const char *fault)
{
    if (descriptor < 0 || descriptor >= DESCRIPTORS || !is_of_records[descriptor]) return 0;
    const char *name = getenv("FAILING_DISK");
    int file = name ? real_open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    char content[16] = {0};
    real_read(file, content, sizeof content - 1);
    real_close(file);
    return strncmp(content, fault, strlen(fault)) == 0;
}

static int opened(int descriptor, const char *path)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS) is_of_records[descriptor] = strstr(path, "/records-") != NULL;
    return descriptor;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return opened(real_open(path, flags, mode), path);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    return opened(real_open(path, flags | O_LARGEFILE, mode), path);
}

int close(int descriptor)
{
    if (descriptor >= 0 && descriptor < DESCRIPTORS) is_of_records[descriptor] = 0;
    return real_close(descriptor);
}

ssize_t write(int descriptor, const void *bytes, size_t count)
{
    if (fails(descriptor, "write")) {
        errno = EIO;
        return -1;
    }
    if (count > 1 && fails(descriptor, "half")) return real_write(descriptor, bytes, count / 2);
    if (count == 1 && fails(descriptor, "half")) {
        errno = EIO;
        return -1;
    }
    return real_write(descriptor, bytes, count);
}

int fdatasync(int descriptor)
{
    if (fails(descriptor, "sync")) {
        errno = EIO;
        return -1;
    }
    return real_fdatasync(descriptor);
}
