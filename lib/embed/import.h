/*
 * Importing models: each function reads one foreign form and fills a GGUF writer, with
 * llama.cpp's names for keys and tensors. Foreign bytes are checked like any other;
 * tensors stay where they are and must live until the writer has written.
 */
#ifndef LC_EMBED_IMPORT_H
#define LC_EMBED_IMPORT_H

#include "embed/gguf_write.h"
#include "embed/vocab.h"

/* How token states become one vector (bert.pooling_type). RANK: a classification head
 * scores a pair. */
typedef enum lc_pooling {
    LC_POOLING_NONE,
    LC_POOLING_MEAN,
    LC_POOLING_CLS,
    LC_POOLING_LAST,
    LC_POOLING_RANK
} lc_pooling;

/* What most tensors are stored as (general.file_type). */
typedef enum lc_file_type {
    LC_FILE_F32 = 0,
    LC_FILE_F16 = 1,
    LC_FILE_Q4_0 = 2,
    LC_FILE_Q8_0 = 7
} lc_file_type;

/* The numbers that every importer knows of its model. */
typedef struct lc_bert_shape {
    const char *name;
    const char *license; /* SPDX, lower case */
    uint32_t layers, positions, hidden, inner, heads;
    float epsilon;
    lc_pooling pooling;
    lc_file_type file_type;
} lc_bert_shape;

/* Puts the general.* and bert.* keys. */
void lc_import_put_shape(lc_gguf_writer *writer, const lc_bert_shape *shape);

/*
 * An "E5S1" pack: multilingual-e5-small as Q4_0 with its tokenizer inside. The repack is
 * lossless: blocks and scores are copied bit for bit.
 */
int lc_import_e5s1(lc_span pack, lc_gguf_writer *writer, llmcache_error *err);

/*
 * The files of a Hugging Face model repository, as they lie in memory; empty ones are
 * absent.
 */
typedef struct lc_hf_files {
    lc_span weights;          /* model.safetensors */
    lc_span config;           /* config.json */
    lc_span tokenizer;        /* tokenizer.json; or, for WordPiece: */
    lc_span vocabulary;       /* vocab.txt */
    lc_span tokenizer_config; /* tokenizer_config.json, read beside vocab.txt */
    lc_span
        sentence; /* sentence_bert_config.json: how many tokens the model was made for */
    lc_span pooling; /* 1_Pooling/config.json */
} lc_hf_files;

/*
 * BERT, RoBERTa and XLM-R encoders and cross-encoders (F32, F16, BF16). `matrices` says
 * what the matrices and the word table become: F32, F16 or Q8_0; small tensors become
 * F32.
 */
int lc_import_safetensors(const lc_hf_files *files, const char *name, const char *license,
                          lc_tensor_type matrices, lc_gguf_writer *writer,
                          llmcache_error *err);

/* The tokenizer of such a repository, for a word table of `rows` rows. */
int lc_import_tokenizer(const lc_hf_files *files, uint32_t rows, lc_gguf_writer *writer,
                        llmcache_error *err);

#endif
