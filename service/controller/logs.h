/* Logs of flares: LogLine messages, each after its length as 4 bytes, in one file a flare. */
#ifndef SERVICE_CONTROLLER_LOGS_H
#define SERVICE_CONTROLLER_LOGS_H

#include "base/buffer.h"
#include "covey/v1/covey.pb-c.h"
#include "service/store/store.h"

/* Appends lines up to the limit; the oldest stay, and a last line says that there were more. */
void logs_append(struct store *store, const char *flare, Covey__V1__LogLine **lines, size_t count,
                 uint64_t limit_bytes);

/*
 * The next lines from *offset on, at least one where there is one, about size_bytes of them, packed
 * in *response (logs_free), of the ranks wanted only; *offset is moved past them. *more: there was
 * something to read.
 */
enum covey_status logs_read(struct store *store, const char *flare, uint64_t *offset,
                            const uint32_t *ranks, size_t rank_count,
                            Covey__V1__StreamLogsResponse *response, bool *more);
void logs_free(Covey__V1__StreamLogsResponse *response);

#endif
