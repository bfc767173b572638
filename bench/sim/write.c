/* Reports as JSON and as text. */
#include "bench/sim/report.h"

#include <inttypes.h>
#include <stddef.h>

static void json_string(FILE *out, const char *text)
{
    putc('"', out);
    for (; *text; text++) {
        unsigned char character = (unsigned char)*text;
        if (character == '"' || character == '\\')
            fprintf(out, "\\%c", character);
        else if (character < 0x20)
            fprintf(out, "\\u%04x", character);
        else
            putc(character, out);
    }
    putc('"', out);
}

static void json_spread(FILE *out, const char *name, const struct sim_spread *spread)
{
    fprintf(out, "\"%s\":{\"mean\":%.3f,\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"max\":%.3f},",
            name, spread->mean, spread->p50, spread->p90, spread->p99, spread->max);
}

static void json_inside(FILE *out, const char *name, const double inside[SIM_LEVELS])
{
    fprintf(out, "\"%s\":{\"node\":%.6f,\"rack\":%.6f,\"zone\":%.6f}", name, inside[SIM_NODE],
            inside[SIM_RACK], inside[SIM_ZONE]);
}

static void json_report(FILE *out, const struct sim_report *report)
{
    fprintf(out,
            "{\"policy\":\"%s\",\"done\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"given_up\":%" PRIu64
            ",\"makespan_s\":%.3f,"
            "\"utilisation\":%.6f,\"utilisation_loaded\":%.6f,",
            report->policy, report->done, report->refused, report->given_up, report->makespan_s,
            report->utilisation, report->utilisation_loaded);
    json_spread(out, "wait_s", &report->wait_s);
    json_spread(out, "slowdown", &report->slowdown);
    fprintf(out, "\"fragmentation\":%.6f,\"locality\":{", report->fragmentation);
    json_inside(out, "pairs", report->pairs_inside);
    putc(',', out);
    json_inside(out, "jobs", report->jobs_inside);
    fprintf(out,
            "},\"fairness\":%.6f,\"held_idle\":%.6f,\"partial_holds\":%" PRIu64
            ",\"timeouts\":%" PRIu64 ",\"deadlocks\":%" PRIu64 "}",
            report->fairness, report->held_idle, report->partial_holds, report->timeouts,
            report->deadlocks);
}

void sim_report_json(FILE *out, const struct sim_subject *subject, const struct sim_report *reports,
                     uint32_t count)
{
    const struct sim_shape *shape = subject->shape;
    fputs("{\"simulator\":\"covey-sim\",\"source\":", out);
    json_string(out, subject->source);
    fprintf(out,
            ",\"seed\":%" PRIu64 ",\"hold_s\":%.3f,\"jobs\":%u,\"skipped\":%u,"
            "\"cluster\":{\"nodes\":%u,\"cores\":%u,\"slots\":%" PRIu64
            ",\"racks\":%u,\"zones\":%u},\"policies\":[",
            subject->seed, subject->hold_s, subject->trace->count, subject->trace->skipped,
            shape->nodes, shape->cores, (uint64_t)shape->nodes * shape->cores, shape->racks,
            shape->zones);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            putc(',', out);
        json_report(out, &reports[i]);
    }
    fputs("]}\n", out);
}

/* A row of the table: a count, or a figure with so many decimals, of each report. */
struct row {
    const char *name;
    size_t at; /* in the report */
    int decimals;
    double scale; /* 0: it is a count */
};

#define COUNT(name, field)                                                                         \
    {                                                                                              \
        name, offsetof(struct sim_report, field), 0, 0                                             \
    }
#define FIGURE(name, field, decimals)                                                              \
    {                                                                                              \
        name, offsetof(struct sim_report, field), decimals, 1                                      \
    }
#define PERCENT(name, field)                                                                       \
    {                                                                                              \
        name " (%)", offsetof(struct sim_report, field), 2, 100                                    \
    }

static const struct row rows[] = {
    COUNT("done", done),
    COUNT("refused", refused),
    COUNT("given up", given_up),
    FIGURE("wait, median (s)", wait_s.p50, 1),
    FIGURE("wait, p90 (s)", wait_s.p90, 1),
    FIGURE("wait, p99 (s)", wait_s.p99, 1),
    FIGURE("slowdown, median", slowdown.p50, 2),
    FIGURE("slowdown, p90", slowdown.p90, 2),
    FIGURE("slowdown, p99", slowdown.p99, 2),
    FIGURE("fairness", fairness, 4),
    FIGURE("makespan (s)", makespan_s, 0),
    PERCENT("utilisation", utilisation),
    PERCENT("utilisation, loaded", utilisation_loaded),
    PERCENT("held but idle", held_idle),
    PERCENT("fragmentation", fragmentation),
    PERCENT("pairs inside a node", pairs_inside[SIM_NODE]),
    PERCENT("pairs inside a rack", pairs_inside[SIM_RACK]),
    PERCENT("pairs inside a zone", pairs_inside[SIM_ZONE]),
    PERCENT("inside a node, by job", jobs_inside[SIM_NODE]),
    PERCENT("inside a rack, by job", jobs_inside[SIM_RACK]),
    PERCENT("inside a zone, by job", jobs_inside[SIM_ZONE]),
    COUNT("partial holds", partial_holds),
    COUNT("holds timed out", timeouts),
    COUNT("deadlocks", deadlocks),
};

static void text_row(FILE *out, const struct row *row, const struct sim_report *reports,
                     uint32_t count)
{
    fprintf(out, "%-28s", row->name);
    for (uint32_t i = 0; i < count; i++) {
        const char *value = (const char *)&reports[i] + row->at;
        if (row->scale > 0)
            fprintf(out, " %12.*f", row->decimals,
                    row->scale * *(const double *)(const void *)value);
        else
            fprintf(out, " %12" PRIu64, *(const uint64_t *)(const void *)value);
    }
    putc('\n', out);
}

void sim_report_text(FILE *out, const struct sim_subject *subject, const struct sim_report *reports,
                     uint32_t count)
{
    const struct sim_shape *shape = subject->shape;
    fprintf(out, "%u jobs (%s) on %u nodes of %u cores in %u racks and %u zones\n\n%-28s",
            subject->trace->count, subject->source, shape->nodes, shape->cores, shape->racks,
            shape->zones, "");
    for (uint32_t i = 0; i < count; i++)
        fprintf(out, " %12s", reports[i].policy);
    putc('\n', out);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        text_row(out, &rows[i], reports, count);
}
