/* Filters: checked, copied, interned, so that they are compared as pointers. */
#include "scheduler/place/filter.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static bool good_name(const char *text)
{
    size_t length = text ? strnlen(text, SCHED_NAME_BYTES) : 0;
    return length > 0 && length < SCHED_NAME_BYTES;
}

/* True where a term looks at the value of the label. */
static bool compares(const struct sched_term *term)
{
    enum sched_operator wanted = term->operator;
    return wanted == SCHED_EQUAL || wanted == SCHED_NOT_EQUAL;
}

static enum covey_status check(const struct sched_request *request, struct covey_error *error)
{
    for (uint32_t i = 0; i < request->selector_count; i++) {
        const struct sched_term *term = &request->selector[i];
        if (!good_name(term->key))
            return covey_error_set(error, COVEY_EINVAL,
                                   "a selector's key has 1 to %d bytes, that of term %u has not",
                                   SCHED_NAME_BYTES - 1, i);
        unsigned wanted = term->operator;
        if (wanted > SCHED_ABSENT)
            return covey_error_set(error, COVEY_EINVAL, "no such operator: %u", wanted);
        if (compares(term) && !term->value)
            return covey_error_set(error, COVEY_EINVAL,
                                   "the selector of label %s compares with no value", term->key);
    }
    for (uint32_t i = 0; i < request->toleration_count; i++) {
        if (!good_name(request->tolerations[i].key))
            return covey_error_set(error, COVEY_EINVAL,
                                   "a toleration's key has 1 to %d bytes, that of number %u has"
                                   " not",
                                   SCHED_NAME_BYTES - 1, i);
    }
    return COVEY_OK;
}

static void destroy(struct sched_names *names, struct sched_filter *filter)
{
    for (uint32_t i = 0; i < filter->term_count + filter->toleration_count; i++)
        sched_tag_drop(names, &filter->rules[i].tag);
    free(filter);
}

enum covey_status sched_filter_create(struct sched_names *names,
                                      const struct sched_request *request,
                                      struct sched_filter **filter, struct covey_error *error)
{
    *filter = NULL;
    enum covey_status status = check(request, error);
    size_t count = (size_t)request->selector_count + request->toleration_count;
    if (status || count == 0)
        return status;
    struct sched_filter *made = covey_calloc(1, sizeof(*made) + count * sizeof(struct sched_rule));
    if (!made)
        return covey_error_set(error, COVEY_ENOMEM, "no memory for a selector");
    made->references = 1;
    struct sched_rule *rule = made->rules;
    for (uint32_t i = 0; i < request->selector_count && !status; i++, rule++) {
        const struct sched_term *term = &request->selector[i];
        rule->wanted = term->operator;
        status = sched_tag_take(names, term->key, compares(term) ? term->value : NULL, &rule->tag);
        made->term_count++;
    }
    for (uint32_t i = 0; i < request->toleration_count && !status; i++, rule++) {
        const struct sched_label *toleration = &request->tolerations[i];
        status = sched_tag_take(names, toleration->key, toleration->value, &rule->tag);
        made->toleration_count++;
    }
    if (status) {
        destroy(names, made);
        return covey_error_set(error, status, "no memory for a selector");
    }
    *filter = made;
    return COVEY_OK;
}

enum covey_status sched_filter_copy(struct sched_names *names, const struct sched_filter *filter,
                                    struct sched_filter **copy)
{
    *copy = NULL;
    if (!filter)
        return COVEY_OK;
    uint32_t count = filter->term_count + filter->toleration_count;
    struct sched_filter *made = covey_calloc(1, sizeof(*made) + count * sizeof(struct sched_rule));
    if (!made)
        return COVEY_ENOMEM;
    *made = (struct sched_filter){1, filter->term_count, filter->toleration_count};
    enum covey_status status = COVEY_OK;
    for (uint32_t i = 0; i < count && !status; i++) {
        const struct sched_tag *tag = &filter->rules[i].tag;
        made->rules[i].wanted = filter->rules[i].wanted;
        status = sched_tag_take(names, tag->key->text, tag->value ? tag->value->text : NULL,
                                &made->rules[i].tag);
    }
    if (status)
        destroy(names, made);
    else
        *copy = made;
    return status;
}

struct sched_filter *sched_filter_ref(struct sched_filter *filter)
{
    if (filter)
        filter->references++;
    return filter;
}

void sched_filter_unref(struct sched_names *names, struct sched_filter *filter)
{
    if (filter && --filter->references == 0)
        destroy(names, filter);
}

bool sched_filter_equal(const struct sched_filter *a, const struct sched_filter *b)
{
    if (a == b)
        return true;
    if (!a || !b || a->term_count != b->term_count || a->toleration_count != b->toleration_count)
        return false;
    for (uint32_t i = 0; i < a->term_count + a->toleration_count; i++) {
        const struct sched_rule *left = &a->rules[i];
        const struct sched_rule *right = &b->rules[i];
        if (left->tag.key != right->tag.key || left->tag.value != right->tag.value ||
            left->wanted != right->wanted)
            return false;
    }
    return true;
}

static bool holds(const struct sched_rule *rule, const struct sched_traits *traits)
{
    const struct sched_name *value = sched_label_of(traits, rule->tag.key);
    switch (rule->wanted) {
    case SCHED_EQUAL:
        return value == rule->tag.value;
    case SCHED_NOT_EQUAL:
        return value != rule->tag.value;
    case SCHED_EXISTS:
        return value != NULL;
    case SCHED_ABSENT:
        break;
    }
    return value == NULL;
}

static bool tolerates(const struct sched_filter *filter, const struct sched_tag *taint)
{
    for (uint32_t i = 0; i < filter->toleration_count; i++) {
        const struct sched_tag *toleration = &filter->rules[filter->term_count + i].tag;
        if (toleration->key == taint->key &&
            (!toleration->value || toleration->value == taint->value))
            return true;
    }
    return false;
}

bool sched_filter_admits(const struct sched_filter *filter, const struct sched_node *node)
{
    const struct sched_traits *traits = node->traits;
    if (!filter)
        return traits->taint_count == 0;
    for (uint32_t i = 0; i < filter->term_count; i++) {
        if (!holds(&filter->rules[i], traits))
            return false;
    }
    for (uint32_t i = 0; i < traits->taint_count; i++) {
        if (!tolerates(filter, &sched_taints(traits)[i]))
            return false;
    }
    return true;
}
