/* MPI programs, which Covey does not start as such. */
#ifndef CLI_MPI_H
#define CLI_MPI_H

/*
 * Says so where the code is linked with an MPI library, or is a launcher of MPI's: each worker
 * would be an MPI job of its own, and succeed. Code that uses libcovey-worker, too, knows what it
 * does.
 */
void cli_mpi_warn(const char *file);

#endif
