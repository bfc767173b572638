#include "tests/component/node/processes.h"

#include "base/buffer.h"
#include "base/io.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool marked(const char *process, const char *mark)
{
    char path[300];
    struct covey_buffer text = {0};
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%s/environ", process);
    if (covey_file_read(path, 1 << 20, &text, NULL) == COVEY_OK && text.length_bytes > 0)
        found = memmem(text.data, text.length_bytes, mark, strlen(mark) + 1) != NULL;
    covey_buffer_free(&text);
    return found;
}

size_t processes_marked(const char *flare_id, pid_t *pids, size_t limit)
{
    char mark[64];
    size_t count = 0;
    DIR *names = opendir("/proc");
    snprintf(mark, sizeof(mark), "COVEY_FLARE_ID=%s", flare_id);
    for (struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        if (*entry->d_name < '1' || *entry->d_name > '9' || !marked(entry->d_name, mark))
            continue;
        if (count < limit)
            pids[count] = (pid_t)strtol(entry->d_name, NULL, 10);
        count++;
    }
    closedir(names);
    return count;
}

static bool runs(pid_t pid, const char *program, pid_t *parent)
{
    char path[64];
    struct covey_buffer text = {0};
    bool found = false;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (covey_file_read(path, 4096, &text, NULL) == COVEY_OK &&
        covey_buffer_append(&text, "", 1) == COVEY_OK) {
        const char *open = strchr((char *)text.data, '(');
        const char *close = strrchr((char *)text.data, ')');
        found = open && close && strncmp(open + 1, program, strlen(program)) == 0;
        if (close)
            *parent = (pid_t)strtol(close + 4, NULL, 10);
    }
    covey_buffer_free(&text);
    return found;
}

pid_t processes_find(const char *flare_id, const char *program, size_t n)
{
    pid_t pids[256];
    size_t count = processes_marked(flare_id, pids, 256);
    for (size_t i = 0; i < count && i < 256; i++) {
        pid_t parent = 0;
        pid_t unused;
        if (!runs(pids[i], program, &parent) || runs(parent, program, &unused))
            continue;
        if (n-- == 0)
            return pids[i];
    }
    return 0;
}

pid_t processes_parent(pid_t pid)
{
    pid_t parent = 0;
    (void)runs(pid, "", &parent);
    return parent;
}
