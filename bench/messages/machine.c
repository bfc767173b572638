#include "bench/messages/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void read_processor(char *text)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "re");
    snprintf(text, machine_text_bytes, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        const char *value = strstr(line, ": ");
        if (strncmp(line, "model name", 10) != 0 || !value)
            continue;
        snprintf(text, machine_text_bytes, "%.*s", (int)strcspn(value + 2, "\"\\\n"), value + 2);
        break;
    }
    if (file)
        fclose(file);
}

void machine_read(struct machine *machine)
{
    struct utsname names;
    *machine = (struct machine){.cores = sysconf(_SC_NPROCESSORS_ONLN)};
    read_processor(machine->processor);
    if (uname(&names) == 0)
        snprintf(machine->kernel, sizeof(machine->kernel), "%s %s", names.sysname, names.release);
    machine->memory_gib =
        (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) / (1 << 30);
    (void)getloadavg(&machine->load, 1);
}
