/*
 * What a Responses answer says again of its request without being shaped by it. Such fields are in no key,
 * so an answer may have been made for another's: whoever gets it sees their own.
 */
#include "protocol/canonical.h"
#include "protocol/echo.h"

#include "base/error.h"

#include <string.h>

/* What stands in the answer where the request says nothing; NULL: null. */
static const struct echoed {
    const char *name, *absent;
} echoed[] = {
    {"user", NULL},
    {"metadata", "{}"},
    {"prompt_cache_key", NULL},
    {"safety_identifier", NULL},
};

enum { ECHOED = sizeof echoed / sizeof *echoed };

int lc_echo_digest(const lc_tree *request, unsigned char digest[LC_SHA256_SIZE])
{
    lc_canonical form;
    lc_canonical_init(&form, "llmcache echo 1");
    for (size_t i = 0; i < ECHOED; i++) {
        const lc_tree *member = lc_tree_find(request, echoed[i].name);
        if (!lc_tree_is_nothing(member))
            lc_canonical_member(&form, member);
    }
    return lc_canonical_end(&form, digest);
}

static int says_nothing(const lc_tree *value)
{
    return lc_tree_is_nothing(value) ||
           (lc_tree_is_type(value, LC_TREE_OBJECT) && !value->first);
}

/* Puts the asker's value in the place of the answer's. */
static int replace(lc_arena *arena, lc_tree *answer, const struct echoed *field,
                   const lc_tree *wanted, int *changed)
{
    const lc_tree *said = lc_tree_find(answer, field->name);
    int nothing = says_nothing(wanted);
    lc_tree *value;
    if (!said || (nothing && says_nothing(said)) || (!nothing && lc_tree_same(said, wanted)))
        return 0;
    *changed = 1;
    if (!nothing)
        value = lc_tree_copy(arena, wanted);
    else
        value = lc_tree_new(arena, field->absent ? LC_TREE_OBJECT : LC_TREE_NULL);
    return lc_tree_set(arena, answer, field->name, strlen(field->name), value);
}

int lc_echo_write(const char *request, size_t request_size, const char *answer, size_t answer_size,
                  lc_buffer *body, int *changed, llmcache_error *err)
{
    lc_arena arena = {0};
    lc_tree *asks, *says;
    *changed = 0;
    int status = lc_tree_read(&arena, request, request_size, &asks, err);
    if (!status)
        status = lc_tree_read(&arena, answer, answer_size, &says, err);
    for (size_t i = 0; i < ECHOED && !status; i++)
        if (replace(&arena, says, &echoed[i], lc_tree_find(asks, echoed[i].name), changed))
            status = lc_fail_memory(err);
    if (!status && *changed && lc_tree_write(says, body))
        status = lc_fail_memory(err);
    lc_arena_done(&arena);
    return status;
}
