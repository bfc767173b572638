/* What the files of logs.h share. */
#ifndef SERVICE_CONTROLLER_LOGS_INTERNAL_H
#define SERVICE_CONTROLLER_LOGS_INTERNAL_H

#include "base/map.h"
#include "service/controller/log_file.h"
#include "service/controller/logs.h"

/* An answer in the making: what it points to is used again for the next. */
struct log_batch {
    uint8_t *bytes; /* of the file */
    Covey__V1__StreamLogsResponse response;
    Covey__V1__LogLines *lines;
    Covey__V1__LogLines **list;
    Google__Protobuf__Timestamp *times;
    size_t capacity;
    char missed[128];
};
void batch_free(struct log_batch *batch);

struct flare_log {
    char flare[ULID_BYTES];
    struct log_file file;
    bool cut;   /* nothing more is kept */
    bool ended; /* it is freed with its last reader */
    uint32_t attempt;
    uint64_t *known; /* how far the logs of the attempt's packs have come */
    size_t known_count;
    struct covey_list readers;
    struct covey_list tail;         /* what waits for readers, oldest first */
    struct covey_list waiting_link; /* on logs.waiting while something does */
    uint64_t end;                   /* position behind the newest piece */
};

struct logs {
    struct logs_options options;
    struct covey_map flares;
    struct covey_list waiting;
    uint64_t tail_bytes; /* of all flares */
    struct log_batch batch;
};

#endif
