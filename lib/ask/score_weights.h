/* The file of the setting score-weights: read at open, refused when damaged; and written by tune. */
#ifndef LC_ASK_SCORE_WEIGHTS_H
#define LC_ASK_SCORE_WEIGHTS_H

#include "base/buffer.h"
#include "decide/weights.h"

#include <llmcache/llmcache.h>

/*
 * `path` "" gives NULL: the shipped numbers. LLMCACHE_SETTING when the file cannot be read, is damaged, or was
 * fitted to other features or in another embedding space than `space` (NULL: not compared). Free with lc_free.
 */
int lc_score_weights_read(const char *path, const char *space, lc_weights **weights, llmcache_error *err);

/* Appends the file's text. Returns out->broken. */
int lc_score_weights_write(const lc_weights *weights, lc_buffer *out);

#endif
