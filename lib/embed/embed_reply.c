/*
 * Embedding replies. Services differ: some honour encoding_format base64, some answer numbers whatever was
 * asked; rows may come in any order. A vector is used only if it is whole, finite and not zero.
 */
#include "embed/embed_reply.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { MAX_DIMENSION = 65536 };

/* ---- Base64 (RFC 4648, with or without padding) ------------------------------------------------- */

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* The number of floats in `size` digits; 0 when it is not a whole number of them. */
static size_t count_floats(const char *text, size_t *size)
{
    while (*size > 0 && text[*size - 1] == '=')
        --*size;
    size_t bytes = *size / 4 * 3 + (*size % 4 == 0 ? 0 : *size % 4 - 1);
    return *size % 4 == 1 || bytes % 4 ? 0 : bytes / 4;
}

/* Little-endian floats on any machine. */
static int decode_floats(const char *text, size_t size, float *out)
{
    uint32_t bits = 0, word = 0;
    int have = 0, filled = 0;
    for (size_t i = 0; i < size; i++) {
        int value = digit(text[i]);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        word |= (bits >> have & 0xff) << (8 * filled);
        if (++filled == 4) {
            memcpy(out++, &word, sizeof word);
            word = 0;
            filled = 0;
        }
    }
    return 0;
}

/* ---- One row ------------------------------------------------------------------------------------ */

static size_t count_row(const lc_json *embedding)
{
    size_t size;
    const char *text = lc_json_text(embedding, &size);
    return text ? count_floats(text, &size) : lc_json_count(embedding);
}

static int read_row(const lc_json *embedding, size_t dimension, float *out)
{
    size_t size;
    const char *text = lc_json_text(embedding, &size);
    if (text)
        return count_floats(text, &size) == dimension ? decode_floats(text, size, out) : -1;
    for (size_t i = 0; i < dimension; i++) {
        double number;
        if (!lc_json_number(lc_json_at(embedding, i), &number))
            return -1;
        out[i] = (float)number;
    }
    return 0;
}

static int make_unit(float *vector, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)vector[i] * vector[i];
    if (!isfinite(sum) || sum <= 0)
        return -1;
    double scale = 1 / sqrt(sum);
    for (size_t i = 0; i < dimension; i++)
        vector[i] = (float)(vector[i] * scale);
    return 0;
}

/* ---- The reply ---------------------------------------------------------------------------------- */

/* Reads row after row to where its index says; `seen` has a byte for each text. */
static int read_rows(const lc_json *data, size_t count, size_t dimension, unsigned char *seen,
                     float *vectors)
{
    for (size_t i = 0; i < count; i++) {
        const lc_json *row = lc_json_at(data, i), *embedding = lc_json_get(row, "embedding");
        int64_t index = (int64_t)i;
        lc_json_integer(lc_json_get(row, "index"), &index);
        if (index < 0 || (uint64_t)index >= count || seen[index] ||
            count_row(embedding) != dimension)
            return -1;
        float *vector = vectors + (size_t)index * dimension;
        if (read_row(embedding, dimension, vector) || make_unit(vector, dimension))
            return -1;
        seen[index] = 1;
    }
    return 0;
}

static int read_data(const lc_json *data, size_t count, size_t *dimension, float **vectors,
                     llmcache_error *err)
{
    size_t found = count_row(lc_json_get(lc_json_at(data, 0), "embedding"));
    if (lc_json_count(data) != count || found == 0 || found > MAX_DIMENSION)
        return lc_fail(err, LLMCACHE_EMBEDDER,
                       "the embeddings service answered without a vector for each text");
    if (*dimension && found != *dimension)
        return lc_fail(err, LLMCACHE_EMBEDDER,
                       "the embeddings service answered vectors of %zu numbers, before of %zu",
                       found, *dimension);
    float *rows = lc_alloc_array(count, found * sizeof *rows);
    unsigned char *seen = lc_zalloc(count);
    int rc = !rows || !seen ? lc_fail_memory(err) : 0;
    if (!rc && read_rows(data, count, found, seen, rows))
        rc = lc_fail(err, LLMCACHE_EMBEDDER, "the embeddings service answered a damaged vector");
    lc_free(seen);
    if (rc) {
        lc_free(rows);
        return rc;
    }
    *dimension = found;
    *vectors = rows;
    return 0;
}

int lc_embed_reply_read(const char *body, size_t size, size_t count, size_t *dimension,
                        float **vectors, llmcache_error *err)
{
    lc_json *root;
    int rc = lc_json_parse(body, size, &root, err);
    if (rc == LLMCACHE_INVALID)
        return lc_fail(err, LLMCACHE_EMBEDDER, "the embeddings service answered no JSON");
    if (rc)
        return rc;
    rc = read_data(lc_json_get(root, "data"), count, dimension, vectors, err);
    lc_json_free(root);
    return rc;
}

int lc_embed_reply_says_too_long(const char *body, size_t size)
{
    static const char *const signs[] = {"context length", "context_length", "too long",
                                        "maximum input length", "too many tokens"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (memmem(body, size, signs[i], strlen(signs[i])))
            return 1;
    return 0;
}
