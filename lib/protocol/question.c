/*
 * Reading a request into a question. One walk over the tree gives the digest of all but
 * the user's last words (context); the digest of that and the words is the digest of all
 * (shape). So two questions that differ in nothing but wording share a context by
 * construction.
 */
#include "base/error.h"
#include "base/memory.h"
#include "protocol/asked.h"
#include "protocol/canonical.h"
#include "protocol/controls.h"
#include "protocol/echo.h"
#include "protocol/normal_form.h"

#include <string.h>

/* ---- Digests --------------------------------------------------------------------- */

/* "float" is what an absent or null encoding_format means. */
static int is_default_format(lc_protocol protocol, const lc_tree *member)
{
    return protocol == LC_PROTOCOL_EMBEDDINGS &&
           lc_tree_named(member, "encoding_format") &&
           (lc_tree_is_nothing(member) || lc_tree_is_text(member, "float"));
}

static int digest_context(const lc_tree *body, unsigned key_fields, lc_question *question)
{
    lc_canonical form;
    lc_canonical_init(&form, "llmcache question 1");
    /* A vector differs with every byte of its text. */
    form.exact = question->protocol == LC_PROTOCOL_EMBEDDINGS;
    const char *name = lc_protocol_name(question->protocol);
    lc_canonical_bytes(&form, name, strlen(name));
    lc_tree **members = lc_tree_sorted(body);
    if (!members)
        return LLMCACHE_MEMORY;
    for (uint32_t i = 0; i < body->size && !form.status; i++)
        if (lc_member_counts(members[i], key_fields) &&
            !is_default_format(question->protocol, members[i]))
            lc_canonical_member(&form, members[i]);
    lc_free(members);
    return lc_canonical_end(&form, question->context);
}

/* Adds one of the texts to the digest and, in its normal form, to what the user asked. */
static int add_text(const lc_tree *text, int first, int last, int trim,
                    lc_canonical *form, lc_buffer *words)
{
    const char *begin = text->text, *normal;
    size_t size = text->size;
    if (first && trim)
        lc_trim_left(&begin, &size);
    if (last && trim)
        lc_trim_right(&begin, &size);
    int status = lc_normal_form(begin, size, &normal, &size);
    if (status)
        return status;
    lc_canonical_bytes(form, normal, size);
    if (!first)
        lc_buffer_byte(words, '\n');
    lc_buffer_add(words, normal, size);
    if (normal != begin)
        lc_free((char *)normal);
    return words->broken;
}

static int digest_shape(const lc_asked *asked, lc_question *question)
{
    lc_buffer words;
    lc_canonical form;
    lc_tree *part, *text = lc_asked_first(asked, &part), *next;
    int status = 0;
    if (!text) {
        memcpy(question->shape, question->context, sizeof question->shape);
        return 0;
    }
    lc_buffer_init(&words, 0);
    lc_canonical_init(&form, "llmcache shape 1");
    lc_canonical_bytes(&form, question->context, sizeof question->context);
    for (int first = 1; text && !status; text = next, first = 0) {
        next = lc_asked_next(&part);
        status = add_text(text, first, !next, asked->trim, &form, &words);
    }
    if (!status)
        status = lc_canonical_end(&form, question->shape);
    if (!status && !(question->text = lc_buffer_take(&words, &question->text_size)))
        status = LLMCACHE_MEMORY;
    lc_buffer_done(&words);
    return status;
}

/* ---- Facts ----------------------------------------------------------------------- */

static int read_model(const lc_tree *body, lc_question *question, llmcache_error *err)
{
    const lc_tree *model = lc_tree_find(body, "model");
    int text = lc_tree_is_type(model, LC_TREE_STRING);
    if (!text && !lc_tree_is_nothing(model))
        return lc_fail(err, LLMCACHE_INVALID, "body: model is not a string");
    if (text && memchr(model->text, '\0', model->size))
        return lc_fail(err, LLMCACHE_INVALID, "body: NUL in model");
    question->model = text ? lc_strndup(model->text, model->size) : lc_strdup("");
    return question->model ? 0 : lc_fail_memory(err);
}

static int read_stream(const lc_tree *body, lc_question *question, llmcache_error *err)
{
    const lc_tree *stream = lc_tree_find(body, "stream");
    const lc_tree *options = lc_tree_find(body, "stream_options");
    if (!lc_tree_is_nothing(stream) && stream->type > LC_TREE_TRUE)
        return lc_fail(err, LLMCACHE_INVALID, "body: stream is neither true nor false");
    if (!lc_tree_is_nothing(options) && options->type != LC_TREE_OBJECT)
        return lc_fail(err, LLMCACHE_INVALID, "body: stream_options is not an object");
    question->stream = lc_tree_is_true(stream);
    question->include_usage =
        question->stream && lc_tree_is_true(lc_tree_find(options, "include_usage"));
    return 0;
}

/* The caller's bytes without our member and the comma that went with it. */
static int cut_controls(const char *body, size_t size, const lc_tree *root,
                        lc_question *question)
{
    const lc_tree *cache = lc_controls_find(root), *before = NULL;
    if (!cache)
        return 0;
    for (const lc_tree *member = root->first; member != cache; member = member->next)
        before = member;
    size_t from = before ? before->end : cache->name_at;
    size_t to = before || !cache->next ? cache->end : cache->next->name_at;
    question->forward = lc_alloc(size - (to - from) + 1);
    if (!question->forward)
        return LLMCACHE_MEMORY;
    memcpy(question->forward, body, from);
    memcpy(question->forward + from, body + to, size - to);
    question->forward_size = size - (to - from);
    question->forward[question->forward_size] = '\0';
    return lc_controls_read(cache, &question->controls);
}

/* The reason not to match by meaning that the words themselves give. */
static const char *look_at_words(const lc_question *question)
{
    if (!question->text || !question->text_size)
        return "no-text";
    /* Embedders and entries take C strings: two texts that differ behind a NUL would be
     * one. */
    return memchr(question->text, '\0', question->text_size) ? "nul" : NULL;
}

static int read_tree(const char *body, size_t size, unsigned key_fields,
                     const lc_tree *root, lc_question *question, llmcache_error *err)
{
    int status = read_model(root, question, err);
    if (!status)
        status = read_stream(root, question, err);
    if (status)
        return status;
    lc_asked asked = lc_asked_find(question->protocol, root);
    lc_tree *part;
    for (lc_tree *text = lc_asked_first(&asked, &part); text; text = lc_asked_next(&part))
        text->marked = 1;
    if ((status = digest_context(root, key_fields, question)) ||
        (status = digest_shape(&asked, question)) ||
        (status = cut_controls(body, size, root, question)))
        return lc_fail(err, status,
                       status == LLMCACHE_INVALID
                           ? "body: a number's exponent is too large"
                           : "out of memory");
    if (question->protocol == LC_PROTOCOL_RESPONSES &&
        (status = lc_echo_digest(root, question->echo)))
        return lc_fail(err, status, "body: %s", lc_code_text(status));
    question->why_not = asked.why_not ? asked.why_not : look_at_words(question);
    question->matchable = !question->why_not;
    question->why_uncacheable = lc_asked_uncacheable(question->protocol, root);
    question->cacheable = !question->why_uncacheable;
    return 0;
}

int lc_question_read(lc_protocol protocol, const char *body, size_t size,
                     unsigned key_fields, lc_question *question, llmcache_error *err)
{
    lc_arena arena = {0};
    lc_tree *root;
    lc_question fresh = {.protocol = protocol,
                         .controls = {.ttl_ms = -1, .max_age_ms = -1}};
    int status = lc_tree_read(&arena, body, size, &root, err);
    if (!status && root->type != LC_TREE_OBJECT)
        status = lc_fail(err, LLMCACHE_INVALID, "body: not a JSON object");
    if (!status)
        status = read_tree(body, size, key_fields, root, &fresh, err);
    lc_arena_done(&arena);
    if (status)
        lc_question_done(&fresh);
    else
        *question = fresh;
    return status;
}

void lc_question_done(lc_question *question)
{
    lc_free(question->model);
    lc_free(question->text);
    lc_free(question->controls.space);
    lc_free(question->forward);
    *question = (lc_question){0};
}
