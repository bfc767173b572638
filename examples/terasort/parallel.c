#include "parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

enum { most_threads = 64 };

struct job {
    _Atomic int64_t next;
    _Atomic int failures;
    int64_t parts;
    int (*work)(int64_t part, void *data);
    void *data;
};

static void *run(void *argument)
{
    struct job *job = argument;
    for (int64_t part = job->next++; part < job->parts; part = job->next++) {
        if (job->work(part, job->data))
            job->failures++;
    }
    return NULL;
}

int parallel_for(int64_t parts, int (*work)(int64_t part, void *data), void *data)
{
    struct job job = {.parts = parts, .work = work, .data = data};
    pthread_t threads[most_threads];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int wanted = processors < 1 ? 1 : processors > most_threads ? most_threads : (int)processors;
    int started = 0;
    while (started < wanted - 1 && pthread_create(&threads[started], NULL, run, &job) == 0)
        started++;
    run(&job);
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return job.failures;
}
