/* Element-wise operations. The numbers of types and operations are those of covey/worker.h. */
#ifndef TRANSPORT_CORE_REDUCE_H
#define TRANSPORT_CORE_REDUCE_H

#include <stddef.h>

/* into[i] = into[i] OP from[i]. Both are aligned for the type. Integers wrap. */
typedef void (*reduce_apply)(void *into, const void *from, size_t count);

/* Bytes of an element; 0 for no type. */
size_t reduce_type_bytes(unsigned type);

/* NULL where the type has no such operation. */
reduce_apply reduce_find(unsigned type, unsigned op);

#endif
