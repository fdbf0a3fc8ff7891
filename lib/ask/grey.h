/*
 * The grey zone: candidates that no rule speaks against, but whose score (or cosine) lies a little below what serves by
 * itself. A referee is asked about them, once a pair: what it says is an observation, so that the next one
 * who asks is answered from what is known. Nothing that a rule refuses comes this far, whatever the referee says.
 */
#ifndef LC_ASK_GREY_H
#define LC_ASK_GREY_H

#include "ask/observations.h"
#include "ask/referee.h"

/* Opens the referee the settings name; cache->referee stays NULL when they name none. */
int lc_grey_open(llmcache *cache, llmcache_error *err);

/*
 * The candidate was refused, as the verdict says. 1 when its answer may be served all the same, because it is in the
 * grey zone and the referee (now or before) or a person said it serves both; *verdict is then the one of that. At most
 * one call to the referee for a job; with the setting judge-later it goes on in the background instead.
 */
int lc_grey_serves(lc_job *job, const lc_entry *entry, double similarity, lc_verdict *verdict);

/* For explain: "" outside the grey zone; else "right", "wrong" (who says so in *who) or "unknown": it would be
 * asked. */
const char *lc_grey_explain(const lc_job *job, const lc_entry *entry, double similarity,
                            const lc_verdict *verdict, const char **who);

/* How far below the threshold the zone begins, as a cosine similarity. 0 without a referee. */
double lc_grey_width(const llmcache *cache);

/* What the referee cost, as Prometheus text and as a JSON member ",\"judge\":{...}". Nothing without a referee. */
void lc_grey_metrics(const llmcache *cache, lc_buffer *out);
void lc_grey_metrics_json(const llmcache *cache, lc_buffer *out);

#endif
