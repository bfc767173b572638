#include "service/controller/log_record.h"

#include "service/common/local.h"

#include <string.h>

_Static_assert(sizeof(struct log_record) == LOCAL_LOG_OVERHEAD_BYTES,
               "what a piece counts beside its text is what it takes in the file");

enum covey_status log_record_look(const void *bytes, size_t have_bytes, struct log_record *record,
                                  size_t *need_bytes)
{
    *need_bytes = sizeof *record;
    if (have_bytes < sizeof *record)
        return COVEY_OK;
    memcpy(record, bytes, sizeof *record);
    if (record->magic != LOG_RECORD_MAGIC || record->text_bytes == 0 ||
        record->text_bytes > LOCAL_LOG_TEXT_BYTES)
        return COVEY_EPROTO;
    *need_bytes += record->text_bytes;
    return COVEY_OK;
}
