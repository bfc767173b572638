#include "service/node/confinement.h"

#include "base/buffer.h"
#include "base/io.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX (1 << 20)

/* What /proc/self/cgroup and /proc/self/mountinfo say, line by line. */
struct reading {
    const char *root;
    char *groups;
    char *mounts;
};

/* A hierarchy as it is mounted, and this process's group in it. */
struct hierarchy {
    bool unified;
    char top[CONFINEMENT_PATH_BYTES];
    char own[CONFINEMENT_PATH_BYTES]; /* top, and what is below it */
};

/* The contents with a NUL, the caller's to free; NULL. */
static char *read_all(const char *root, const char *path)
{
    char full[CONFINEMENT_PATH_BYTES];
    struct covey_buffer text = {0};
    int length = snprintf(full, sizeof full, "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof full ||
        covey_file_read(full, FILE_BYTES_MAX, &text, NULL) != COVEY_OK ||
        covey_buffer_append(&text, "", 1) != COVEY_OK) {
        covey_buffer_free(&text);
        return NULL;
    }
    return (char *)text.data;
}

/* Whether a word is in a list that commas part. */
static bool lists(const char *list, size_t length, const char *word)
{
    size_t word_length = strlen(word);
    for (const char *at = list; at < list + length; at += strcspn(at, ",") + 1) {
        size_t left = length - (size_t)(at - list);
        size_t part = strcspn(at, ",");
        part = part < left ? part : left;
        if (part == word_length && strncmp(at, word, part) == 0)
            return true;
    }
    return false;
}

/* "4:memory:/a" or, of the unified hierarchy, "0::/a". False where there is none. */
static bool find_group(const struct reading *reading, const char *controller, char *path,
                       size_t size_bytes)
{
    for (const char *line = reading->groups; *line; line += strcspn(line, "\n")) {
        line += *line == '\n';
        size_t length = strcspn(line, "\n");
        const char *list = memchr(line, ':', length);
        const char *end = list ? memchr(list + 1, ':', length - (size_t)(list + 1 - line)) : NULL;
        if (!end)
            continue;
        size_t list_length = (size_t)(end - list - 1);
        size_t path_length = length - (size_t)(end + 1 - line);
        bool found = *controller ? lists(list + 1, list_length, controller) : list_length == 0;
        if (!found || path_length >= size_bytes)
            continue;
        (void)snprintf(path, size_bytes, "%.*s", (int)path_length, end + 1);
        return true;
    }
    return false;
}

/* What of a group's path is below the part of the hierarchy that is mounted. */
static const char *below(const char *path, const char *mounted)
{
    size_t length = strcmp(mounted, "/") == 0 ? 0 : strlen(mounted);
    if (strncmp(path, mounted, length) != 0 || (path[length] != '/' && path[length] != '\0') ||
        strstr(path, "/.."))
        return ""; /* made elsewhere: the top is what can be seen */
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* A line of mountinfo: "36 35 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory". */
static bool parse_mount(const struct reading *reading, const char *line, const char *controller,
                        struct hierarchy *hierarchy)
{
    char mounted[256];
    char top[256];
    char kind[16];
    char options[256] = "";
    char path[CONFINEMENT_PATH_BYTES];
    size_t length = strcspn(line, "\n");
    const char *rest = strstr(line, " - ");
    if (!rest || rest > line + length ||
        sscanf(line, "%*s %*s %*s %255s %255s", mounted, top) != 2 ||
        sscanf(rest, " - %15s %*s %255s", kind, options) < 1)
        return false;
    hierarchy->unified = strcmp(kind, "cgroup2") == 0;
    if ((!hierarchy->unified &&
         (strcmp(kind, "cgroup") != 0 || !lists(options, strlen(options), controller))) ||
        !find_group(reading, hierarchy->unified ? "" : controller, path, sizeof path))
        return false;
    int top_length = snprintf(hierarchy->top, sizeof hierarchy->top, "%s%s", reading->root, top);
    int own_length = snprintf(hierarchy->own, sizeof hierarchy->own, "%s%s", hierarchy->top,
                              below(path, mounted));
    return (size_t)top_length < sizeof hierarchy->top && (size_t)own_length < sizeof hierarchy->own;
}

/* The number that a file of a folder holds; UINT64_MAX for "max", and where there is none. */
static uint64_t read_number(const char *folder, const char *name, uint64_t *second)
{
    char path[CONFINEMENT_PATH_BYTES + 32];
    uint64_t number = UINT64_MAX;
    char *rest;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    char *text = read_all("", path);
    if (text && *text >= '0' && *text <= '9') {
        number = strtoull(text, &rest, 10);
        if (second)
            *second = strtoull(rest, NULL, 10);
    }
    free(text);
    return number;
}

static uint64_t read_memory(const char *folder, bool unified, const char **file)
{
    *file = unified ? "memory.max" : "memory.limit_in_bytes";
    uint64_t bytes = read_number(folder, *file, NULL);
    /* The older one says that there is none by the largest number of whole pages. */
    return bytes > INT64_MAX / 2 ? UINT64_MAX : bytes;
}

static uint64_t read_cpus(const char *folder, bool unified, const char **file)
{
    uint64_t period = 0;
    *file = unified ? "cpu.max" : "cpu.cfs_quota_us";
    uint64_t quota = read_number(folder, *file, &period);
    if (!unified)
        period = read_number(folder, "cpu.cfs_period_us", NULL);
    if (quota > UINT64_MAX / 1000 || period == 0 || period == UINT64_MAX)
        return UINT64_MAX;
    uint64_t milli = quota * 1000 / period;
    return milli ? milli : 1;
}

static uint64_t read_pids(const char *folder, bool unified, const char **file)
{
    (void)unified;
    *file = "pids.max";
    return read_number(folder, *file, NULL);
}

static void lower(struct confinement_limit *limit, uint64_t amount, const char *folder,
                  const char *file)
{
    struct stat facts;
    if (amount >= limit->amount)
        return;
    limit->amount = amount;
    limit->group = stat(folder, &facts) == 0 ? facts.st_ino : 0;
    (void)covey_text_print(limit->file, sizeof limit->file, "%s/%s", folder, file);
}

/* The least of a group and all above it. */
static void read_path(const struct hierarchy *hierarchy,
                      uint64_t (*read)(const char *folder, bool unified, const char **file),
                      struct confinement_limit *limit)
{
    char folder[CONFINEMENT_PATH_BYTES];
    size_t top_length = strlen(hierarchy->top);
    (void)snprintf(folder, sizeof folder, "%s", hierarchy->own);
    for (char *slash = folder; slash;) {
        const char *file;
        uint64_t amount = read(folder, hierarchy->unified, &file);
        lower(limit, amount, folder, file);
        slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < top_length)
            break;
        *slash = '\0';
    }
}

static void note_kills_file(const struct hierarchy *hierarchy, char *file)
{
    char path[CONFINEMENT_PATH_BYTES + 32];
    (void)snprintf(path, sizeof path, "%s/%s", hierarchy->own,
                   hierarchy->unified ? "memory.events" : "memory.oom_control");
    if (strlen(path) < CONFINEMENT_PATH_BYTES && access(path, R_OK) == 0)
        (void)snprintf(file, CONFINEMENT_PATH_BYTES, "%.*s", CONFINEMENT_PATH_BYTES - 1, path);
}

void confinement_read(const char *root, struct confinement *confinement)
{
    struct hierarchy hierarchy;
    struct reading reading = {.root = root};
    *confinement = (struct confinement){
        .memory.amount = UINT64_MAX, .cpus.amount = UINT64_MAX, .pids.amount = UINT64_MAX};
    reading.groups = read_all(root, "/proc/self/cgroup");
    reading.mounts = read_all(root, "/proc/self/mountinfo");
    for (const char *line = reading.mounts; reading.groups && line && *line;
         line += strcspn(line, "\n")) {
        line += *line == '\n';
        if (parse_mount(&reading, line, "memory", &hierarchy)) {
            read_path(&hierarchy, read_memory, &confinement->memory);
            note_kills_file(&hierarchy, confinement->kills_file);
        }
        if (parse_mount(&reading, line, "cpu", &hierarchy))
            read_path(&hierarchy, read_cpus, &confinement->cpus);
        if (parse_mount(&reading, line, "pids", &hierarchy))
            read_path(&hierarchy, read_pids, &confinement->pids);
    }
    free(reading.groups);
    free(reading.mounts);
}

size_t confinement_name_pids(const struct confinement *confinement, char *text, size_t size_bytes)
{
    const struct confinement_limit *limit = &confinement->pids;
    text[0] = '\0';
    if (limit->amount == UINT64_MAX)
        return 0;
    return covey_text_print(text, size_bytes, ", and %s allows %llu processes and threads",
                            limit->file, (unsigned long long)limit->amount);
}

/* "oom_kill 3", at the start of a line. */
static bool find_kills(char *text, uint64_t *kills)
{
    bool found = false;
    for (const char *line = text; line && *line && !found; line += strcspn(line, "\n")) {
        line += *line == '\n';
        found = strncmp(line, "oom_kill ", 9) == 0;
        if (found)
            *kills = strtoull(line + 9, NULL, 10);
    }
    free(text);
    return found;
}

bool confinement_kills(const struct confinement *confinement, uint64_t *kills)
{
    return *confinement->kills_file && find_kills(read_all("", confinement->kills_file), kills);
}

bool confinement_machine_kills(const char *root, uint64_t *kills)
{
    return find_kills(read_all(root, "/proc/vmstat"), kills);
}
