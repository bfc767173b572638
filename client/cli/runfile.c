#include "client/cli/runfile.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/io.h"
#include "client/cli/quote.h"

#include <cyaml/cyaml.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_BYTES (8 << 20)

struct process_entry {
    char *name;
    int64_t pid;
    uint64_t start_time;
    char *log;
};

struct run_file {
    char *endpoint;
    char *listen;
    char *state_dir;
    char *runtime_dir;
    uint32_t nodes;
    uint32_t slots;
    struct process_entry *processes;
    unsigned processes_count;
};

static const cyaml_schema_field_t process_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct process_entry, name, 1, 31),
    CYAML_FIELD_INT("pid", CYAML_FLAG_DEFAULT, struct process_entry, pid),
    CYAML_FIELD_UINT("start_time", CYAML_FLAG_DEFAULT, struct process_entry, start_time),
    CYAML_FIELD_STRING_PTR("log", CYAML_FLAG_POINTER, struct process_entry, log, 0, PATH_MAX),
    CYAML_FIELD_END};

static const cyaml_schema_value_t process_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct process_entry, process_fields)};

static const cyaml_schema_field_t fields[] = {
    CYAML_FIELD_STRING_PTR("endpoint", CYAML_FLAG_POINTER, struct run_file, endpoint, 1, 255),
    CYAML_FIELD_STRING_PTR("listen", CYAML_FLAG_POINTER, struct run_file, listen, 0, 255),
    CYAML_FIELD_STRING_PTR("state_dir", CYAML_FLAG_POINTER, struct run_file, state_dir, 1,
                           PATH_MAX - 1),
    CYAML_FIELD_STRING_PTR("runtime_dir", CYAML_FLAG_POINTER, struct run_file, runtime_dir, 1,
                           PATH_MAX - 1),
    CYAML_FIELD_UINT("nodes", CYAML_FLAG_DEFAULT, struct run_file, nodes),
    CYAML_FIELD_UINT("slots", CYAML_FLAG_DEFAULT, struct run_file, slots),
    CYAML_FIELD_SEQUENCE("processes", CYAML_FLAG_POINTER, struct run_file, processes,
                         &process_schema, 1, CLI_MAX_NODES + 1),
    CYAML_FIELD_END};

static const cyaml_schema_value_t schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct run_file, fields)};

static const cyaml_config_t how = {
    .log_level = CYAML_LOG_ERROR,
    .mem_fn = cyaml_mem,
    .flags = CYAML_CFG_DEFAULT,
};

static void path_of(char path[PATH_MAX], const char *runtime, const char *name)
{
    snprintf(path, PATH_MAX, "%.4000s/%s", runtime, name);
}

enum covey_status cli_runfile_lock(const char *runtime, int *fd, struct covey_error *error)
{
    char path[PATH_MAX];
    path_of(path, runtime, "up.lock");
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0)
        return covey_error_set_errno(error, errno, "cannot open %s", path);
    if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
        return COVEY_OK;
    covey_close(fd);
    return covey_error_set(error, COVEY_EEXISTS,
                           "another covey up or down is at work; wait for its end");
}

void cli_runfile_unlock(int *fd)
{
    /* Closing is not enough: what was started here and has not executed its program yet has it. */
    if (*fd >= 0)
        (void)flock(*fd, LOCK_UN);
    covey_close(fd);
}

static enum covey_status format(const struct cli_cluster *cluster, struct covey_buffer *out)
{
    enum covey_status status = covey_buffer_printf(out, "{\"endpoint\":");
    if (!status)
        status = cli_quote(out, cluster->server);
    if (!status)
        status = covey_buffer_printf(out, ",\"listen\":");
    if (!status)
        status = cli_quote(out, cluster->listen);
    if (!status)
        status = covey_buffer_printf(out, ",\n \"state_dir\":");
    if (!status)
        status = cli_quote(out, cluster->state);
    if (!status)
        status = covey_buffer_printf(out, ",\"runtime_dir\":");
    if (!status)
        status = cli_quote(out, cluster->runtime);
    if (!status)
        status = covey_buffer_printf(
            out, ",\n \"nodes\":%" PRIu32 ",\"slots\":%" PRIu32 ",\n \"processes\":[",
            cluster->nodes, cluster->slots);
    for (size_t i = 0; !status && i < cluster->process_count; i++) {
        const struct cli_process *process = &cluster->processes[i];
        status = covey_buffer_printf(
            out,
            "%s\n  {\"name\":\"%s\",\"pid\":%ld,\"start_time\":%" PRIu64 ",\"log\":", i ? "," : "",
            process->name, (long)process->pid, process->start_time);
        char log[PATH_MAX];
        cli_process_log(cluster, process, log);
        if (!status)
            status = cli_quote(out, log);
        if (!status)
            status = covey_buffer_printf(out, "}");
    }
    return status ? status : covey_buffer_printf(out, "]}\n");
}

enum covey_status cli_runfile_write(const struct cli_cluster *cluster, struct covey_error *error)
{
    char path[PATH_MAX];
    struct covey_buffer text = {0};
    path_of(path, cluster->runtime, "run.json");
    enum covey_status status = format(cluster, &text);
    if (status)
        covey_error_set(error, status, "out of memory");
    else
        status = covey_file_write(path, text.data, text.length_bytes, 0600, error);
    covey_buffer_free(&text);
    return status;
}

static void fill(struct cli_cluster *cluster, const struct run_file *file)
{
    snprintf(cluster->server, sizeof cluster->server, "%s", file->endpoint);
    snprintf(cluster->listen, sizeof cluster->listen, "%s", file->listen);
    snprintf(cluster->state, sizeof cluster->state, "%s", file->state_dir);
    snprintf(cluster->runtime, sizeof cluster->runtime, "%s", file->runtime_dir);
    cluster->nodes = file->nodes;
    cluster->slots = file->slots;
    cluster->process_count = file->processes_count;
    for (unsigned i = 0; i < file->processes_count; i++) {
        struct cli_process *process = &cluster->processes[i];
        snprintf(process->name, sizeof process->name, "%s", file->processes[i].name);
        process->pid = (pid_t)file->processes[i].pid;
        process->start_time = file->processes[i].start_time;
    }
}

enum covey_status cli_runfile_read(const char *runtime, struct cli_cluster *cluster,
                                   struct covey_error *error)
{
    char path[PATH_MAX];
    path_of(path, runtime, "run.json");
    *cluster = (struct cli_cluster){.lifeline_fd = -1};
    if (access(path, F_OK))
        return covey_error_set(error, COVEY_ENOTFOUND, "nothing was started here with covey up");
    cyaml_data_t *loaded = NULL;
    struct covey_buffer text = {0};
    enum covey_status status = covey_file_read(path, MAX_BYTES, &text, error);
    if (!status && text.length_bytes > 0 &&
        cyaml_load_data(text.data, text.length_bytes, &how, &schema, &loaded, NULL))
        status = covey_error_set(
            error, COVEY_EINVAL,
            "%s cannot be read: end the processes that it names, and remove it", path);
    covey_buffer_free(&text);
    if (status)
        return status;
    /* It is written whole, so only a loss of power leaves it empty: nothing of it runs. */
    if (!loaded)
        return covey_error_set(error, COVEY_ENOTFOUND, "nothing was started here with covey up");
    fill(cluster, loaded);
    cli_cluster_find_successors(cluster);
    (void)cyaml_free(&how, &schema, loaded, 0);
    return COVEY_OK;
}

void cli_runfile_remove(const char *runtime)
{
    char path[PATH_MAX];
    path_of(path, runtime, "run.json");
    (void)unlink(path);
}
