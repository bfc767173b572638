#include "transport/core/reduce.h"

#include <stdint.h>

/* Integers are worked on as unsigned where they may wrap: signed overflow is undefined. */
#define DEFINE(name, type, work, expression)                                                       \
    static void name(void *into, const void *from, size_t count)                                   \
    {                                                                                              \
        type *a = into;                                                                            \
        const type *b = from;                                                                      \
        for (size_t i = 0; i < count; i++) {                                                       \
            work x = (work)a[i];                                                                   \
            work y = (work)b[i];                                                                   \
            a[i] = (type)(expression);                                                             \
        }                                                                                          \
    }

#define DEFINE_NUMBER(name, type, work)                                                            \
    DEFINE(name##_sum, type, work, x + y)                                                          \
    DEFINE(name##_product, type, work, x *y)                                                       \
    DEFINE(name##_min, type, type, y < x ? y : x)                                                  \
    DEFINE(name##_max, type, type, y > x ? y : x)

#define DEFINE_INTEGER(name, type, work)                                                           \
    DEFINE_NUMBER(name, type, work)                                                                \
    DEFINE(name##_band, type, work, x &y)                                                          \
    DEFINE(name##_bor, type, work, x | y)                                                          \
    DEFINE(name##_bxor, type, work, x ^ y)

DEFINE_INTEGER(int8, int8_t, uint32_t)
DEFINE_INTEGER(uint8, uint8_t, uint32_t)
DEFINE_INTEGER(int32, int32_t, uint32_t)
DEFINE_INTEGER(uint32, uint32_t, uint32_t)
DEFINE_INTEGER(int64, int64_t, uint64_t)
DEFINE_INTEGER(uint64, uint64_t, uint64_t)
DEFINE_NUMBER(float, float, float)
DEFINE_NUMBER(double, double, double)

#define OPS           7

#define NUMBER(name)  name##_sum, name##_product, name##_min, name##_max
#define INTEGER(name) NUMBER(name), name##_band, name##_bor, name##_bxor

static const struct {
    size_t bytes;
    reduce_apply apply[OPS];
} types[] = {
    {1, {INTEGER(int8)}},  {1, {INTEGER(uint8)}},  {4, {INTEGER(int32)}}, {4, {INTEGER(uint32)}},
    {8, {INTEGER(int64)}}, {8, {INTEGER(uint64)}}, {4, {NUMBER(float)}},  {8, {NUMBER(double)}},
};

#define TYPES (sizeof(types) / sizeof(*types))

size_t reduce_type_bytes(unsigned type)
{
    return type < TYPES ? types[type].bytes : 0;
}

reduce_apply reduce_find(unsigned type, unsigned op)
{
    return type < TYPES && op < OPS ? types[type].apply[op] : NULL;
}
