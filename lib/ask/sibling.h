/* The kept answer nearest to a question that missed, and the fields in which its request differed. */
#ifndef LC_ASK_SIBLING_H
#define LC_ASK_SIBLING_H

#include "ask/cache.h"
#include "protocol/shape.h"

enum { LC_SIBLING_FIELDS = 8 };

typedef struct lc_sibling {
    lc_entry *entry;      /* NULL: nothing kept is alike */
    const char *question; /* how the questions differ: NULL (not at all), "spelling", "text", "date", ... */
    int64_t question_at;  /* the first character that differs */
    int known;            /* 0: it was kept without a shape, so the fields are not known */
    lc_difference fields[LC_SIBLING_FIELDS];
    size_t count;         /* of differing fields, also those there was no room for */
    uint64_t looked_at;   /* entries of the namespace */
    int complete;         /* 0: there were more than could be looked at in time */
} lc_sibling;

/* Looks through the entries of the job's own namespace. Needs its fingerprint and its request's shape. */
int lc_sibling_find(const lc_job *job, const char *shape, lc_sibling *sibling, llmcache_error *err);
void lc_sibling_done(lc_sibling *sibling);

/* How two questions that are alike differ (see above); *alike 0 when they are not. */
const char *lc_question_difference(const char *here, const char *there, int *alike, int64_t *at);

#endif
