/* What a start-up is compared with: every rank is there, all have met once, and the job ends. */
#include <mpi.h>

int main(int argc, char **argv)
{
    if (MPI_Init(&argc, &argv) || MPI_Barrier(MPI_COMM_WORLD))
        return 1;
    return MPI_Finalize();
}
