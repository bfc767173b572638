/* Which file a word of the command line names, as shells and mpirun have it. */
#ifndef CLI_SEARCH_H
#define CLI_SEARCH_H

/*
 * A name without a slash of which there is no file here is looked for in PATH: the first file there
 * that may be executed, which the caller frees. NULL where the name is to be taken as it is, for it
 * is a path, or here, or nowhere.
 */
char *cli_search_path(const char *name);

#endif
