/* One process a folder: who holds the lock may write there. */
#ifndef BASE_FOLDER_LOCK_H
#define BASE_FOLDER_LOCK_H

#include "base/process.h"
#include "covey/status.h"

#include <stdbool.h>

/*
 * Locks a folder by its file "lock", and gives the descriptor that holds it: the caller's,
 * close-on-exec; to close it gives the lock back.
 *
 * A process that is killed keeps its lock for a while: until its threads have left the kernel (one
 * may be in the middle of fdatasync), and until whatever it had forked has executed another
 * program. A successor may come sooner, so this blocks for up to 5 s when the folder is locked, and
 * only then fails with EEXISTS, without a text: the caller knows who the other must be. The errors
 * of open(2) and flock(2) come at once, with one.
 *
 * Who has the lock signs the file with its pid and the time of its start.
 */
enum covey_status covey_folder_lock(const char *folder, int *lock_fd,
                                    struct covey_error *error) COVEY_MUST_USE;

/* Who has signed a folder's lock; false where that one does not run any more, or nobody has. */
bool covey_folder_owner(const char *folder, struct covey_process_id *owner);

#endif
