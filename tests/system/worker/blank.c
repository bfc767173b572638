/* A shared object that is no worker: it has no entry point. */
int blank(void);

int blank(void)
{
    return 0;
}
