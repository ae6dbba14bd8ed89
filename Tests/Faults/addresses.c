// A name that stands for several addresses: to be preloaded into a gateway. While the file that $ADDRESSES names exists,
// `localhost` is resolved to the IPv4 addresses in it, one a line.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **result)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        dlsym(RTLD_NEXT, "getaddrinfo");
    const char *path = getenv("ADDRESSES");
    FILE *file = name && path && strcmp(name, "localhost") == 0 ? fopen(path, "re") : NULL;
    if (!file) return real(name, service, hints, result);
    struct addrinfo **last = result;
    char line[64];
    int error = 0;
    *result = NULL;
    while (error == 0 && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        // freeaddrinfo() frees such a chain element by element.
        error = real(line, service, hints, last);
        while (*last) last = &(*last)->ai_next;
    }
    fclose(file);
    return error;
}
