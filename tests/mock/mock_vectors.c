/*
 * /v1/embeddings. A vector is the sum of signed hashed features of the text: words, pairs
 * of characters (single characters outside ASCII, since such scripts have no blanks);
 * texts that share words are near each other, and everything is deterministic. Pairs set
 * by control have exactly the cosine asked for.
 */
#include "mock.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { standard_dimension = 384, largest_dimension = 8192 };

static uint64_t mix(uint64_t x)
{
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9u;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static void add_feature(float *vector, size_t dimension, const char *text, size_t size,
                        float weight)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ (unsigned char)tolower((unsigned char)text[i])) * 0x100000001b3u;
    for (int i = 0; i < 4; i++) {
        hash = mix(hash + 0x9e3779b97f4a7c15u);
        vector[hash % dimension] += hash >> 63 ? weight : -weight;
    }
}

static size_t character(const char *text)
{
    unsigned char lead = (unsigned char)*text;
    size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return strnlen(text, length);
}

static int in_word(const char *at)
{
    return (unsigned char)*at >= 0x80 || isalnum((unsigned char)*at);
}

static void add_words(float *vector, size_t dimension, const char *text)
{
    while (*text) {
        size_t size = 0;
        while (text[size] && (unsigned char)text[size] < 0x80 &&
               isalnum((unsigned char)text[size]))
            size++;
        if (size)
            add_feature(vector, dimension, text, size, 2);
        else if ((unsigned char)*text >= 0x80)
            add_feature(vector, dimension, text, size = character(text), 1);
        text += size ? size : 1;
    }
}

static void add_character_pairs(float *vector, size_t dimension, const char *text)
{
    while (*text) {
        size_t one = character(text);
        if (text[one] && in_word(text) && in_word(text + one))
            add_feature(vector, dimension, text, one + character(text + one), .5f);
        text += one;
    }
}

static double dot(const float *a, const float *b, size_t dimension)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)a[i] * (double)b[i];
    return sum;
}

static void normalise(float *vector, size_t dimension)
{
    double length = sqrt(dot(vector, vector, dimension));
    if (length == 0) {
        vector[0] = 1;
        return;
    }
    for (size_t i = 0; i < dimension; i++)
        vector[i] = (float)((double)vector[i] / length);
}

static void embed(const char *text, float *vector, size_t dimension, int depth);

/* A unit vector at `cosine` from that of `other`: the text's own part gives the
 * direction. */
static void embed_pair(const char *other, double cosine, float *vector, size_t dimension,
                       int depth)
{
    float *base = calloc(dimension, sizeof *base);
    if (!base)
        exit(1);
    embed(other, base, dimension, depth + 1);
    double along = dot(vector, base, dimension);
    for (size_t i = 0; i < dimension; i++)
        vector[i] -= (float)(along * (double)base[i]);
    normalise(vector, dimension);
    double aside = sqrt(1 - cosine * cosine);
    for (size_t i = 0; i < dimension; i++)
        vector[i] = (float)(cosine * (double)base[i] + aside * (double)vector[i]);
    free(base);
}

static void embed(const char *text, float *vector, size_t dimension, int depth)
{
    char *other;
    double cosine;
    memset(vector, 0, dimension * sizeof *vector);
    add_words(vector, dimension, text);
    add_character_pairs(vector, dimension, text);
    normalise(vector, dimension);
    if (depth < 8 && mock_pair(text, &other, &cosine)) {
        embed_pair(other, cosine, vector, dimension, depth);
        free(other);
    }
}

/* ---- The reply
 * ------------------------------------------------------------------------------- */

static json_t *base64(const void *data, size_t size)
{
    static const char digits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *at = data;
    char *text = malloc(size / 3 * 4 + 8), *to = text;
    if (!text)
        exit(1);
    for (; size; at += 3) {
        uint32_t bits = (uint32_t)at[0] << 16 | (uint32_t)(size > 1 ? at[1] : 0) << 8 |
                        (uint32_t)(size > 2 ? at[2] : 0);
        *to++ = digits[bits >> 18];
        *to++ = digits[bits >> 12 & 63];
        *to++ = size > 1 ? digits[bits >> 6 & 63] : '=';
        *to++ = size > 2 ? digits[bits & 63] : '=';
        size -= size > 3 ? 3 : size;
    }
    json_t *value = json_stringn(text, (size_t)(to - text));
    free(text);
    return value;
}

static json_t *row(const char *text, size_t index, size_t dimension, int as_base64)
{
    float vector[largest_dimension];
    embed(text, vector, dimension, 0);
    json_t *value;
    if (as_base64)
        value = base64(vector, dimension * sizeof *vector);
    else {
        value = json_array();
        for (size_t i = 0; i < dimension; i++)
            json_array_append_new(value, json_real((double)vector[i]));
    }
    return json_pack("{s:s, s:I, s:o}", "object", "embedding", "index", (json_int_t)index,
                     "embedding", value);
}

/* Text of one input; lists of token numbers are embedded by their JSON text. Free it. */
static char *input_text(json_t *input)
{
    return json_is_string(input) ? strdup(json_string_value(input))
                                 : json_dumps(input, JSON_COMPACT | JSON_ENCODE_ANY);
}

void mock_embeddings(const mock_call *call, mock_reply *reply)
{
    json_t *input = json_object_get(call->json, "input"), *data = json_array();
    json_int_t wanted = json_integer_value(json_object_get(call->json, "dimensions"));
    size_t dimension = (size_t)mock_rule_int(
        call, "dimension", wanted > 0 ? (long)wanted : standard_dimension);
    int as_base64 =
        strcmp(mock_text_of(call->json, "encoding_format", "float"), "base64") == 0;
    int one = json_is_string(input) || json_is_integer(json_array_get(input, 0));
    size_t count = one ? 1 : json_array_size(input);
    if (!count || dimension > largest_dimension) {
        json_decref(data);
        mock_refuse(reply, 400, "invalid_request_error", "input", NULL,
                    "'$.input' is invalid.");
        return;
    }
    json_int_t tokens = 0; /* each input's own, whatever is beside it */
    for (size_t i = 0; i < count; i++) {
        size_t index = mock_rule_true(call, "shuffle") ? count - 1 - i : i;
        char *text = input_text(one ? input : json_array_get(input, index));
        json_array_append_new(data, row(text, index, dimension, as_base64));
        tokens += mock_count(call, text) + 1;
        free(text);
    }
    mock_whole(reply, 200,
               json_pack("{s:s, s:o, s:s, s:{s:I, s:I}}", "object", "list", "data", data,
                         "model", mock_text_of(call->json, "model", ""), "usage",
                         "prompt_tokens", tokens, "total_tokens", tokens));
}
