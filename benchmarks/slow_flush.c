/* LD_PRELOAD: every fsync and fdatasync takes CARNET_FLUSH_DELAY_US microseconds longer, as on a disk that really flushes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

typedef int (*flush_function)(int);

static void wait_a_little(void)
{
    const char *text = getenv("CARNET_FLUSH_DELAY_US");
    long delay = text ? atol(text) : 0;
    struct timespec pause = {delay / 1000000, delay % 1000000 * 1000};
    if (delay > 0)
        nanosleep(&pause, NULL);
}

int fsync(int descriptor)
{
    static flush_function real;
    if (!real)
        real = (flush_function)dlsym(RTLD_NEXT, "fsync");
    wait_a_little();
    return real(descriptor);
}

int fdatasync(int descriptor)
{
    static flush_function real;
    if (!real)
        real = (flush_function)dlsym(RTLD_NEXT, "fdatasync");
    wait_a_little();
    return real(descriptor);
}
