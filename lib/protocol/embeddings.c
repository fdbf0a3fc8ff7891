/*
 * Taking batches apart and putting them together. Vectors are moved as the text they came
 * in; their numbers are only looked at where the form asked for is another one.
 */
#include "protocol/embeddings.h"

#include "base/error.h"
#include "base/memory.h"
#include "protocol/canonical.h"
#include "protocol/controls.h"
#include "protocol/float_text.h"
#include "protocol/usage_shares.h"

#include <inttypes.h>
#include <string.h>

typedef struct input {
    const lc_tree *value;
    unsigned char shape[LC_SHA256_SIZE];
    uint64_t weight; /* its share of the usage: bytes */
} input;

struct lc_embeddings {
    char *body;
    size_t size;
    lc_arena arena;
    const lc_tree *input; /* the member of the body */
    int single;           /* it is one input, not an array of them */
    int base64;           /* the form asked for */
    size_t count;
    input *inputs;
};

/* ---- Reading the request --------------------------------------------------------- */

static int is_input(const lc_tree *value)
{
    return value->type == LC_TREE_STRING || value->type == LC_TREE_NUMBERS;
}

static int list_inputs(lc_embeddings *batch, llmcache_error *err)
{
    const lc_tree *value = batch->input;
    batch->single = value && is_input(value);
    if (!batch->single && (!lc_tree_is_type(value, LC_TREE_ARRAY) || !value->first))
        return lc_fail(err, LLMCACHE_INVALID, "body: input is neither text nor tokens");
    batch->count = batch->single ? 1 : value->size;
    batch->inputs = lc_zalloc_array(batch->count, sizeof *batch->inputs);
    if (!batch->inputs)
        return lc_fail_memory(err);
    size_t at = 0;
    for (value = batch->single ? value : value->first; at < batch->count;
         value = value->next) {
        if (!is_input(value))
            return lc_fail(err, LLMCACHE_INVALID,
                           "body: input[%zu] is neither text nor tokens", at);
        batch->inputs[at++] = (input){.value = value, .weight = value->size};
    }
    return 0;
}

/* All that the inputs of the batch share. */
static int digest_common(const lc_tree *body, unsigned key_fields,
                         unsigned char digest[LC_SHA256_SIZE])
{
    lc_canonical form;
    lc_canonical_init(&form, "llmcache embedding 1");
    lc_tree **members = lc_tree_sorted(body);
    if (!members)
        return LLMCACHE_MEMORY;
    for (uint32_t i = 0; i < body->size && !form.status; i++)
        if (lc_member_counts(members[i], key_fields) &&
            !lc_tree_named(members[i], "input") &&
            !lc_tree_named(members[i], "encoding_format"))
            lc_canonical_member(&form, members[i]);
    lc_free(members);
    return lc_canonical_end(&form, digest);
}

static int digest_inputs(lc_embeddings *batch, const lc_tree *body, unsigned key_fields)
{
    unsigned char common[LC_SHA256_SIZE];
    int status = digest_common(body, key_fields, common);
    for (size_t i = 0; i < batch->count && !status; i++) {
        lc_canonical form;
        lc_canonical_init(&form, "llmcache input 1");
        form.exact = 1; /* a vector differs with every byte */
        lc_canonical_bytes(&form, common, sizeof common);
        lc_canonical_value(&form, batch->inputs[i].value);
        status = lc_canonical_end(&form, batch->inputs[i].shape);
    }
    return status;
}

static int read_format(const lc_tree *body, lc_embeddings *batch, llmcache_error *err)
{
    const lc_tree *format = lc_tree_find(body, "encoding_format");
    batch->base64 = lc_tree_is_text(format, "base64");
    if (batch->base64 || lc_tree_is_nothing(format) || lc_tree_is_text(format, "float"))
        return 0;
    return lc_fail(err, LLMCACHE_INVALID,
                   "body: encoding_format is neither float nor base64");
}

static int read_batch(lc_embeddings *batch, const char *body, size_t size,
                      unsigned key_fields, llmcache_error *err)
{
    lc_tree *root;
    batch->body = lc_strndup(body, size);
    batch->size = size;
    if (!batch->body)
        return lc_fail_memory(err);
    int status = lc_tree_read(&batch->arena, batch->body, size, &root, err);
    if (status)
        return status;
    batch->input = lc_tree_find(root, "input");
    if ((status = list_inputs(batch, err)) || (status = read_format(root, batch, err)))
        return status;
    status = digest_inputs(batch, root, key_fields);
    return status ? lc_fail(err, status, "body: %s", lc_code_text(status)) : 0;
}

int lc_embeddings_read(const char *body, size_t size, unsigned key_fields,
                       lc_embeddings **batch, llmcache_error *err)
{
    lc_embeddings *fresh = lc_zalloc(sizeof *fresh);
    if (!fresh)
        return lc_fail_memory(err);
    int status = read_batch(fresh, body, size, key_fields, err);
    if (status)
        lc_embeddings_free(fresh);
    else
        *batch = fresh;
    return status;
}

void lc_embeddings_free(lc_embeddings *batch)
{
    if (!batch)
        return;
    lc_free(batch->body);
    lc_free(batch->inputs);
    lc_arena_done(&batch->arena);
    lc_free(batch);
}

size_t lc_embeddings_count(const lc_embeddings *batch)
{
    return batch->count;
}

const unsigned char *lc_embeddings_shape(const lc_embeddings *batch, size_t position)
{
    return batch->inputs[position].shape;
}

const char *lc_embeddings_text(const lc_embeddings *batch, size_t position, size_t *size)
{
    const lc_tree *value = batch->inputs[position].value;
    int text = value->type == LC_TREE_STRING;
    *size = text ? value->size : 0;
    return text ? value->text : NULL;
}

/* ---- Asking for what is missing -------------------------------------------------- */

int lc_embeddings_ask(const lc_embeddings *batch, const size_t *positions, size_t count,
                      lc_buffer *body, llmcache_error *err)
{
    const lc_tree *whole = batch->input;
    lc_buffer_add(body, batch->body, whole->start);
    if (batch->single) {
        lc_buffer_add(body, batch->body + whole->start, whole->end - whole->start);
    } else {
        lc_buffer_byte(body, '[');
        for (size_t i = 0; i < count; i++) {
            const lc_tree *value = batch->inputs[positions[i]].value;
            if (i)
                lc_buffer_byte(body, ',');
            lc_buffer_add(body, batch->body + value->start, value->end - value->start);
        }
        lc_buffer_byte(body, ']');
    }
    lc_buffer_add(body, batch->body + whole->end, batch->size - whole->end);
    return body->broken ? lc_fail(err, body->broken, "%s", lc_code_text(body->broken))
                        : 0;
}

/* ---- Members of an answer -------------------------------------------------------- */

static void put_name(lc_buffer *out, const lc_tree *member)
{
    if (out->size && out->data[out->size - 1] != '{')
        lc_buffer_byte(out, ',');
    lc_tree_write_string(member->name, member->name_size, out);
    lc_buffer_byte(out, ':');
}

/* One item of `data` as it came, but for its index and, where `vector` is given, its
 * vector. */
static void put_item(lc_buffer *out, const lc_tree *item, size_t index,
                     const lc_buffer *vector)
{
    lc_buffer_byte(out, '{');
    for (const lc_tree *member = item->first; member; member = member->next) {
        put_name(out, member);
        if (lc_tree_named(member, "index"))
            lc_buffer_format(out, "%zu", index);
        else if (vector && lc_tree_named(member, "embedding"))
            lc_buffer_add(out, vector->data, vector->size);
        else
            lc_tree_write(member, out);
    }
    lc_buffer_byte(out, '}');
}

static int is_vector(const lc_tree *vector)
{
    return lc_tree_is_type(vector, LC_TREE_NUMBERS) ||
           (lc_tree_is_type(vector, LC_TREE_STRING) && vector->size);
}

/* ---- Taking an answer apart ------------------------------------------------------ */

static void put_usage_share(lc_buffer *out, const lc_tree *usage, const lc_share *s)
{
    int64_t number;
    int at = 0;
    if (!lc_tree_is_type(usage, LC_TREE_OBJECT)) {
        lc_tree_write(usage, out);
        return;
    }
    lc_buffer_byte(out, '{');
    for (const lc_tree *member = usage->first; member; member = member->next, at++) {
        put_name(out, member);
        if (at < LC_MOST_COUNTS && lc_tree_integer(member, &number) == 0)
            lc_buffer_format(out, "%" PRId64, s->counts[at]);
        else
            lc_tree_write(member, out);
    }
    lc_buffer_byte(out, '}');
}

static int put_share(lc_buffer *out, const lc_tree *answer, const lc_share *s)
{
    lc_buffer_clear(out);
    lc_buffer_byte(out, '{');
    for (const lc_tree *member = answer->first; member; member = member->next) {
        put_name(out, member);
        if (lc_tree_named(member, "data")) {
            lc_buffer_byte(out, '[');
            put_item(out, s->item, 0, NULL);
            lc_buffer_byte(out, ']');
        } else if (lc_tree_named(member, "usage")) {
            put_usage_share(out, member, s);
        } else {
            lc_tree_write(member, out);
        }
    }
    return lc_buffer_byte(out, '}');
}

/* Finds the item for each of the inputs by its index. 0, or LLMCACHE_INVALID when one is
 * missing. */
static int sort_items(const lc_tree *data, lc_share *shares, size_t count)
{
    if (!lc_tree_is_type(data, LC_TREE_ARRAY) || data->size != count)
        return LLMCACHE_INVALID;
    for (const lc_tree *item = data->first; item; item = item->next) {
        int64_t index;
        if (!is_vector(lc_tree_find(item, "embedding")) ||
            lc_tree_integer(lc_tree_find(item, "index"), &index) || index < 0 ||
            (uint64_t)index >= count || shares[index].item)
            return LLMCACHE_INVALID;
        shares[index].item = item;
    }
    return 0;
}

static int split(const lc_tree *answer, const lc_share *shares, const size_t *positions,
                 size_t count, lc_embeddings_fn fn, void *user, llmcache_error *err)
{
    lc_buffer one;
    int status = 0;
    lc_buffer_init(&one, 0);
    for (size_t i = 0; i < count && !status; i++) {
        status = put_share(&one, answer, &shares[i]);
        if (status)
            lc_fail(err, status, "embeddings: %s", lc_code_text(status));
        else
            status = fn(user, positions[i], one.data, one.size);
    }
    lc_buffer_done(&one);
    return status;
}

int lc_embeddings_split(const lc_embeddings *batch, const size_t *positions, size_t count,
                        const char *answer, size_t size, lc_embeddings_fn fn, void *user,
                        llmcache_error *err)
{
    lc_arena arena = {0};
    lc_tree *root;
    lc_share *shares = lc_zalloc_array(count, sizeof *shares);
    int status =
        shares ? lc_tree_read(&arena, answer, size, &root, err) : lc_fail_memory(err);
    if (!status && sort_items(lc_tree_find(root, "data"), shares, count))
        status =
            lc_fail(err, LLMCACHE_INVALID, "embeddings: not one vector for each input");
    for (size_t i = 0; !status && i < count; i++) {
        shares[i].shape = batch->inputs[positions[i]].shape;
        shares[i].weight = batch->inputs[positions[i]].weight + 1;
    }
    if (!status && lc_share_usage(lc_tree_find(root, "usage"), shares, count))
        status = lc_fail_memory(err);
    if (!status)
        status = split(root, shares, positions, count, fn, user, err);
    lc_arena_done(&arena);
    lc_free(shares);
    return status;
}

/* ---- Putting answers together ---------------------------------------------------- */

/* Usage summed over the answers: the integers of the first one's usage, by their place in
 * it. */
typedef struct tally {
    int64_t sums[LC_MOST_COUNTS];
} tally;

static void add_usage(tally *t, const lc_tree *names, const lc_tree *usage)
{
    const int64_t most = INT64_C(1) << 50;
    int at = 0;
    int64_t number;
    for (const lc_tree *name = lc_tree_children(names); name && at < LC_MOST_COUNTS;
         name = name->next, at++)
        if (lc_tree_integer(lc_tree_member(usage, name->name, name->name_size),
                            &number) == 0 &&
            number > 0 && number < most && t->sums[at] < most)
            t->sums[at] += number;
}

static void put_usage(lc_buffer *out, const lc_tree *names, const tally *t)
{
    int at = 0;
    int64_t number;
    lc_buffer_byte(out, '{');
    for (const lc_tree *name = lc_tree_children(names); name; name = name->next, at++) {
        put_name(out, name);
        if (at < LC_MOST_COUNTS && lc_tree_integer(name, &number) == 0)
            lc_buffer_format(out, "%" PRId64, t->sums[at]);
        else
            lc_tree_write(name, out);
    }
    lc_buffer_byte(out, '}');
}

/* Writes an answer's only item with its vector in the form asked for. */
static int join_item(const lc_embeddings *batch, const lc_tree *answer, size_t index,
                     lc_buffer *vector, lc_buffer *data)
{
    const lc_tree *item = lc_tree_children(lc_tree_find(answer, "data"));
    const lc_tree *value = lc_tree_find(item, "embedding");
    int status = 0;
    if (!is_vector(value) || item->next)
        return LLMCACHE_INVALID;
    int is_base64 = value->type == LC_TREE_STRING;
    lc_buffer_clear(vector);
    if (is_base64 != batch->base64)
        status = is_base64 ? lc_base64_to_floats(value, vector)
                           : lc_floats_to_base64(value, vector);
    if (!status)
        put_item(data, item, index, is_base64 != batch->base64 ? vector : NULL);
    return status;
}

/* The first answer with all the data and the summed usage. */
static int put_reply(const lc_tree *first, const lc_buffer *data, const tally *t,
                     lc_buffer *body)
{
    size_t begin = body->size;
    lc_buffer_byte(body, '{');
    for (const lc_tree *member = first->first; member; member = member->next) {
        put_name(body, member);
        if (lc_tree_named(member, "data"))
            lc_buffer_add(body, data->data, data->size);
        else if (lc_tree_named(member, "usage") && member->type == LC_TREE_OBJECT)
            put_usage(body, member, t);
        else
            lc_tree_write(member, body);
    }
    lc_buffer_byte(body, '}');
    if (body->broken)
        body->size = begin;
    return body->broken;
}

int lc_embeddings_join(const lc_embeddings *batch, const lc_embedding *answers,
                       lc_buffer *body, size_t *position, llmcache_error *err)
{
    lc_arena first_arena = {0}, arena = {0};
    lc_buffer data, vector;
    lc_tree *first, *answer;
    tally t = {0};
    size_t at = 0;
    lc_buffer_init(&data, body->max);
    lc_buffer_init(&vector, body->max);
    int status =
        lc_tree_read(&first_arena, answers[0].body, answers[0].size, &first, NULL);
    lc_buffer_byte(&data, '[');
    for (; !status && at < batch->count; at++) {
        lc_arena_reset(&arena);
        status = lc_tree_read(&arena, answers[at].body, answers[at].size, &answer, NULL);
        if (!status && at)
            lc_buffer_byte(&data, ',');
        status = status ? status : join_item(batch, answer, at, &vector, &data);
        if (status)
            break;
        add_usage(&t, lc_tree_find(first, "usage"), lc_tree_find(answer, "usage"));
    }
    lc_buffer_byte(&data, ']');
    status = status ? status : data.broken;
    status = status ? status : put_reply(first, &data, &t, body);
    if (status == LLMCACHE_INVALID && position)
        *position = at;
    lc_buffer_done(&data);
    lc_buffer_done(&vector);
    lc_arena_done(&arena);
    lc_arena_done(&first_arena);
    return status ? lc_fail(err, status, "embeddings: %s",
                            status == LLMCACHE_INVALID ? "a kept answer is damaged"
                                                       : lc_code_text(status))
                  : 0;
}
