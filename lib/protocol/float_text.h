/* Vectors in the two forms of the embeddings protocol: JSON numbers, and base64 of little-endian float32. */
#ifndef LC_PROTOCOL_FLOAT_TEXT_H
#define LC_PROTOCOL_FLOAT_TEXT_H

#include "base/buffer.h"
#include "protocol/json_tree.h"

/* Both write the vector in the other form and give 0, out->broken, or LLMCACHE_INVALID: not a vector of
 * finite numbers. */
int lc_floats_to_base64(const lc_tree *numbers, lc_buffer *out); /* a JSON string */
int lc_base64_to_floats(const lc_tree *base64, lc_buffer *out);  /* a JSON array */

/* The shortest decimal that reads back as exactly this number, as a double too; 32 bytes are enough. Not for
 * infinities and NaN. */
size_t lc_float_write(float value, char *text);

#endif
