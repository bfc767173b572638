/* What every program of ours does first: it undoes what a process can inherit that would break it.
 */
#ifndef BASE_START_H
#define BASE_START_H

/*
 * Standard descriptors that are closed, as daemons and cron leave them, are opened on /dev/null, so
 * that no other file gets their numbers: reading finds the end, writing fails with EBADF as it
 * would have. Signals that the parent ignored or blocked are as they are in a new process: with
 * SIGCHLD ignored no child is ever seen to end. SIGHUP, SIGINT and SIGQUIT stay ignored where they
 * were, which is what nohup and a shell's "&" mean. Call it before anything is opened or started;
 * one thread.
 */
void covey_start(void);

#endif
