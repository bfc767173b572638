#include "base/error.h"
#include "tests/harness/harness.h"

#include <errno.h>
#include <string.h>

static const enum covey_status all[] = {
#define VALUE(name, value, text, grpc) COVEY_##name,
    COVEY_STATUS_MAP(VALUE)
#undef VALUE
};
enum { all_count = sizeof(all) / sizeof(all[0]) };

static void table__every_status__is_distinct_negative_and_named(void)
{
    for (int i = 0; i < all_count; i++) {
        TEST_TRUE(all[i] == COVEY_OK || (int)all[i] < 0);
        TEST_TRUE(strcmp(covey_status_name(all[i]), "UNKNOWN") != 0);
        TEST_TRUE(*covey_status_text(all[i]) != '\0');
        int grpc = covey_status_grpc(all[i]);
        TEST_TRUE(grpc >= 0 && grpc <= 16);
        TEST_EQUAL(grpc == 0, all[i] == COVEY_OK);
        for (int j = 0; j < i; j++) {
            TEST_TRUE(all[i] != all[j]);
            TEST_TRUE(strcmp(covey_status_name(all[i]), covey_status_name(all[j])) != 0);
        }
    }
    TEST_EQUAL_STRING(covey_status_name(COVEY_EPEER), "EPEER");
}

static void table__value_that_is_none__is_unknown(void)
{
    enum covey_status none = (enum covey_status) - 9999;
    TEST_EQUAL_STRING(covey_status_name(none), "UNKNOWN");
    TEST_EQUAL_STRING(covey_status_text(none), "unknown status");
    TEST_EQUAL(covey_status_grpc(none), 2);
}

static void from_errno__table__maps(void)
{
    static const struct {
        int error_number;
        enum covey_status status;
    } rows[] = {
        {0, COVEY_OK},
        {ENOENT, COVEY_ENOTFOUND},
        {EEXIST, COVEY_EEXISTS},
        {EACCES, COVEY_EACCES},
        {EPERM, COVEY_EACCES},
        {ENOMEM, COVEY_ENOMEM},
        {ENOSPC, COVEY_ENOSPACE},
        {EDQUOT, COVEY_ENOSPACE},
        {EINVAL, COVEY_EINVAL},
        {EAGAIN, COVEY_EAGAIN},
        {ETIMEDOUT, COVEY_ETIMEOUT},
        {ECANCELED, COVEY_ECANCELLED},
        {ECONNREFUSED, COVEY_EUNAVAILABLE},
        {EPIPE, COVEY_EUNAVAILABLE},
        {EHOSTUNREACH, COVEY_EUNAVAILABLE},
        {EMFILE, COVEY_ELIMIT},
        {EMSGSIZE, COVEY_ELIMIT},
        {EIO, COVEY_EIO},
        {EXDEV, COVEY_EIO},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        TEST_EQUAL(covey_status_from_errno(rows[i].error_number), rows[i].status);
}

static void error_set__null__still_returns_the_status(void)
{
    TEST_EQUAL(covey_error_set(NULL, COVEY_EPEER, "rank %d", 3), COVEY_EPEER);
    TEST_EQUAL(covey_error_set_errno(NULL, ENOENT, "rank %d", 3), COVEY_ENOTFOUND);
}

static void error_set__message__is_filled_in(void)
{
    struct covey_error error = {.foreign = 5};
    TEST_EQUAL(covey_error_set(&error, COVEY_EPEER, "rank %d is gone", 3), COVEY_EPEER);
    TEST_EQUAL(error.status, COVEY_EPEER);
    TEST_EQUAL(error.foreign, 0);
    TEST_EQUAL_STRING(error.message, "rank 3 is gone");
    TEST_EQUAL(covey_error_set_errno(&error, ENOENT, "cannot open %s", "x"), COVEY_ENOTFOUND);
    TEST_EQUAL(error.foreign, ENOENT);
    TEST_EQUAL_STRING(error.message, "cannot open x: No such file or directory");
}

static void error_set__own_message_as_argument__is_wrapped(void)
{
    struct covey_error error;
    covey_error_set(&error, COVEY_EIO, "disk broken");
    covey_error_set(&error, COVEY_EIO, "cannot start: %s", error.message);
    TEST_EQUAL_STRING(error.message, "cannot start: disk broken");
    covey_error_set_errno(&error, EIO, "again: %s", error.message);
    TEST_EQUAL(strncmp(error.message, "again: cannot start: disk broken: ", 34), 0);
}

static void error_set__too_long__is_cut_and_ended(void)
{
    struct covey_error error;
    memset(&error, 'x', sizeof(error));
    covey_error_set(&error, COVEY_EIO, "%0600d", 0);
    TEST_EQUAL(strlen(error.message), COVEY_ERROR_MESSAGE_BYTES - 1);
    memset(&error, 'x', sizeof(error));
    covey_error_set_errno(&error, EIO, "%0505d", 0);
    TEST_EQUAL(strlen(error.message), COVEY_ERROR_MESSAGE_BYTES - 1);
    memset(&error, 'x', sizeof(error));
    covey_error_set_errno(&error, EIO, "%0600d", 0);
    TEST_EQUAL(strlen(error.message), COVEY_ERROR_MESSAGE_BYTES - 1);
}

static const struct test_case cases[] = {
    TEST_CASE(table__every_status__is_distinct_negative_and_named),
    TEST_CASE(table__value_that_is_none__is_unknown),
    TEST_CASE(from_errno__table__maps),
    TEST_CASE(error_set__null__still_returns_the_status),
    TEST_CASE(error_set__message__is_filled_in),
    TEST_CASE(error_set__own_message_as_argument__is_wrapped),
    TEST_CASE(error_set__too_long__is_cut_and_ended),
    {0},
};

const struct test_suite test_suites[] = {{"status", cases, NULL, NULL}, {0}};
