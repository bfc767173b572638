/* Zombies that are not the agent's own: it is their parent where it is the first process of a
 * container, which whatever loses its parent there becomes a child of. */
#ifndef SERVICE_NODE_ORPHANS_H
#define SERVICE_NODE_ORPHANS_H

struct node;

/* Reaps from now on, where this process is the first of its pid namespace. */
void orphans_open(struct node *agent);
void orphans_close(struct node *agent);

#endif
