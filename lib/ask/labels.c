#include "ask/labels.h"

#include "base/memory.h"
#include "base/sha256.h"

#include <llmcache/llmcache.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MOST 1.001 /* a feature is a cosine or a flag; a little for rounding */

/* ---- Taking in ----------------------------------------------------------------------------------- */

static uint64_t head_of(const unsigned char digest[32])
{
    uint64_t head;
    memcpy(&head, digest, sizeof head);
    return head;
}

static uint64_t tenant_of(const char *space)
{
    unsigned char digest[LC_SHA256_SIZE];
    lc_sha256_once(space, strlen(space), digest);
    return head_of(digest);
}

/* The features by their names: another version may have had others, in another order. */
static int read_features(const llmcache_observation *o, double features[LC_FEATURE_COUNT])
{
    if (!o->scored || !o->feature_names || o->feature_count != LC_FEATURE_COUNT)
        return 0;
    for (int feature = 0; feature < LC_FEATURE_COUNT; feature++) {
        size_t at = 0;
        while (at < o->feature_count &&
               strcmp(o->feature_names[at], lc_feature_name((lc_feature)feature)) != 0)
            at++;
        if (at == o->feature_count || !(fabs(o->features[at]) <= MOST))
            return 0;
        features[feature] = o->features[at];
    }
    return 1;
}

static int read_language(const char *code, lc_language *language)
{
    for (int i = 0; i < LC_LANGUAGE_COUNT; i++) {
        *language = (lc_language)i;
        if (strcmp(code, lc_language_code(*language)) == 0)
            return 1;
    }
    *language = LC_ENGLISH;
    return 0;
}

/* Can it be used as it was seen? */
static int is_known(const lc_labels *labels, const llmcache_observation *o, lc_label *to)
{
    if (strcmp(o->embedder, labels->space) != 0 || !(fabs(o->similarity) <= MOST))
        return 0;
    if (labels->by_score)
        return read_features(o, to->features) && read_language(o->language, &to->language);
    read_language(o->language, &to->language);
    return o->similarity != 0;
}

static int copy_texts(const llmcache_observation *o, lc_label *to)
{
    if (!*o->asked || !*o->candidate)
        return 0;
    to->asked = lc_strdup(o->asked);
    to->candidate = lc_strdup(o->candidate);
    if (to->asked && to->candidate)
        return 0;
    lc_free(to->asked);
    lc_free(to->candidate);
    return LLMCACHE_MEMORY;
}

static int make_room(lc_labels *labels)
{
    if (labels->count < labels->room)
        return 0;
    size_t room = labels->room ? 2 * labels->room : 256;
    lc_label *list = lc_realloc_array(labels->list, room, sizeof *list);
    if (!list)
        return LLMCACHE_MEMORY;
    labels->list = list;
    labels->room = room;
    return 0;
}

int lc_labels_add(lc_labels *labels, const llmcache_observation *o)
{
    if (o->verdict != LLMCACHE_RIGHT && o->verdict != LLMCACHE_WRONG)
        return 0;
    if (o->doubtful) {
        labels->judged++;
        labels->doubtful++;
        return 0;
    }
    lc_label label = {.tenant = tenant_of(o->space),
                      .hashes = {head_of(o->asked_digest), head_of(o->candidate_digest)},
                      .right = o->verdict == LLMCACHE_RIGHT,
                      .observer = o->observer,
                      .time_ms = o->time_ms,
                      .similarity = o->similarity};
    lc_pair_name(o->space, o->asked_digest, o->candidate_digest, label.name);
    label.known = is_known(labels, o, &label);
    if (make_room(labels) || copy_texts(o, &label))
        return LLMCACHE_MEMORY;
    labels->judged++;
    labels->list[labels->count++] = label;
    return 0;
}

/* ---- Settling ------------------------------------------------------------------------------------ */

/* The word that counts comes first among those about one pair. */
static int by_pair(const void *x, const void *y)
{
    const lc_label *a = x, *b = y;
    int order = memcmp(a->name, b->name, sizeof a->name);
    if (!order)
        order = lc_observer_rank(b->observer) - lc_observer_rank(a->observer);
    if (!order)
        order = (a->time_ms < b->time_ms) - (a->time_ms > b->time_ms);
    return order ? order : a->right - b->right;
}

static int by_tenant(const void *x, const void *y)
{
    const lc_label *a = x, *b = y;
    int order = (a->tenant > b->tenant) - (a->tenant < b->tenant);
    return order ? order : memcmp(a->name, b->name, sizeof a->name);
}

static void drop(lc_label *label)
{
    lc_free(label->asked);
    lc_free(label->candidate);
}

/* NULL to keep it, or what is to be counted. */
static size_t *why_not(lc_labels *labels, const lc_label *label, const lc_label *before)
{
    if (before && memcmp(before->name, label->name, sizeof label->name) == 0)
        return &labels->outvoted;
    if (labels->observers && !(labels->observers >> label->observer & 1))
        return &labels->not_asked;
    return label->asked || label->known ? NULL : &labels->unusable;
}

static void count_left(lc_labels *labels)
{
    size_t same = 0;
    for (size_t i = 0; i < labels->count; i++) {
        const lc_label *label = &labels->list[i];
        int another = !i || label->tenant != labels->list[i - 1].tenant;
        same = another ? 1 : same + 1;
        labels->tenants += (size_t)another;
        labels->largest = same > labels->largest ? same : labels->largest;
        labels->by_text += label->asked != NULL;
        labels->verdicts[label->observer][label->right]++;
    }
}

void lc_labels_settle(lc_labels *labels)
{
    size_t left = 0;
    lc_label before;
    if (!labels->count)
        return;
    qsort(labels->list, labels->count, sizeof *labels->list, by_pair);
    for (size_t i = 0; i < labels->count; i++) {
        lc_label label = labels->list[i];
        size_t *reason = why_not(labels, &label, i ? &before : NULL);
        before = label;
        if (reason) {
            ++*reason;
            drop(&label);
        } else {
            labels->list[left++] = label;
        }
    }
    labels->count = left;
    qsort(labels->list, labels->count, sizeof *labels->list, by_tenant);
    count_left(labels);
}

void lc_labels_report(const lc_labels *labels, lc_buffer *out)
{
    lc_buffer_format(out, "{\"judged\":%zu,\"doubtful\":%zu,\"outvoted\":%zu,\"of_others\":%zu,\"unusable\":%zu,"
                          "\"unreadable\":%zu,\"by_text\":%zu,\"by_features\":%zu,\"namespaces\":%zu,"
                          "\"largest_namespace\":%zu,\"sources\":{",
                     labels->judged, labels->doubtful, labels->outvoted, labels->not_asked, labels->unusable,
                     labels->unreadable, labels->by_text,
                     labels->count - labels->by_text - labels->unreadable, labels->tenants,
                     labels->largest);
    const char *comma = "";
    for (int i = 0; i < LC_OBSERVERS; i++) {
        const size_t *verdicts = labels->verdicts[i];
        if (!verdicts[0] && !verdicts[1])
            continue;
        lc_buffer_format(out, "%s\"%s\":{\"right\":%zu,\"wrong\":%zu}", comma, llmcache_observer_name(i),
                         verdicts[1], verdicts[0]);
        comma = ",";
    }
    lc_buffer_text(out, "}}");
}

void lc_labels_done(lc_labels *labels)
{
    for (size_t i = 0; i < labels->count; i++)
        drop(&labels->list[i]);
    lc_free(labels->list);
    labels->list = NULL;
    labels->count = labels->room = 0;
}
