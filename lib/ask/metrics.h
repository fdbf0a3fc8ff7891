/* What is counted, as numbers and as text. */
#ifndef LC_ASK_METRICS_H
#define LC_ASK_METRICS_H

#include "ask/cache.h"

void lc_counters_read(llmcache *cache, llmcache_counters *counters);
int lc_metrics_prometheus(llmcache *cache, char **text, llmcache_error *err);
int lc_metrics_json(llmcache *cache, char **text, llmcache_error *err);

/* Pieces of the exposition, for who counts apart. */
void lc_metrics_head(lc_buffer *out, const char *name, const char *help, const char *type);
void lc_metrics_words(const char *name, const char *label, const char *help, const lc_word_counts *words,
                      lc_buffer *out);
void lc_metrics_histogram(const char *name, const char *label, const char *value,
                          const lc_histogram *histogram, lc_buffer *out);

int lc_health_read(llmcache *cache, llmcache_status *status, char **json, llmcache_error *err);
int lc_doctor(llmcache *cache, char **json, llmcache_error *err);

#endif
