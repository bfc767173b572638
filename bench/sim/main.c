/* covey-sim: the scheduler on a machine that is not there. */
#include "bench/sim/engine.h"
#include "bench/sim/picture.h"
#include "bench/sim/report.h"
#include "bench/sim/text.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/quantity.h"
#include "base/start.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_FAILED = 1, EXIT_BAD_INPUT = 2, policies_max = 8 };
enum { default_nodes = 100, default_cores = 16, nodes_per_rack = 16, racks_per_zone = 8 };
static const size_t trace_limit_bytes = (size_t)1 << 30;

struct settings {
    struct sim_shape shape; /* 0: not given */
    struct sim_workload workload;
    int64_t hold_ns;
    const struct sim_policy *policies[policies_max];
    uint32_t policy_count;
    const char *trace;
    const char *svg;
    const char *write_swf;
    bool json;
};

enum {
    KEY_SEED = 256,
    KEY_NODES,
    KEY_CORES,
    KEY_RACKS,
    KEY_ZONES,
    KEY_JOBS,
    KEY_LOAD,
    KEY_MAX_WORKERS,
    KEY_TENANTS,
    KEY_ARRIVALS,
    KEY_POLICY,
    KEY_HOLD,
    KEY_TRACE,
    KEY_JSON,
    KEY_SVG,
    KEY_WRITE_SWF
};

static const struct argp_option options[] = {
    {0, 0, 0, 0, "The machine", 1},
    {"nodes", KEY_NODES, "N", 0, "Nodes (default: those of the trace's header, or 100)", 0},
    {"cores", KEY_CORES, "N", 0, "Cores of a node (default: of the trace's header, or 16)", 0},
    {"racks", KEY_RACKS, "N", 0, "Racks in all (default: one for 16 nodes)", 0},
    {"zones", KEY_ZONES, "N", 0, "Zones in all (default: one for 8 racks)", 0},
    {0, 0, 0, 0, "The jobs", 2},
    {"trace", KEY_TRACE, "FILE", 0, "Jobs from a file in the Standard Workload Format", 0},
    {"seed", KEY_SEED, "N", 0, "What the generator starts from (default: 1)", 0},
    {"jobs", KEY_JOBS, "N", 0, "Jobs to generate (default: 1000)", 0},
    {"load", KEY_LOAD, "SHARE", 0,
     "Work that is generated, as a share of what the machine can do (default: 0.8)", 0},
    {"max-workers", KEY_MAX_WORKERS, "N", 0, "Workers of a job (default: an eighth of the cores)",
     0},
    {"tenants", KEY_TENANTS, "N", 0, "Tenants (default: 16)", 0},
    {"arrivals", KEY_ARRIVALS, "WORD", 0, "poisson or bursty (default)", 0},
    {0, 0, 0, 0, "The simulation", 3},
    {"policy", KEY_POLICY, "NAME", 0,
     "covey, fifo, first-fit, faas or all (default); again for more", 0},
    {"hold", KEY_HOLD, "TIME", 0,
     "How long a worker of faas waits for the others of its job (default: 5m)", 0},
    {0, 0, 0, 0, "What comes out", 4},
    {"json", KEY_JSON, NULL, 0, "One JSON object", 0},
    {"svg", KEY_SVG, "FILE", 0, "Draw utilisation over time, and waits", 0},
    {"write-swf", KEY_WRITE_SWF, "FILE", 0, "Write the jobs to a file, and simulate nothing", 0},
    {0},
};

static uint64_t whole(const char *text, uint64_t least, uint64_t most, struct argp_state *state)
{
    char *end;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno || *text < '0' || *text > '9' || *end || number < least || number > most)
        argp_error(state, "\"%s\" is no whole number from %" PRIu64 " to %" PRIu64, text, least,
                   most);
    return number;
}

static double load_share(const char *text, struct argp_state *state)
{
    char *end;
    double share = strtod(text, &end);
    if (end == text || *end || !(share >= 0.001 && share <= 100))
        argp_error(state, "\"%s\" is no number from 0.001 to 100", text);
    return share;
}

static void add_policies(struct settings *settings, const char *name, struct argp_state *state)
{
    bool all = strcmp(name, "all") == 0;
    bool found = all;
    for (const struct sim_policy *const *policy = sim_policies; *policy; policy++) {
        if (!all && strcmp((*policy)->name, name) != 0)
            continue;
        found = true;
        bool known = false;
        for (uint32_t i = 0; i < settings->policy_count; i++)
            known = known || settings->policies[i] == *policy;
        if (!known)
            settings->policies[settings->policy_count++] = *policy;
    }
    if (!found)
        argp_error(state,
                   "no policy is called \"%s\"; there are: covey, fifo, first-fit, faas, all",
                   name);
}

static error_t parse_jobs(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    struct sim_workload *workload = &settings->workload;
    switch (key) {
    case KEY_SEED:
        workload->seed = whole(text, 0, UINT64_MAX, state);
        return 0;
    case KEY_JOBS:
        workload->jobs = (uint32_t)whole(text, 1, SIM_JOBS_MAX, state);
        return 0;
    case KEY_LOAD:
        workload->load = load_share(text, state);
        return 0;
    case KEY_MAX_WORKERS:
        workload->max_workers = (uint32_t)whole(text, 1, SCHED_WORKERS_MAX, state);
        return 0;
    case KEY_TENANTS:
        workload->tenants = (uint32_t)whole(text, 1, 100000, state);
        return 0;
    case KEY_ARRIVALS:
        workload->bursty = strcmp(text, "bursty") == 0;
        if (!workload->bursty && strcmp(text, "poisson") != 0)
            argp_error(state, "arrivals are poisson or bursty, not \"%s\"", text);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_machine(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case KEY_NODES:
        settings->shape.nodes = (uint32_t)whole(text, 1, 100000, state);
        return 0;
    case KEY_CORES:
        settings->shape.cores = (uint32_t)whole(text, 1, SCHED_CPUS_MAX, state);
        return 0;
    case KEY_RACKS:
        settings->shape.racks = (uint32_t)whole(text, 1, 100000, state);
        return 0;
    case KEY_ZONES:
        settings->shape.zones = (uint32_t)whole(text, 1, 100000, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct settings *settings = state->input;
    switch (key) {
    case KEY_POLICY:
        add_policies(settings, text, state);
        return 0;
    case KEY_HOLD:
        if (covey_parse_time(text, &settings->hold_ns) || settings->hold_ns == 0)
            argp_error(state, "--hold must be " COVEY_TIME_EXAMPLES ", not \"%s\"", text);
        return 0;
    case KEY_TRACE:
        settings->trace = text;
        return 0;
    case KEY_JSON:
        settings->json = true;
        return 0;
    case KEY_SVG:
        settings->svg = text;
        return 0;
    case KEY_WRITE_SWF:
        settings->write_swf = text;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "covey-sim takes no \"%s\"", text);
        return EINVAL;
    default:
        break;
    }
    error_t unknown = parse_machine(key, text, state);
    return unknown ? parse_jobs(key, text, state) : 0;
}

static uint32_t or_default(uint32_t given, uint32_t otherwise)
{
    return given ? given : otherwise;
}

/* What was not given is taken from the trace, or is as the options say. */
static enum covey_status complete_shape(struct settings *settings, const struct sim_trace *trace,
                                        struct covey_error *error)
{
    struct sim_shape *shape = &settings->shape;
    uint32_t told_nodes = trace->nodes;
    if (!told_nodes && trace->slots)
        told_nodes = (trace->slots + default_cores - 1) / default_cores;
    uint32_t told_cores = trace->slots ? (trace->slots + told_nodes - 1) / told_nodes : 0;
    shape->nodes = or_default(shape->nodes, or_default(told_nodes, default_nodes));
    shape->cores = or_default(shape->cores, or_default(told_cores, default_cores));
    shape->racks = or_default(shape->racks, (shape->nodes + nodes_per_rack - 1) / nodes_per_rack);
    shape->zones = or_default(shape->zones, (shape->racks + racks_per_zone - 1) / racks_per_zone);
    if (shape->racks > shape->nodes || shape->zones > shape->racks)
        return covey_error_set(error, COVEY_EINVAL,
                               "%u nodes cannot be in %u racks and those in %u zones", shape->nodes,
                               shape->racks, shape->zones);
    if (shape->nodes > 100000 || shape->cores > SCHED_CPUS_MAX)
        return covey_error_set(error, COVEY_EINVAL,
                               "%u nodes of %u cores, as the trace says, are too many: give --nodes"
                               " and --cores",
                               shape->nodes, shape->cores);
    return COVEY_OK;
}

static void print_notes(const struct sim_trace *trace)
{
    for (int i = 0; i < SIM_NOTES_MAX; i++) {
        const struct sim_note *note = &trace->notes[i];
        if (note->count > 1)
            fprintf(stderr, "covey-sim: %s (and %u more such places)\n", note->text,
                    note->count - 1);
        else if (note->count)
            fprintf(stderr, "covey-sim: %s\n", note->text);
    }
}

static enum covey_status read_trace(struct settings *settings, struct sim_trace *trace,
                                    struct covey_error *error)
{
    struct covey_buffer text = {0};
    enum covey_status status = sim_text_read(settings->trace, trace_limit_bytes, &text, error);
    if (!status)
        status =
            sim_swf_read(settings->trace, (const char *)text.data, text.length_bytes, trace, error);
    covey_buffer_free(&text);
    if (status == COVEY_EIO) /* a folder, for one: it is the user who named it */
        status = COVEY_EINVAL;
    print_notes(trace);
    if (!status && trace->count == 0)
        status = covey_error_set(error, COVEY_EINVAL, "%s has no job that ran", settings->trace);
    return status ? status : complete_shape(settings, trace, error);
}

static enum covey_status make_trace(struct settings *settings, struct sim_trace *trace,
                                    struct covey_error *error)
{
    if (settings->trace)
        return read_trace(settings, trace, error);
    enum covey_status status = complete_shape(settings, trace, error);
    if (status)
        return status;
    struct sim_workload *workload = &settings->workload;
    workload->slots = settings->shape.nodes * settings->shape.cores;
    uint32_t eighth =
        workload->slots / 8 < SCHED_WORKERS_MAX ? workload->slots / 8 : SCHED_WORKERS_MAX;
    workload->max_workers = or_default(workload->max_workers, or_default(eighth, 1));
    return sim_trace_generate(workload, trace, error);
}

static enum covey_status write_trace(const struct settings *settings, const struct sim_trace *trace,
                                     struct covey_error *error)
{
    char *text = NULL;
    size_t length_bytes = 0;
    FILE *out = open_memstream(&text, &length_bytes);
    if (out)
        sim_swf_write(out, trace, settings->shape.nodes, settings->shape.cores);
    enum covey_status status;
    if (!out || fclose(out))
        status =
            covey_error_set(error, COVEY_ENOMEM, "no memory for the text of %u jobs", trace->count);
    else
        status = covey_file_write(settings->write_swf, text, length_bytes, 0644, error);
    free(text);
    return status;
}

static enum covey_status simulate(const struct settings *settings, const struct sim_trace *trace,
                                  struct sim_report *reports, struct sim_picture *picture,
                                  struct covey_error *error)
{
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; i < settings->policy_count && !status; i++) {
        const struct sim_policy *policy = settings->policies[i];
        struct sim_run run = {.hold_ns = settings->hold_ns, .seed = settings->workload.seed};
        status = sim_run_trace(&run, policy, trace, &settings->shape, error);
        if (!status) {
            status = sim_report_fill(&run, policy->name, &reports[i]);
            if (!status && settings->svg)
                status = sim_picture_add(picture, policy->name, &run);
            if (status)
                covey_error_set(error, status, "no memory for the report of %s", policy->name);
        }
        sim_run_destroy(&run);
    }
    return status;
}

static enum covey_status report(const struct settings *settings, const struct sim_trace *trace,
                                struct covey_error *error)
{
    struct sim_report reports[policies_max];
    struct sim_picture picture = {0};
    enum covey_status status = simulate(settings, trace, reports, &picture, error);
    if (!status && settings->svg)
        status = sim_picture_write(&picture, settings->svg, error);
    sim_picture_free(&picture);
    if (status)
        return status;
    const struct sim_subject subject = {
        .source = settings->trace ? settings->trace : "generator",
        .seed = settings->workload.seed,
        .hold_s = (double)settings->hold_ns / (double)COVEY_NS_PER_S,
        .trace = trace,
        .shape = &settings->shape,
    };
    if (settings->json)
        sim_report_json(stdout, &subject, reports, settings->policy_count);
    else
        sim_report_text(stdout, &subject, reports, settings->policy_count);
    if (fflush(stdout) || ferror(stdout))
        return covey_error_set(error, COVEY_EIO, "the report cannot be written");
    return COVEY_OK;
}

static bool is_bad_input(enum covey_status status)
{
    return status == COVEY_EINVAL || status == COVEY_ENOTFOUND || status == COVEY_EACCES ||
           status == COVEY_ELIMIT;
}

int main(int argc, char **argv)
{
    struct settings settings = {
        .workload = {.seed = 1, .jobs = 1000, .load = 0.8, .tenants = 16, .bursty = true},
        .hold_ns = 300 * COVEY_NS_PER_S,
    };
    const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Simulates the scheduler, and others to compare it with, on a machine and jobs that "
               "are made up or read from a file. The same options give the same bytes.",
    };
    covey_start();
    argp_err_exit_status = EXIT_BAD_INPUT;
    argp_program_version = "covey-sim " COVEY_VERSION;
    argp_parse(&argp, argc, argv, 0, NULL, &settings);
    if (settings.policy_count == 0) {
        for (const struct sim_policy *const *policy = sim_policies; *policy; policy++)
            settings.policies[settings.policy_count++] = *policy;
    }
    struct covey_error error = {0};
    struct sim_trace trace = {0};
    /* Before the long work, not after it. */
    enum covey_status status =
        settings.svg ? covey_file_check_write(settings.svg, &error) : COVEY_OK;
    if (!status)
        status = make_trace(&settings, &trace, &error);
    if (!status && settings.write_swf)
        status = write_trace(&settings, &trace, &error);
    else if (!status)
        status = report(&settings, &trace, &error);
    sim_trace_free(&trace);
    if (!status)
        return 0;
    fprintf(stderr, "covey-sim: %s\n", error.message);
    return is_bad_input(status) ? EXIT_BAD_INPUT : EXIT_FAILED;
}
