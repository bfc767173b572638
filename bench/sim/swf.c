/*
 * The Standard Workload Format, version 2.2: a header of lines "; Label: value", then a line of 18
 * numbers for each job, -1 where one is not known.
 */
#include "bench/sim/trace.h"

#include "base/error.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
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

/* The fields that a job is made of: from -1 to these. The others may be anything. */
static const int64_t field_limits[FIELDS] = {
    [FIELD_NUMBER] = INT64_C(1) << 53,
    [FIELD_SUBMIT] = INT64_C(1) << 53,
    [FIELD_RUN] = SIM_RUN_MAX_S,
    [FIELD_PROCESSORS] = 1 << 20,
    [FIELD_REQUESTED_PROCESSORS] = 1 << 20,
    [FIELD_REQUESTED_TIME] = SIM_RUN_MAX_S,
    [FIELD_USER] = INT32_MAX,
};

/* Submit times that begin later than this are no times since the trace's beginning. */
#define LATE_S (366 * INT64_C(86400))

/* Kinds of notes. */
enum { NOTE_LEFT_OUT, NOTE_MORE_COLUMNS, NOTE_FEWER_COLUMNS, NOTE_HEADER, NOTE_TIMES, NOTE_LATE };
static_assert(NOTE_LATE < SIM_NOTES_MAX, "a note for each kind");

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
    if (word.length >= (int)sizeof(text))
        return false;
    memcpy(text, word.text, (size_t)word.length);
    text[word.length] = 0;
    if (strspn(text, "+-.0123456789eE") < (size_t)word.length)
        return false;
    char *end;
    *number = strtod(text, &end);
    return *text && !*end && isfinite(*number);
}

/* Text of a file as a terminal may see it: other bytes than printable ASCII as \xNN. */
static const char *printable(struct word word, char shown[static 64])
{
    size_t used = 0;
    for (int i = 0; i < word.length && used < 56; i++) {
        unsigned char byte = (unsigned char)word.text[i];
        if (byte >= ' ' && byte < 127)
            shown[used++] = (char)byte;
        else
            used += (size_t)snprintf(shown + used, 5, "\\x%02x", byte);
    }
    shown[used] = 0;
    return shown;
}

static void COVEY_PRINTF(3, 4) note(struct sim_trace *trace, unsigned kind, const char *format, ...)
{
    struct sim_note *entry = &trace->notes[kind];
    if (entry->count++)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(entry->text, sizeof(entry->text), format, arguments);
    va_end(arguments);
}

/* A field that a job is made of; false, with a note, where it says nothing that a job could be. */
static bool take_field(const struct line *line, struct word word, int index, int64_t *value,
                       struct sim_trace *trace)
{
    char shown[64];
    double number;
    if (!parse(word, &number)) {
        note(trace, NOTE_LEFT_OUT, "%s:%u: field %d (%s) is \"%s\", which is no number; left out",
             line->name, line->number, index + 1, field_names[index], printable(word, shown));
        return false;
    }
    number = floor(number);
    if (number < -1 || number > (double)field_limits[index]) {
        note(trace, NOTE_LEFT_OUT,
             "%s:%u: field %d (%s) is %s, which is not from -1 to %" PRId64 "; left out",
             line->name, line->number, index + 1, field_names[index], printable(word, shown),
             field_limits[index]);
        return false;
    }
    *value = (int64_t)number;
    return true;
}

static bool read_fields(struct line *line, int64_t values[FIELDS], struct sim_trace *trace)
{
    int count = 0;
    for (struct word word = next_word(line); word.length; word = next_word(line), count++) {
        if (count < FIELDS && field_limits[count] &&
            !take_field(line, word, count, &values[count], trace))
            return false;
    }
    if (count <= FIELD_PROCESSORS) {
        note(trace, NOTE_LEFT_OUT, "%s:%u: %d fields, a job has %d; left out", line->name,
             line->number, count, FIELDS);
        return false;
    }
    if (count != FIELDS)
        note(trace, count > FIELDS ? NOTE_MORE_COLUMNS : NOTE_FEWER_COLUMNS,
             "%s:%u: %d fields, a job has %d; %s", line->name, line->number, count, FIELDS,
             count > FIELDS ? "the others are passed over" : "the missing ones are unknown");
    return true;
}

static enum covey_status read_job(struct line *line, struct sim_trace *trace,
                                  struct covey_error *error)
{
    int64_t values[FIELDS];
    for (int i = 0; i < FIELDS; i++)
        values[i] = -1;
    if (!read_fields(line, values, trace))
        return COVEY_OK;
    if (values[FIELD_SUBMIT] < 0) {
        note(trace, NOTE_LEFT_OUT, "%s:%u: the job has no submit time; left out", line->name,
             line->number);
        return COVEY_OK;
    }
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
    enum covey_status status = sim_trace_add(trace, &job);
    if (status)
        return covey_error_set(error, status, "%s:%u: no room for more jobs", line->name,
                               line->number);
    return COVEY_OK;
}

/* "; MaxNodes: 64" and "; MaxProcs: 1,024" are taken, other comments passed over. */
static void read_comment(struct line *line, struct sim_trace *trace)
{
    line->next++;
    struct word label = next_word(line);
    uint32_t *wanted = NULL;
    if (label.length == 9 && memcmp(label.text, "MaxNodes:", 9) == 0)
        wanted = &trace->nodes;
    else if (label.length == 9 && memcmp(label.text, "MaxProcs:", 9) == 0)
        wanted = &trace->slots;
    if (!wanted)
        return;
    struct word word = next_word(line);
    char digits[32];
    struct word plain = {.text = digits};
    for (int i = 0; i < word.length && plain.length < (int)sizeof(digits); i++) {
        if (word.text[i] != ',' && word.text[i] != '\'' && word.text[i] != '_')
            digits[plain.length++] = word.text[i];
    }
    double number;
    char shown[64];
    if (!parse(plain, &number) || number < -1 || number > 1e9)
        note(trace, NOTE_HEADER, "%s:%u: %.9s says \"%s\", which is no number; not looked at",
             line->name, line->number, label.text, printable(word, shown));
    else
        *wanted = number > 0 ? (uint32_t)number : 0;
}

/* Counts from the first job where the times are Unix times, and leaves out what is too far. */
static void settle_times(const char *name, struct sim_trace *trace)
{
    int64_t first = trace->count ? trace->jobs[0].submit_s : 0;
    if (first > LATE_S) {
        note(trace, NOTE_TIMES, "%s: the first job comes at %" PRId64 " s: counted from there",
             name, first);
        for (uint32_t i = 0; i < trace->count; i++)
            trace->jobs[i].submit_s -= first;
    }
    while (trace->count && trace->jobs[trace->count - 1].submit_s > SIM_SUBMIT_MAX_S) {
        trace->count--;
        note(trace, NOTE_LATE, "%s: a job comes more than %lld s after the first; left out", name,
             SIM_SUBMIT_MAX_S);
    }
}

enum covey_status sim_swf_read(const char *name, const char *text, size_t length_bytes,
                               struct sim_trace *trace, struct covey_error *error)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *end = text + length_bytes;
    enum covey_status status = COVEY_OK;
    struct line line = {.name = name};
    if (length_bytes >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;
    for (const char *next = text; next < end && !status; next = line.end + 1) {
        const char *newline = memchr(next, '\n', (size_t)(end - next));
        line.number++;
        line.end = newline ? newline : end;
        line.next = next;
        struct word first = next_word(&line);
        line.next = first.text;
        if (first.length && *first.text == ';')
            read_comment(&line, trace);
        else if (first.length)
            status = read_job(&line, trace, error);
    }
    if (!trace->slots)
        trace->slots = trace->nodes;
    if (!status)
        status = sim_trace_sort(trace);
    if (!status)
        settle_times(name, trace);
    return status;
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
