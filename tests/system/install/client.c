/* The program of an outside project: prints the text of a status, as the installed library has it.
 */
#include <covey/client.h>
#include <stdio.h>

int main(void)
{
    return puts(covey_status_text(COVEY_OK)) < 0;
}
