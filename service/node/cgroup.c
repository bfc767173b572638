#include "service/node/cgroup.h"

#include "base/buffer.h"
#include "base/io.h"
#include "base/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of the identity: names must not meet, and must leave room for what comes after. */
#define IDENTITY_CHARACTERS 12

/* Groups within groups that are looked into. */
#define DEPTH_MAX 64

static bool write_text(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    covey_close(&fd);
    return written;
}

/* The path of a process's group in the unified hierarchy, as /proc tells it; "" where it does not.
 */
static void read_path(const char *process, char *path, size_t size_bytes)
{
    char file[64];
    struct covey_buffer text = {0};
    *path = '\0';
    (void)snprintf(file, sizeof(file), "/proc/%s/cgroup", process);
    if (covey_file_read(file, 65536, &text, NULL) == COVEY_OK &&
        covey_buffer_append(&text, "", 1) == COVEY_OK) {
        const char *line = strstr((const char *)text.data, "0::");
        size_t length = line ? strcspn(line + 3, "\n") : 0;
        if (length > 0 && length < size_bytes)
            (void)snprintf(path, size_bytes, "%.*s", (int)length, line + 3);
    }
    covey_buffer_free(&text);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void read_note(const char *path, char folder[CGROUP_FOLDER_BYTES])
{
    struct covey_buffer text = {0};
    *folder = '\0';
    if (covey_file_read(path, CGROUP_FOLDER_BYTES - 1, &text, NULL) == COVEY_OK &&
        text.length_bytes > 0 && text.data[0] == '/' && !memchr(text.data, 0, text.length_bytes))
        (void)snprintf(folder, CGROUP_FOLDER_BYTES, "%.*s", (int)text.length_bytes,
                       (char *)text.data);
    covey_buffer_free(&text);
}

void cgroups_find_earlier(struct cgroups *cgroups, const char *state_folder)
{
    (void)snprintf(cgroups->note, sizeof(cgroups->note), "%s/cgroups", state_folder);
    read_note(cgroups->note, cgroups->earlier);
}

/* Makes the folder below a group; false where it cannot be ended as a whole. */
static bool make_folder(const char *folder)
{
    char file[CGROUP_BYTES];
    (void)snprintf(file, sizeof(file), "%s/cgroup.kill", folder);
    bool made = mkdir(folder, 0755) == 0;
    if (!made && errno != EEXIST)
        return false;
    if (access(file, W_OK) == 0)
        return true;
    if (made)
        (void)rmdir(folder);
    return false;
}

bool cgroups_open(struct cgroups *cgroups, const char *node_name, const char *identity)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char own[200];
    read_path("self", own, sizeof(own));
    for (size_t i = 0; *own && i < sizeof(roots) / sizeof(*roots); i++) {
        (void)snprintf(cgroups->folder, sizeof(cgroups->folder), "%s%s/covey-%s-%.*s", roots[i],
                       strcmp(own, "/") ? own : "", node_name, IDENTITY_CHARACTERS, identity);
        if (make_folder(cgroups->folder) &&
            covey_file_write(cgroups->note, cgroups->folder, strlen(cgroups->folder), 0600, NULL) ==
                COVEY_OK)
            return true;
    }
    *cgroups->folder = '\0';
    return false;
}

static bool is_gone(const char *folder)
{
    return !*folder || rmdir(folder) == 0 || errno == ENOENT;
}

void cgroups_close(struct cgroups *cgroups)
{
    bool gone = is_gone(cgroups->folder);
    gone = is_gone(cgroups->earlier) && gone;
    if (gone && *cgroups->note)
        (void)unlink(cgroups->note);
}

bool cgroup_make(const struct cgroups *cgroups, uint64_t number, char group[CGROUP_BYTES])
{
    (void)snprintf(group, CGROUP_BYTES, "%s/pack-%d-%llu", cgroups->folder, (int)getpid(),
                   (unsigned long long)number);
    if (mkdir(group, 0755) == 0)
        return true;
    group[0] = '\0';
    return false;
}

/* "/.../FOLDER/pack-1-2" ends with the folder's own name and a group of it. */
static bool is_within(const char *path, const char *folder)
{
    size_t length = (size_t)(last_part(path) - path);
    size_t name_length = strlen(last_part(folder));
    return *folder && length > name_length + 1 && path[length - name_length - 2] == '/' &&
           strncmp(path + length - name_length - 1, last_part(folder), name_length) == 0 &&
           strncmp(last_part(path), "pack-", 5) == 0;
}

void cgroup_of(const struct cgroups *cgroups, pid_t pid, char group[CGROUP_BYTES])
{
    const char *const folders[] = {cgroups->folder, cgroups->earlier};
    char process[16];
    char path[CGROUP_BYTES];
    (void)snprintf(process, sizeof(process), "%d", (int)pid);
    read_path(process, path, sizeof(path));
    *group = '\0';
    for (size_t i = 0; i < 2 && !*group; i++) {
        struct stat facts;
        if (!is_within(path, folders[i]))
            continue;
        int length = snprintf(group, CGROUP_BYTES, "%s/%s", folders[i], last_part(path));
        if (length >= CGROUP_BYTES || stat(group, &facts) < 0)
            *group = '\0';
    }
}

void cgroup_enter(const char *group)
{
    char path[CGROUP_BYTES + 16];
    (void)snprintf(path, sizeof(path), "%s/cgroup.procs", group);
    if (!write_text(path, "0"))
        _exit(127);
}

void cgroup_kill(const char *group)
{
    char path[CGROUP_BYTES + 16];
    (void)snprintf(path, sizeof(path), "%s/cgroup.kill", group);
    if (!write_text(path, "1") && errno != ENOENT)
        log_error("cannot end a cgroup folder=%s error=\"%s\"", group, strerror(errno));
}

static bool remove_below(int parent, const char *name, unsigned depth)
{
    if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
        return true;
    if (depth == DEPTH_MAX)
        return false;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (!names) {
        covey_close(&fd);
        return false;
    }
    for (struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        if (entry->d_type == DT_DIR && *entry->d_name != '.')
            (void)remove_below(dirfd(names), entry->d_name, depth + 1);
    }
    closedir(names);
    return unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

bool cgroup_remove(const char *group)
{
    return remove_below(AT_FDCWD, group, 0);
}

static bool sweep_folder(const char *folder, bool (*keep)(const char *group, void *data),
                         void *data)
{
    bool all_gone = true;
    DIR *names = *folder ? opendir(folder) : NULL;
    if (!names)
        return true;
    for (struct dirent *entry = readdir(names); entry; entry = readdir(names)) {
        char group[CGROUP_BYTES];
        if (entry->d_type != DT_DIR || strncmp(entry->d_name, "pack-", 5) != 0 ||
            snprintf(group, sizeof(group), "%s/%s", folder, entry->d_name) >= CGROUP_BYTES ||
            keep(group, data))
            continue;
        cgroup_kill(group);
        all_gone = cgroup_remove(group) && all_gone;
    }
    closedir(names);
    return all_gone;
}

bool cgroups_sweep(const struct cgroups *cgroups, bool (*keep)(const char *group, void *data),
                   void *data)
{
    bool all_gone = sweep_folder(cgroups->folder, keep, data);
    if (strcmp(cgroups->earlier, cgroups->folder) != 0)
        all_gone = sweep_folder(cgroups->earlier, keep, data) && all_gone;
    return all_gone;
}
