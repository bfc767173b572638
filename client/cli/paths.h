/*
 * Where things are. Each function gives a path in static storage, or NULL where it would be too
 * long (or, for the configuration, where there is no home folder).
 *
 * Runtime folder: COVEY_RUNTIME_DIR; else /run/covey for root; else covey in XDG_RUNTIME_DIR or
 * /run/user/UID; else run in the state folder. Never a fixed name in /tmp, which anybody may take
 * first. State folder: COVEY_STATE_DIR; else /var/lib/covey for root; else covey in XDG_STATE_HOME,
 * ~/.local/state.
 */
#ifndef CLI_PATHS_H
#define CLI_PATHS_H

const char *cli_path_runtime(void);
const char *cli_path_state(void);
const char *cli_path_config(void);

/* "unix:RUNTIME/covey.sock", short enough for a socket. */
const char *cli_path_default_server(void);

/* Where private servers make their folders: XDG_RUNTIME_DIR, else TMPDIR, else /tmp. */
const char *cli_path_private_base(void);

/* A program of Covey: beside this one, or in ../libexec/covey from it. NULL where there is none.
 * Static storage, overwritten by the next call. */
const char *cli_path_program(const char *name);

#endif
