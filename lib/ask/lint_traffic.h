/* Linting traffic: which fields of the kept requests change all the time and so prevent hits. */
#ifndef LC_ASK_LINT_TRAFFIC_H
#define LC_ASK_LINT_TRAFFIC_H

#include "ask/cache.h"
#include "ask/lint_tables.h"
#include "protocol/shape.h"

enum { LC_LINT_FIELDS = 128, LC_LINT_SAMPLES = 16 };

/* A number as it was in one of the entries. */
typedef struct lc_lint_sample {
    int64_t created_ms;
    double value;
} lc_lint_sample;

/* One field over all entries that are alike but for such fields. */
typedef struct lc_lint_field {
    char path[96], role[16];
    uint64_t hash;      /* of the path */
    uint64_t entries;   /* that have the field and are like another entry */
    uint64_t values;    /* different ones among them */
    uint64_t repeats;   /* entries that came behind one like them */
    uint64_t prevented; /* of these, with a value that none before them had */
    char first[LLMCACHE_ID_SIZE], second[LLMCACHE_ID_SIZE]; /* a pair that differs */
    char *first_line, *second_line;                         /* what they have there; owned */
    lc_lint_sample samples[LC_LINT_SAMPLES];
    size_t sample_count;
} lc_lint_field;

typedef struct lc_lint {
    uint64_t looked_at;         /* exact entries */
    uint64_t shaped;            /* of them with a shape */
    uint64_t repeats, prevented; /* entries like an earlier one; of them, with a field that was new */
    int complete;               /* 0: the limit, the time or the memory was used up first */
    lc_lint_field fields[LC_LINT_FIELDS];
    size_t field_count;
} lc_lint;

/* lint_report.c: the findings as one JSON object, the worst field first. */
int lc_lint_report(lc_lint *lint, char **json, llmcache_error *err);

/* lint_traffic.c */
int lc_lint_traffic(llmcache *cache, const llmcache_filter *filter, char **json, llmcache_error *err);

#endif
