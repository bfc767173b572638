#include "bench/sim/picture.h"
#include "bench/sim/plot.h"
#include "bench/sim/report.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/io.h"
#include "base/memory.h"

#include <stdlib.h>

enum { buckets = 240 }; /* of the time, and of the jobs */

struct sim_picture_part {
    const char *policy;
    struct sim_point utilisation[buckets];
    struct sim_point waits[buckets + 1];
    uint32_t bucket_count;
    uint32_t wait_count;
};

/* The mean of the samples in each of equal parts of the time. */
static void fill_utilisation(struct sim_picture_part *part, const struct sim_run *run)
{
    if (run->sample_count < 2)
        return;
    int64_t first_ns = run->samples[0].time_ns;
    double span_ns = (double)(run->samples[run->sample_count - 1].time_ns - first_ns);
    double busy[buckets] = {0};
    double bucket_ns = span_ns / buckets;
    for (size_t i = 0; i + 1 < run->sample_count; i++) {
        double from = (double)(run->samples[i].time_ns - first_ns);
        double to = (double)(run->samples[i + 1].time_ns - first_ns);
        int bucket = (int)(from / bucket_ns);
        for (; bucket < buckets && bucket * bucket_ns < to; bucket++) {
            double begin = bucket * bucket_ns > from ? bucket * bucket_ns : from;
            double end = (bucket + 1) * bucket_ns < to ? (bucket + 1) * bucket_ns : to;
            busy[bucket] += (double)run->samples[i].running * (end - begin);
        }
    }
    for (int i = 0; i < buckets; i++) {
        double hours = i * bucket_ns / (double)COVEY_NS_PER_S / 3600;
        double percent = 100 * busy[i] / bucket_ns / (double)run->machine.slots;
        part->utilisation[i] = (struct sim_point){hours, percent};
    }
    part->bucket_count = buckets;
}

static enum covey_status fill_waits(struct sim_picture_part *part, const struct sim_run *run)
{
    double *waits_s;
    uint32_t count;
    enum covey_status status = sim_report_waits(run, &waits_s, &count);
    if (status)
        return status;
    for (int i = 0; i <= buckets && count; i++) {
        double share = (double)i / buckets;
        /* The axis is logarithmic and begins at a second. */
        double wait_s = sim_percentile(waits_s, count, share);
        part->waits[part->wait_count++] = (struct sim_point){wait_s > 1 ? wait_s : 1, 100 * share};
    }
    free(waits_s);
    return COVEY_OK;
}

enum covey_status sim_picture_add(struct sim_picture *picture, const char *policy,
                                  const struct sim_run *run)
{
    struct sim_picture_part *parts =
        covey_reallocarray(picture->parts, picture->count + 1, sizeof(*parts));
    if (!parts)
        return COVEY_ENOMEM;
    picture->parts = parts;
    struct sim_picture_part *part = &parts[picture->count];
    *part = (struct sim_picture_part){.policy = policy};
    fill_utilisation(part, run);
    enum covey_status status = fill_waits(part, run);
    if (!status)
        picture->count++;
    return status;
}

static void draw(FILE *out, const struct sim_picture *picture, struct sim_line *lines)
{
    struct sim_line *waits = lines + picture->count;
    for (uint32_t i = 0; i < picture->count; i++) {
        const struct sim_picture_part *part = &picture->parts[i];
        lines[i] = (struct sim_line){part->policy, part->utilisation, part->bucket_count, true};
        waits[i] = (struct sim_line){part->policy, part->waits, part->wait_count, false};
    }
    const struct sim_plot plots[] = {
        {.title = "Slots in use by whole gangs",
         .x = {"hours", false},
         .y = {"percent of all", false},
         .lines = lines,
         .count = picture->count},
        {.title = "How long jobs waited",
         .x = {"seconds (1: no more than one)", true},
         .y = {"percent of the jobs that waited no longer", false},
         .lines = waits,
         .count = picture->count},
    };
    sim_plot_svg(out, plots, 2);
}

enum covey_status sim_picture_write(const struct sim_picture *picture, const char *path,
                                    struct covey_error *error)
{
    char *text = NULL;
    size_t length_bytes = 0;
    struct sim_line *lines = covey_calloc(2 * (size_t)picture->count + 1, sizeof(*lines));
    FILE *out = lines ? open_memstream(&text, &length_bytes) : NULL;
    enum covey_status status = COVEY_ENOMEM;
    if (out) {
        draw(out, picture, lines);
        status = fclose(out) ? COVEY_ENOMEM : COVEY_OK;
    }
    if (status)
        covey_error_set(error, status, "no memory for a picture");
    else
        status = covey_file_write(path, text, length_bytes, 0644, error);
    free(text);
    free(lines);
    return status;
}

void sim_picture_free(struct sim_picture *picture)
{
    free(picture->parts);
    *picture = (struct sim_picture){0};
}
