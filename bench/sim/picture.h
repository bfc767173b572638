/* The picture of a simulation: slots busy over time, and how long jobs waited, by policy. */
#ifndef BENCH_SIM_PICTURE_H
#define BENCH_SIM_PICTURE_H

#include "bench/sim/engine.h"

/* {0} is empty. */
struct sim_picture {
    struct sim_picture_part *parts; /* one for each policy */
    uint32_t count;
};

/* Adds a policy's run that has ended. ENOMEM. */
enum covey_status sim_picture_add(struct sim_picture *picture, const char *policy,
                                  const struct sim_run *run) COVEY_MUST_USE;

/* Writes the file. Fails as covey_file_write. */
enum covey_status sim_picture_write(const struct sim_picture *picture, const char *path,
                                    struct covey_error *error) COVEY_MUST_USE;

void sim_picture_free(struct sim_picture *picture);

#endif
