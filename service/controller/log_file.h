/* The file of a flare's log: what is in it, and adding to it (log_record.h says how it looks). */
#ifndef SERVICE_CONTROLLER_LOG_FILE_H
#define SERVICE_CONTROLLER_LOG_FILE_H

#include "covey/v1/covey.pb-c.h"
#include "service/controller/log_record.h"
#include "service/store/store.h"

struct log_file {
    struct store *store;
    const char *flare; /* borrowed */
    uint64_t size_bytes;
};

/*
 * Reads what an earlier controller has left, record by record, and cuts off what is not whole: it
 * was never acknowledged. A status of on_record ends it.
 */
enum covey_status log_file_open(struct log_file *file, struct store *store, const char *flare,
                                enum covey_status (*on_record)(const struct log_record *record,
                                                               void *data),
                                void *data, struct covey_error *error) COVEY_MUST_USE;

/* A piece to be added; its header is filled but for magic and length. */
struct log_piece {
    struct log_record header;
    const uint8_t *text;
    size_t text_bytes;
};

#define LOG_FILE_PIECES 64

/* Adds up to LOG_FILE_PIECES, all or none. */
enum covey_status log_file_append(struct log_file *file, struct log_piece *pieces, size_t count,
                                  struct covey_error *error) COVEY_MUST_USE;

#endif
