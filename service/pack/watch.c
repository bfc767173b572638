/*
 * Code that is being loaded and does not come back: a constructor that waits for ever. The pack has
 * only this one thread, which is in that code, so a timer's signal interrupts it, looks where it
 * is, and tells the agent. The interrupted code is never the pack's own, whose data are whole; it
 * may be the allocator, though, so nothing is allocated on this way. Where the code has blocked the
 * signal too, the agent says what the kernel knows.
 */
#include "base/error.h"
#include "base/text.h"
#include "service/pack/pack.h"

#include <dlfcn.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define FRAMES_MOST  24
#define FRAMES_SHOWN 4
#define PLACE_BYTES  96

static struct {
    struct pack *pack;
    pack_hang_fn *on_hang;
    timer_t timer;
    int64_t begun_ns;
} load;

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "function (object+0x1234)". False where the frame is the loader's, which has called the code. */
static bool describe(void *frame, char place[PLACE_BYTES])
{
    Dl_info info;
    if (dladdr(frame, &info) == 0 || !info.dli_fname) {
        (void)snprintf(place, PLACE_BYTES, "%p", frame);
        return true;
    }
    const char *object = base_name(info.dli_fname);
    if (strncmp(object, "ld-linux", 8) == 0)
        return false;
    if (strncmp(info.dli_fname, "/proc/self/fd/", 14) == 0)
        object = "the code";
    unsigned long offset = (unsigned long)((char *)frame - (char *)info.dli_fbase);
    if (info.dli_sname)
        (void)covey_text_print(place, PLACE_BYTES, "%s (%s+0x%lx)", info.dli_sname, object, offset);
    else
        (void)covey_text_print(place, PLACE_BYTES, "%s+0x%lx", object, offset);
    return true;
}

static void on_time(int number)
{
    void *frames[FRAMES_MOST];
    char where[FRAMES_SHOWN * (PLACE_BYTES + 16)] = "";
    char place[PLACE_BYTES];
    struct covey_error error = {0};
    size_t used = 0;
    int shown = 0;
    (void)number;
    /* Not those of this function and of the return from it. */
    int count = backtrace(frames, FRAMES_MOST);
    for (int i = 2; i < count && shown < FRAMES_SHOWN; i++, shown++) {
        /* A caller's is where the call returns to, which may be the next function. */
        if (!describe((char *)frames[i] - (i > 2), place))
            break;
        used += (size_t)snprintf(where + used, sizeof(where) - used, "%s%s",
                                 shown > 0 ? ", called from " : ": it is in ", place);
    }
    int64_t since_ns = covey_now_ns() - load.begun_ns;
    (void)covey_error_set(&error, COVEY_ETIMEOUT,
                          "loading the code has not come to an end for %lld.%lld s, a constructor "
                          "does not return%s",
                          (long long)(since_ns / COVEY_NS_PER_S),
                          (long long)(since_ns % COVEY_NS_PER_S / (COVEY_NS_PER_S / 10)), where);
    load.on_hang(load.pack, &error, -1);
}

void pack_watch_load(struct pack *pack, int64_t within_ns, pack_hang_fn *on_hang)
{
    struct sigaction action = {.sa_handler = on_time, .sa_flags = SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMAX};
    const struct itimerspec time = {
        .it_value = {.tv_sec = within_ns / COVEY_NS_PER_S, .tv_nsec = within_ns % COVEY_NS_PER_S}};
    load.pack = NULL;
    if (within_ns <= 0)
        return;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (sigaction(SIGRTMAX, &action, NULL) < 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &load.timer) < 0)
        return;
    load.pack = pack;
    load.on_hang = on_hang;
    load.begun_ns = covey_now_ns();
    (void)timer_settime(load.timer, 0, &time, NULL);
}

void pack_unwatch_load(void)
{
    if (!load.pack)
        return;
    load.pack = NULL;
    (void)timer_delete(load.timer);
    (void)signal(SIGRTMAX, SIG_DFL);
}
