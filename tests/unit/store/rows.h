/* Stores, flares and events for the tests of the journal. */
#ifndef ROWS_H
#define ROWS_H

#include "service/store/store.h"

/* A folder that is not there yet; borrowed until the next call. */
const char *rows_folder(void);
struct store *rows_open(const char *folder);
struct store_bytes rows_bytes(const char *text);
/* Of tenant uid:1, queued. */
struct store_flare rows_flare(const char *id, const char *key);
/* At 10 ns times its sequence. */
struct store_event rows_event(uint64_t sequence, bool terminal);
/* With its first event. */
enum covey_status rows_add(struct store *store, const char *id, const char *key);
enum covey_status rows_append(struct store *store, const char *id, uint64_t sequence,
                              bool terminal);
/* A store_flare_fn that counts in an unsigned. */
bool rows_count(const struct store_flare *flare, void *data);
/* How many have not ended. */
unsigned rows_live(struct store *store);
/* How many events a flare has; they are checked. */
unsigned rows_events(struct store *store, const char *id);
/* Runs SQL on a journal that nobody has open. */
void rows_sql(const char *folder, const char *sql);

#endif
