/*
 * Model files small enough to write in a test: a Hugging Face repository, an E5S1 pack,
 * GGUF files made from them. One layer, 32 numbers, two heads; weights follow from a
 * seed. The tokenizers know a handful of words, enough for every rule to matter.
 *
 * Bytes live until the test ends.
 */
#ifndef TEST_TINY_FILES_H
#define TEST_TINY_FILES_H

#include "embed/gguf_write.h"

typedef enum tiny_kind { TINY_WORDPIECE, TINY_UNIGRAM } tiny_kind;

enum { TINY_HIDDEN = 32, TINY_INNER = 64, TINY_POSITIONS = 40, TINY_ROWS = 96 };

const char *tiny_tokenizer_json(tiny_kind kind);
const char *tiny_vocab_txt(void);
const char *tiny_config_json(void);

/* `type`: "F32", "F16" or "BF16". */
lc_span tiny_safetensors(const char *type);

lc_span tiny_pack(void); /* E5S1, its tokenizer a unigram */

/* The repository's files, as the importer takes them. */
struct lc_hf_files tiny_repository(tiny_kind kind);

/* What the importer makes of it; aligned as lc_gguf_open_memory wants it. */
lc_span tiny_gguf(tiny_kind kind);

/* The file of a filled writer. */
lc_span tiny_written(lc_gguf_writer *writer);

/* Writes the repository below an existing folder. */
void tiny_write_repository(const char *folder, tiny_kind kind);

#endif
