/*
 * A walk over the namespace's exact entries. The question comes first: only an answer to the same question,
 * or to one that reads the same but for a date, an id or its spelling, tells why this one missed. Of
 * those the one that differs in the fewest fields is the nearest, the newest of equals.
 */
#include "ask/sibling.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/utf8.h"
#include "protocol/spots.h"

#include <stdlib.h>
#include <string.h>

enum { PATIENCE_MS = 3000, OTHER_PROTOCOL = 40, UNKNOWN_FIELDS = 20 };

/* ---- Questions ------------------------------------------------------------------------------- */

/* The next character that says something, in lower case; 0 at the end. */
static uint32_t next_sign(const char **at, const char *end)
{
    while (*at < end) {
        size_t length;
        uint32_t cp = lc_utf8_decode(*at, (size_t)(end - *at), &length);
        *at += length;
        if (cp >= 'A' && cp <= 'Z')
            return cp | 0x20;
        int letter = (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9');
        int mark = (cp < 0x80 && !letter) || (cp >= 0x2000 && cp < 0x2070) ||
                   (cp >= 0x3000 && cp < 0x3030) || (cp >= 0xff00 && cp < 0xff10) ||
                   (cp >= 0xff1a && cp < 0xff21);
        if (!mark)
            return cp;
    }
    return 0;
}

static int same_but_spelling(const char *a, const char *b)
{
    const char *a_end = a + strlen(a), *b_end = b + strlen(b);
    uint32_t left, right;
    do {
        left = next_sign(&a, a_end);
        right = next_sign(&b, b_end);
    } while (left && left == right);
    return left == right;
}

/* The first spot in which two texts differ that are one without their spots. */
static const char *differing_spot(const char *a, const char *b)
{
    size_t a_size = strlen(a), b_size = strlen(b), a_at = 0, b_at = 0, a_from, b_from;
    lc_spot_kind kind;
    while ((kind = lc_spot_next(a, a_size, a_at, &a_from, &a_at)) &&
           lc_spot_next(b, b_size, b_at, &b_from, &b_at))
        if (a_at - a_from != b_at - b_from || memcmp(a + a_from, b + b_from, a_at - a_from) != 0)
            return lc_spot_word(kind);
    return "text";
}

static int same_masked(const char *a, const char *b)
{
    return lc_mix_masked(LC_MIX_START, a, strlen(a)) == lc_mix_masked(LC_MIX_START, b, strlen(b));
}

const char *lc_question_difference(const char *here, const char *there, int *alike, int64_t *at)
{
    size_t size = strlen(here), other = strlen(there), head = 0, tail = 0;
    size_t shorter = size < other ? size : other, longer = size < other ? other : size;
    *alike = 1;
    *at = -1;
    if (strcmp(here, there) == 0)
        return NULL;
    while (head < shorter && here[head] == there[head])
        head++;
    while (tail < shorter - head && here[size - 1 - tail] == there[other - 1 - tail])
        tail++;
    *at = 0;
    for (size_t i = 0; i < head; i++)
        *at += (here[i] & 0xc0) != 0x80;
    if (same_but_spelling(here, there))
        return "spelling";
    if (same_masked(here, there))
        return differing_spot(here, there);
    *alike = longer >= 16 && head + tail >= longer - longer / 4;
    return "text";
}

/* ---- The nearest ------------------------------------------------------------------------------- */

static int cost_of(const char *question, const lc_difference *fields, size_t count)
{
    size_t cost = !question ? 0 : strcmp(question, "text") == 0 ? 12 : 3;
    for (size_t i = 0; i < count; i++) {
        const char *kind = i < LC_SIBLING_FIELDS ? fields[i].kind : "";
        int words = strcmp(kind, "text") == 0 || strcmp(kind, "length") == 0;
        int model = i < LC_SIBLING_FIELDS && strcmp(fields[i].field, "model") == 0;
        cost += words ? 5 : model ? 4 : 2;
    }
    return cost > 1000 ? 1000 : (int)cost;
}

typedef struct search {
    const lc_job *job;
    const char *shape, *question;
    lc_sibling *best;
    int cost;
    int64_t until_ms;
    int code;
} search;

/* What two protocols' requests have in common says nothing. */
static size_t other_protocol(const lc_job *job, const llmcache_entry *entry, lc_difference *out)
{
    *out = (lc_difference){.field = "protocol", .kind = "value", .from = -1, .to = -1};
    strncpy(out->here, lc_protocol_name(job->protocol), sizeof out->here - 1);
    strncpy(out->there, entry->protocol, sizeof out->there - 1);
    return 1;
}

static void keep_if_nearer(search *s, const llmcache_entry *entry, lc_sibling *found, int cost)
{
    lc_sibling *best = s->best;
    if (best->entry && (cost > s->cost ||
                        (cost == s->cost && entry->created_ms <= best->entry->facts.created_ms)))
        return;
    lc_entry *copy = lc_entry_new(entry);
    if (!copy) {
        s->code = LLMCACHE_MEMORY;
        return;
    }
    lc_entry_unref(best->entry);
    found->looked_at = best->looked_at;
    found->complete = best->complete;
    *best = *found;
    best->entry = copy;
    s->cost = cost;
}

static int look_at(void *user, const llmcache_entry *entry)
{
    search *s = user;
    const lc_job *job = s->job;
    lc_sibling found = {.known = 1};
    int alike, cost = 0;
    if (++s->best->looked_at % 256 == 0 && lc_mono_ms() > s->until_ms) {
        s->best->complete = 0;
        return 1;
    }
    if (memcmp(entry->fingerprint, job->fingerprint, sizeof entry->fingerprint) == 0)
        return 0;
    found.question = lc_question_difference(s->question, entry->question, &alike, &found.question_at);
    if (!alike)
        return 0;
    const char *shape = lc_entry_shape(entry);
    if (strcmp(entry->protocol, lc_protocol_name(job->protocol)) != 0) {
        found.count = other_protocol(job, entry, found.fields);
        cost = OTHER_PROTOCOL;
    } else if (*shape) {
        found.count = lc_shape_compare(s->shape, shape, found.fields, LC_SIBLING_FIELDS);
    } else {
        found.known = 0;
        cost = UNKNOWN_FIELDS;
    }
    keep_if_nearer(s, entry, &found, cost + cost_of(found.question, found.fields, found.count));
    return s->code;
}

int lc_sibling_find(const lc_job *job, const char *shape, lc_sibling *sibling, llmcache_error *err)
{
    llmcache *cache = job->cache;
    llmcache_error room;
    search s = {.job = job,
                .shape = shape,
                .question = job->question.text ? job->question.text : "",
                .best = sibling,
                .until_ms = lc_mono_ms() + PATIENCE_MS};
    *sibling = (lc_sibling){.complete = 1};
    int code = cache->store.ops.each(cache->store.self, LLMCACHE_PART_PROMPT, job->space, job->now_ms,
                                     look_at, &s, NULL, lc_error_or(err, &room));
    if (!code && s.code)
        code = lc_fail_memory(err);
    if (code)
        lc_sibling_done(sibling);
    return code;
}

void lc_sibling_done(lc_sibling *sibling)
{
    lc_entry_unref(sibling->entry);
    sibling->entry = NULL;
}
