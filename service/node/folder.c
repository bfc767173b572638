/*
 * A flare's own folder on a node: where its workers start who are given no other, or one that is
 * not there. The first pack that wants it makes it; the agent removes it with the flare, off its
 * loop, since workers may have put much into it.
 */
#include "base/io.h"
#include "base/log.h"
#include "base/memory.h"
#include "service/node/node.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct removal {
    uv_work_t work;
    struct node_flare *flare;
    void (*removed)(struct node_flare *flare);
    enum covey_status status;
    char path[FOLDER_BYTES];
};

void folder_path(const struct node *agent, const char *flare_id, char path[FOLDER_BYTES])
{
    (void)snprintf(path, FOLDER_BYTES, "%s/flares/%s", agent->options.state_dir, flare_id);
}

static void remove_tree(uv_work_t *work)
{
    struct removal *removal = work->data;
    removal->status = covey_remove_tree(removal->path);
}

static void on_removed(uv_work_t *work, int cancelled)
{
    struct removal *removal = work->data;
    struct node_flare *flare = removal->flare;
    (void)cancelled;
    if (removal->status)
        log_error("a flare's folder cannot be removed path=%s status=%s", removal->path,
                  covey_status_name(removal->status));
    void (*removed)(struct node_flare *) = removal->removed;
    free(removal);
    flare->folder_leaves = false;
    flare->folder_gone = true;
    removed(flare);
}

bool folder_remove(struct node_flare *flare, void (*removed)(struct node_flare *flare))
{
    char path[FOLDER_BYTES];
    folder_path(flare->agent, flare->text->flare_id, path);
    if (flare->folder_leaves)
        return false;
    if (flare->folder_gone || access(path, F_OK) != 0)
        return true;
    struct removal *removal = covey_calloc(1, sizeof(*removal));
    if (removal) {
        removal->work.data = removal;
        removal->flare = flare;
        removal->removed = removed;
        folder_path(flare->agent, flare->text->flare_id, removal->path);
        if (uv_queue_work(&flare->agent->loop, &removal->work, remove_tree, on_removed) == 0) {
            flare->folder_leaves = true;
            return false;
        }
        free(removal);
    }
    log_error("a flare's folder is not removed: out of memory path=%s", path);
    return true;
}

void folder_sweep(struct node *agent)
{
    char path[FOLDER_BYTES];
    folder_path(agent, "", path);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (*entry->d_name == '.' || !local_flare_id_valid(entry->d_name) ||
            covey_map_get(&agent->flares, entry->d_name))
            continue;
        folder_path(agent, entry->d_name, path);
        if (covey_remove_tree(path) != COVEY_OK)
            log_error("a folder that a flare has left cannot be removed path=%s", path);
    }
    closedir(folder);
}
