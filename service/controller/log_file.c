#include "service/controller/log_file.h"

#include "base/error.h"
#include "base/log.h"

#include <sys/uio.h>

/* Many short pieces at once, and of a long one not much more than its header. */
#define LOOK_BYTES ((size_t)16 * 1024)

struct walk {
    struct log_file *file;
    uint64_t there_bytes;
    enum covey_status (*on_record)(const struct log_record *record, void *data);
    void *data;
    bool torn;
};

/* Passes the records by whose headers lie in one piece of the file. */
static enum covey_status walk_on(struct walk *walk)
{
    uint8_t bytes[LOOK_BYTES];
    struct log_file *file = walk->file;
    const uint64_t start = file->size_bytes;
    size_t have_bytes;
    enum covey_status status =
        store_log_read(file->store, file->flare, start, bytes, sizeof bytes, &have_bytes);
    while (!status && file->size_bytes < start + have_bytes) {
        struct log_record record;
        size_t need_bytes;
        size_t at = (size_t)(file->size_bytes - start);
        status = log_record_look(bytes + at, have_bytes - at, &record, &need_bytes);
        walk->torn = file->size_bytes + need_bytes > walk->there_bytes;
        if (status || walk->torn || have_bytes - at < sizeof record)
            break;
        status = walk->on_record(&record, walk->data);
        file->size_bytes += need_bytes;
    }
    return have_bytes == 0 && !status ? COVEY_EIO : status;
}

enum covey_status log_file_open(struct log_file *file, struct store *store, const char *flare,
                                enum covey_status (*on_record)(const struct log_record *record,
                                                               void *data),
                                void *data, struct covey_error *error)
{
    *file = (struct log_file){.store = store, .flare = flare};
    struct walk walk = {file, store_log_size(store, flare), on_record, data, false};
    enum covey_status status = COVEY_OK;
    while (!status && !walk.torn && file->size_bytes < walk.there_bytes)
        status = walk_on(&walk);
    if (status)
        return covey_error_set(error, status, "the log of flare %s cannot be read", flare);
    if (!walk.torn)
        return COVEY_OK;
    log_warn("the end of a log was not written whole, and comes again flare=%s", flare);
    return store_log_cut(store, flare, file->size_bytes, error);
}

enum covey_status log_file_append(struct log_file *file, struct log_piece *pieces, size_t count,
                                  struct covey_error *error)
{
    struct iovec parts[2 * LOG_FILE_PIECES];
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        pieces[i].header.magic = LOG_RECORD_MAGIC;
        pieces[i].header.text_bytes = (uint32_t)pieces[i].text_bytes;
        parts[2 * i] = (struct iovec){&pieces[i].header, sizeof pieces[i].header};
        parts[2 * i + 1] = (struct iovec){(void *)(uintptr_t)pieces[i].text, pieces[i].text_bytes};
        bytes += sizeof pieces[i].header + pieces[i].text_bytes;
    }
    enum covey_status status =
        store_log_write(file->store, file->flare, file->size_bytes, parts, 2 * count, error);
    if (!status)
        file->size_bytes += bytes;
    return status;
}
