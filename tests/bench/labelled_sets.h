/*
 * Labelled questions for judging semantic hits, read from JSON lines beside the
 * repository (shared data, eval/NAME.dev.jsonl), and what the local encoder makes of
 * them.
 */
#ifndef LABELLED_SETS_H
#define LABELLED_SETS_H

#include "decide/decide.h"
#include "embed/local_embedder.h"

/* One pair: `label` 1 where one answer serves both. The texts live as long as the
 * process. */
typedef struct labelled_pair {
    const char *a, *b;
    int label;
} labelled_pair;

typedef struct labelled_set {
    const char *name;
    labelled_pair *pairs;
    size_t count;
} labelled_set;

/* A file of pairs. 0 if it is not there. */
int labelled_pairs(const char *name, labelled_set *set);

/* The project's own pairs of this set (own_pairs.tsv: set, label, both texts). */
void labelled_own(const char *name, labelled_set *set);

/* A file of groups as a cache would meet it: each text with the text of the file nearest
 * to it; the same group is label 1. */
int labelled_groups(const char *name, lc_embedder *embedder, labelled_set *set);

/* The texts of a file of groups as they are. 0 if it is not there. */
typedef struct labelled_texts {
    const char **texts, **groups;
    size_t count;
} labelled_texts;
int labelled_group_texts(const char *name, labelled_texts *texts);

/* A text as the encoder sees it. */
typedef struct seen_text {
    lc_side side;
    float *vector;
    lc_token_states states;
} seen_text;

/* Fills `seen` anew; start with all zero. A text that is not fit for a vector gets one
 * that is near nothing. */
void see_text(lc_embedder *embedder, const char *text, seen_text *seen);
double seen_cosine(const seen_text *a, const seen_text *b);

#endif
