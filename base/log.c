#include "base/log.h"

#include "base/log_file.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { line_bytes = 1024 };

static const char *program_name = "covey";
static int log_fd = STDERR_FILENO;
static _Atomic int current_level = COVEY_LOG_INFO;

static const char *const level_names[] = {"error", "warn", "info", "debug"};

bool covey_log_parse_level(const char *name, enum covey_log_level *level)
{
    for (int i = 0; i <= COVEY_LOG_DEBUG; i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (enum covey_log_level)i;
            return true;
        }
    }
    return false;
}

void covey_log_init(const char *program)
{
    program_name = program;
    const char *wanted = getenv("COVEY_LOG");
    enum covey_log_level level;
    if (!wanted || !*wanted)
        return;
    if (covey_log_parse_level(wanted, &level))
        covey_log_set_level(level);
    else
        log_warn("COVEY_LOG is none of error, warn, info, debug: using info value=\"%s\"", wanted);
}

void covey_log_set_fd(int fd)
{
    log_fd = fd;
}

void covey_log_set_level(enum covey_log_level level)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

bool covey_log_enabled(enum covey_log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static int kept_error_fd = -1;

void covey_log_keep_error(int fd)
{
    kept_error_fd = fd;
}

static void keep_text(const char *text)
{
    if (kept_error_fd >= 0 && pwrite(kept_error_fd, text, strlen(text) + 1, 0) < 0) {
        /* it is on standard error all the same */
    }
}

/* Looking at the file's length costs a call; one in so many records does. */
#define LOOK_EVERY 64

static uint64_t most_bytes; /* 0: any */
static atomic_uint records;

void covey_log_keep_below(uint64_t limit_bytes)
{
    most_bytes = limit_bytes;
}

static void bound_file(void)
{
    if (most_bytes &&
        atomic_fetch_add_explicit(&records, 1, memory_order_relaxed) % LOOK_EVERY == 0)
        covey_log_file_bound(log_fd, most_bytes);
}

static size_t write_prefix(char *line, size_t size, enum covey_log_level level)
{
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    char stamp[32];
    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
    int length = snprintf(line, size, "%s.%03ldZ %s %s: ", stamp, now.tv_nsec / 1000000,
                          level_names[level], program_name);
    return length < 0 ? 0 : (size_t)length < size ? (size_t)length : size - 1;
}

void covey_log(enum covey_log_level level, const char *format, ...)
{
    if (!covey_log_enabled(level))
        return;
    int saved = errno;
    char line[line_bytes];
    size_t length = write_prefix(line, sizeof(line) - 1, level);
    char *text = line + length;
    va_list arguments;
    va_start(arguments, format);
    errno = saved;
    length += covey_text_vprint(text, sizeof(line) - 1 - length, format, arguments);
    va_end(arguments);
    covey_text_tame(text);
    if (level == COVEY_LOG_ERROR)
        keep_text(text);
    line[length++] = '\n';
    if (write(log_fd, line, length) < 0) {
        /* nowhere left to say it */
    }
    bound_file();
    errno = saved;
}

bool covey_log_allow(struct covey_log_limit *limit, int64_t now_ns, uint64_t *unsaid)
{
    if (limit->written == 0 || now_ns - limit->start_ns >= COVEY_LOG_BURST_NS) {
        limit->start_ns = now_ns;
        limit->written = 0;
    }
    if (limit->written >= COVEY_LOG_BURST) {
        limit->unsaid++;
        return false;
    }
    limit->written++;
    *unsaid = limit->unsaid;
    limit->unsaid = 0;
    return true;
}
