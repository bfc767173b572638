/*
 * The Standard Workload Format, version 2.2: a header of lines "; Label: value", then a line of 18
 * numbers for each job, -1 where one is not known.
 */
#include "bench/sim/trace.h"

#include "base/error.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum field {
    FIELD_NUMBER,
    FIELD_SUBMIT,
    FIELD_RUN = 3,
    FIELD_PROCESSORS,
    FIELD_REQUESTED_PROCESSORS = 7,
    FIELD_REQUESTED_TIME,
    FIELD_USER = 11,
    FIELDS = 18
};

static const char *const field_names[FIELDS] = {
    "job number",     "submit time",      "wait time", "run time",
    "processors",     "cpu time",         "memory",    "requested processors",
    "requested time", "requested memory", "status",    "user",
    "group",          "executable",       "queue",     "partition",
    "preceding job",  "think time",
};

/* The fields that a job is made of: whole numbers from -1 to these. The others may be any number.
 */
static const int64_t field_limits[FIELDS] = {
    [FIELD_NUMBER] = INT64_C(1) << 53,
    [FIELD_SUBMIT] = SIM_SUBMIT_MAX_S,
    [FIELD_RUN] = SIM_RUN_MAX_S,
    [FIELD_PROCESSORS] = 1 << 20,
    [FIELD_REQUESTED_PROCESSORS] = 1 << 20,
    [FIELD_REQUESTED_TIME] = SIM_RUN_MAX_S,
    [FIELD_USER] = INT32_MAX,
};

/* A line of the file, parted into words on the way. */
struct line {
    const char *name;
    uint32_t number;
    const char *next;
    const char *end;
};

struct word {
    const char *text;
    int length;
};

static bool blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r';
}

static struct word next_word(struct line *line)
{
    while (line->next < line->end && blank(*line->next))
        line->next++;
    struct word word = {.text = line->next};
    while (line->next < line->end && !blank(*line->next))
        line->next++;
    word.length = (int)(line->next - word.text);
    return word;
}

/* A number that stands alone; false where the word is none. */
static bool parse(struct word word, double *number)
{
    char text[32];
    if (word.length >= (int)sizeof(text) ||
        strspn(word.text, "+-.0123456789eE") < (size_t)word.length)
        return false;
    memcpy(text, word.text, (size_t)word.length);
    text[word.length] = 0;
    char *end;
    *number = strtod(text, &end);
    return *text && !*end && isfinite(*number);
}

static enum covey_status read_fields(struct line *line, int64_t values[FIELDS],
                                     struct covey_error *error)
{
    int count = 0;
    for (struct word word = next_word(line); word.length; word = next_word(line), count++) {
        if (count >= FIELDS)
            continue;
        double number;
        int shown = word.length < 40 ? word.length : 40;
        if (!parse(word, &number))
            return covey_error_set(
                error, COVEY_EINVAL, "%s:%u: field %d (%s) is \"%.*s\", which is no number",
                line->name, line->number, count + 1, field_names[count], shown, word.text);
        int64_t limit = field_limits[count];
        if (limit && (number < -1 || number > (double)limit || number != floor(number)))
            return covey_error_set(error, COVEY_EINVAL,
                                   "%s:%u: field %d (%s) is %.*s, which is no whole number from -1 "
                                   "to %" PRId64,
                                   line->name, line->number, count + 1, field_names[count], shown,
                                   word.text, limit);
        values[count] = limit ? (int64_t)number : 0;
    }
    if (count != FIELDS)
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: %d fields, a job has %d", line->name,
                               line->number, count, FIELDS);
    return COVEY_OK;
}

static enum covey_status read_job(struct line *line, struct sim_trace *trace,
                                  struct covey_error *error)
{
    int64_t values[FIELDS] = {0};
    enum covey_status status = read_fields(line, values, error);
    if (status)
        return status;
    if (values[FIELD_SUBMIT] < 0)
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: the job has no submit time", line->name,
                               line->number);
    int64_t workers = values[FIELD_REQUESTED_PROCESSORS];
    if (workers <= 0)
        workers = values[FIELD_PROCESSORS];
    if (workers <= 0 || values[FIELD_RUN] < 0) {
        trace->skipped++;
        return COVEY_OK;
    }
    struct sim_job job = {
        .submit_s = values[FIELD_SUBMIT],
        .run_s = values[FIELD_RUN] > 0 ? values[FIELD_RUN] : 1,
        .limit_s = values[FIELD_REQUESTED_TIME] > 0 ? values[FIELD_REQUESTED_TIME] : 0,
        .workers = (uint32_t)workers,
        .tenant = values[FIELD_USER] > 0 ? (uint32_t)values[FIELD_USER] : 0,
    };
    if (job.limit_s && job.run_s > job.limit_s)
        job.run_s = job.limit_s;
    status = sim_trace_add(trace, &job);
    if (status)
        return covey_error_set(error, status, "%s:%u: no room for more jobs", line->name,
                               line->number);
    return COVEY_OK;
}

/* "; MaxNodes: 64" and "; MaxProcs: 1024" are taken, other comments passed over. */
static enum covey_status read_comment(struct line *line, struct sim_trace *trace,
                                      struct covey_error *error)
{
    line->next++;
    struct word label = next_word(line);
    uint32_t *wanted = NULL;
    if (label.length == 9 && memcmp(label.text, "MaxNodes:", 9) == 0)
        wanted = &trace->nodes;
    else if (label.length == 9 && memcmp(label.text, "MaxProcs:", 9) == 0)
        wanted = &trace->slots;
    if (!wanted)
        return COVEY_OK;
    struct word word = next_word(line);
    double number;
    if (!parse(word, &number) || number < -1 || number > 1e9 || number != floor(number))
        return covey_error_set(error, COVEY_EINVAL, "%s:%u: %.9s says \"%.*s\", which is no number",
                               line->name, line->number, label.text,
                               word.length < 40 ? word.length : 40, word.text);
    *wanted = number > 0 ? (uint32_t)number : 0;
    return COVEY_OK;
}

enum covey_status sim_swf_read(const char *name, const char *text, size_t length_bytes,
                               struct sim_trace *trace, struct covey_error *error)
{
    const char *end = text + length_bytes;
    enum covey_status status = COVEY_OK;
    struct line line = {.name = name};
    for (const char *next = text; next < end && !status; next = line.end + 1) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        line.number++;
        line.end = newline ? newline : end;
        line.next = next;
        struct word first = next_word(&line);
        line.next = first.text;
        if (first.length && *first.text == ';')
            status = read_comment(&line, trace, error);
        else if (first.length)
            status = read_job(&line, trace, error);
    }
    return status ? status : sim_trace_sort(trace);
}

void sim_swf_write(FILE *out, const struct sim_trace *trace, uint32_t nodes, uint32_t cores)
{
    fprintf(out,
            "; Version: 2.2\n"
            "; Computer: none, made by covey-sim\n"
            "; MaxJobs: %u\n"
            "; MaxRecords: %u\n"
            "; MaxNodes: %u\n"
            "; MaxProcs: %" PRIu64 "\n"
            "; Note: job, submit, wait, run, processors, cpu, memory, requested processors,\n"
            "; Note: requested time, requested memory, status, user, group, executable, queue,\n"
            "; Note: partition, preceding job, think time\n",
            trace->count, trace->count, nodes, (uint64_t)nodes * cores);
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct sim_job *job = &trace->jobs[i];
        fprintf(out,
                "%u %" PRId64 " -1 %" PRId64 " %u -1 -1 %u %" PRId64 " -1 1 %" PRId64
                " -1 -1 -1 -1 -1 -1\n",
                i + 1, job->submit_s, job->run_s, job->workers, job->workers,
                job->limit_s ? job->limit_s : -1, job->tenant ? (int64_t)job->tenant : -1);
    }
}
