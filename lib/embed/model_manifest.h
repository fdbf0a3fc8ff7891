/* The manifest beside a model file: a small JSON object with what the file itself does
 * not say. */
#ifndef LC_EMBED_MODEL_MANIFEST_H
#define LC_EMBED_MODEL_MANIFEST_H

#include "base/buffer.h"
#include "embed/model_folder.h"

/* Fills what the manifest says; LLMCACHE_NOT_FOUND if there is none that fits a file of
 * `bytes` bytes, 0 for any. LLMCACHE_MEMORY. */
int lc_manifest_read(const char *path, uint64_t bytes, lc_model_file *file);

/* Appends the manifest of `file`. */
void lc_manifest_write(const lc_model_file *file, lc_buffer *out);

#endif
