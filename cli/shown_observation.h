/*
 * Observations as JSON, there and back: what llmcache-cli exports and imports and
 * llmcache-server shows. A line has what judge and tune read (a, b, label), and the rest.
 */
#ifndef SHOWN_OBSERVATION_H
#define SHOWN_OBSERVATION_H

#include <jansson.h>
#include <llmcache/observe.h>

/* As one object. NULL for want of memory. */
json_t *shown_observation(const llmcache_observation *observation);

/* Room for the names of the features read. */
typedef struct shown_features {
    const char *names[LLMCACHE_FEATURES_MAX];
} shown_features;

/*
 * Reads one back; texts are borrowed from the row, names from *features. What has no
 * source counts as imported, what has no namespace is of `space`. NULL, or what is wrong
 * with the row.
 */
const char *shown_observation_read(const json_t *row, const char *space,
                                   llmcache_observation *observation,
                                   shown_features *features);

/* The verdict or who said so by its name; -1: there is none. */
int shown_verdict(const char *name);

#endif
