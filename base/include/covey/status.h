/*
 * The status codes that every Covey library returns, and the error that control-plane calls fill
 * in.
 *
 * 0 is success, failures are negative. Functions that return an enum covey_status must be checked.
 */
#ifndef COVEY_STATUS_H
#define COVEY_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define COVEY_API                         __attribute__((visibility("default")))
#define COVEY_MUST_USE                    __attribute__((warn_unused_result))
#define COVEY_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))
#else
#define COVEY_API
#define COVEY_MUST_USE
#define COVEY_PRINTF(format_index, first)
#endif

/*
 * One row per status: name, value, text, gRPC status code. Grouped by what is lost with it.
 */
#define COVEY_STATUS_MAP(X)                                                                        \
    X(OK, 0, "success", 0)                                                                         \
    /* the request: nothing else is affected */                                                    \
    X(EINVAL, -1, "invalid argument", 3)                                                           \
    X(ENOTFOUND, -2, "not found", 5)                                                               \
    X(EEXISTS, -3, "already exists", 6)                                                            \
    X(EACCES, -4, "permission denied", 7)                                                          \
    X(EUNAUTHENTICATED, -5, "not authenticated", 16)                                               \
    X(ELIMIT, -6, "over a limit", 8)                                                               \
    X(EPRECONDITION, -7, "not possible in the present state", 9)                                   \
    X(EUNPLACEABLE, -8, "can never be placed on this cluster", 9)                                  \
    X(EVERSION, -9, "incompatible version", 9)                                                     \
    X(ETIMEOUT, -10, "deadline exceeded", 4)                                                       \
    X(ECANCELLED, -11, "cancelled", 1)                                                             \
    X(EUNAVAILABLE, -12, "unavailable", 14)                                                        \
    X(EPROTO, -13, "malformed message from a peer", 13)                                            \
    X(ETRUNCATED, -14, "message longer than the buffer", 11)                                       \
    X(EUNIMPLEMENTED, -15, "no such method", 12)                                                   \
    X(EAGAIN, -16, "would block", 14)                                                              \
    /* the process: resources of this machine */                                                   \
    X(ENOMEM, -30, "out of memory", 8)                                                             \
    X(ENOSPACE, -31, "no space left on device", 8)                                                 \
    X(EIO, -32, "input or output failed", 13)                                                      \
    X(EINTERNAL, -33, "internal error", 13)                                                        \
    /* the flare: its communication cannot go on as it was */                                      \
    X(EPEER, -50, "a worker or node that the call depends on is gone", 10)                         \
    X(EMISMATCH, -51, "the members of a collective disagree on it", 9)                             \
    X(EFLARE, -52, "the flare failed", 10)                                                         \
    /* the node */                                                                                 \
    X(ENODE, -70, "the node is gone", 14)

enum covey_status {
#define COVEY_STATUS_ENUM(name, value, text, grpc) COVEY_##name = value,
    COVEY_STATUS_MAP(COVEY_STATUS_ENUM)
#undef COVEY_STATUS_ENUM
};

/* The name of a status ("EPEER"), or "UNKNOWN". Static storage; never NULL. Thread-safe. */
COVEY_API const char *covey_status_name(enum covey_status status);

/* One lowercase phrase that says what a status means. Static storage; never NULL. Thread-safe. */
COVEY_API const char *covey_status_text(enum covey_status status);

#define COVEY_ERROR_MESSAGE_BYTES 512

/*
 * What went wrong, for a person: one sentence that names the fault and, where there is one, the
 * remedy. Plain data, owned by the caller; may be copied. foreign is the errno or library code
 * behind it, or 0.
 */
struct covey_error {
    enum covey_status status;
    int foreign;
    char message[COVEY_ERROR_MESSAGE_BYTES];
};

#ifdef __cplusplus
}
#endif

#endif
