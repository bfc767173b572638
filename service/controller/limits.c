#include "base/clock.h"
#include "service/controller/controller.h"

void controller_limits_init(struct controller_limits *limits)
{
    *limits = (struct controller_limits){
        .max_workers = 65536,
        .max_parameter_bytes = 1 << 20,
        .max_result_bytes = 64 << 20,
        .max_log_bytes = 16 << 20,
        .max_blob_bytes = 1ULL << 30,
        .max_message_bytes = 4 << 20,
        .max_queued = 100000,
        .max_queued_bytes = 1ULL << 30,
        .max_time_limit_ns = 24LL * 3600 * COVEY_NS_PER_S,
        .heartbeat_ns = 250 * COVEY_NS_PER_MS,
        .heartbeats_missed = 6,
        .node_grace_ns = 10 * COVEY_NS_PER_S,
        .prepare_timeout_ns = 5 * COVEY_NS_PER_S,
        .prepare_attempts = 3,
        .stop_grace_ns = 1 * COVEY_NS_PER_S,
        .failure_grace_ns = 2 * COVEY_NS_PER_S,
        .keep_flares_ns = 7LL * 24 * 3600 * COVEY_NS_PER_S,
        .keep_count = 1000000,
        .keep_bytes = 1ULL << 30,
        .keep_blobs_ns = 24LL * 3600 * COVEY_NS_PER_S,
        .keep_nodes_ns = 3600 * COVEY_NS_PER_S,
        .age_limit_ns = 600 * COVEY_NS_PER_S,
        .preempt_grace_ns = 30 * COVEY_NS_PER_S,
    };
}
