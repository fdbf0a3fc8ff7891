/*
 * Judging an answer. Kept is only what the model finished by itself: cut, filtered,
 * refused, empty and failed answers would be wrong ones to serve again.
 */
#include "base/error.h"
#include "base/memory.h"
#include "protocol/json_tree.h"
#include "protocol/protocol.h"

#include <string.h>

/* ---- Why an answer ended --------------------------------------------------------- */

/* Each protocol's words for an ending; why NULL: whole. What is not listed is
 * "unfinished". */
static const struct ending {
    const char *reason, *why;
} chat_endings[] =
    {
        {"stop", NULL},
        {"tool_calls", NULL},
        {"function_call", NULL},
        {"length", "length"},
        {"content_filter", "content_filter"},
        {NULL, NULL},
},
  message_endings[] =
      {
          {"end_turn", NULL},
          {"tool_use", NULL},
          {"stop_sequence", NULL},
          {"max_tokens", "length"},
          {"model_context_window_exceeded", "length"},
          {"refusal", "refusal"},
          {NULL, NULL},
},
  response_endings[] = {
      {"max_output_tokens", "length"},
      {"content_filter", "content_filter"},
      {NULL, NULL},
};

static const char *judge_ending(const struct ending *endings, const lc_tree *reason)
{
    for (; endings->reason; endings++)
        if (lc_tree_is_text(reason, endings->reason))
            return endings->why;
    return "unfinished";
}

static int has_children(const lc_tree *value)
{
    return lc_tree_children(value) != NULL;
}

static int says_something(const lc_tree *value)
{
    return lc_tree_is_type(value, LC_TREE_STRING) && value->size;
}

static void add_words(lc_buffer *words, const lc_tree *text)
{
    if (lc_tree_is_type(text, LC_TREE_STRING))
        lc_buffer_add(words, text->text, text->size);
}

/* ---- By protocol: each gives why_not and adds to the words ----------------------- */

/* Content is a string, or with some services an array of text parts. */
static int add_content(const lc_tree *content, lc_buffer *words)
{
    size_t before = words->size;
    add_words(words, content);
    for (lc_tree *part = lc_tree_children(content); part; part = part->next)
        add_words(words, lc_tree_find(part, "text"));
    return words->size > before || has_children(content);
}

static const char *judge_choice(const lc_tree *choice, lc_buffer *words)
{
    const lc_tree *message = lc_tree_find(choice, "message");
    const char *why = judge_ending(chat_endings, lc_tree_find(choice, "finish_reason"));
    int full = add_content(lc_tree_find(message, "content"), words);
    if (why)
        return why;
    if (says_something(lc_tree_find(message, "refusal")))
        return "refusal";
    full |= has_children(lc_tree_find(message, "tool_calls")) ||
            has_children(lc_tree_find(message, "function_call")) ||
            has_children(lc_tree_find(message, "audio"));
    return full ? NULL : "empty";
}

static const char *judge_completion(const lc_tree *choice, lc_buffer *words)
{
    const lc_tree *text = lc_tree_find(choice, "text");
    const char *why = judge_ending(chat_endings, lc_tree_find(choice, "finish_reason"));
    add_words(words, text);
    return why || says_something(text) ? why : "empty";
}

static const char *judge_choices(const lc_tree *body,
                                 const char *(*judge)(const lc_tree *, lc_buffer *),
                                 lc_buffer *words)
{
    const char *why = NULL;
    lc_buffer others;
    const lc_tree *choice = lc_tree_children(lc_tree_find(body, "choices"));
    if (!choice)
        return "empty";
    why = judge(choice, words);
    lc_buffer_init(&others, 0);
    while (!why && (choice = choice->next)) {
        lc_buffer_clear(&others);
        why = judge(choice, &others);
    }
    if (others.broken)
        words->broken = others.broken;
    lc_buffer_done(&others);
    return why;
}

static const char *judge_message(const lc_tree *body, lc_buffer *words)
{
    const lc_tree *content = lc_tree_find(body, "content");
    if (!lc_tree_is_text(lc_tree_find(body, "type"), "message"))
        return "unparsable";
    int other = 0;
    for (lc_tree *block = lc_tree_children(content); block; block = block->next) {
        const lc_tree *type = lc_tree_find(block, "type");
        if (lc_tree_is_text(type, "text"))
            add_words(words, lc_tree_find(block, "text"));
        else if (!lc_tree_is_text(type, "thinking") &&
                 !lc_tree_is_text(type, "redacted_thinking"))
            other = 1;
    }
    const char *why = judge_ending(message_endings, lc_tree_find(body, "stop_reason"));
    return why || words->size || other ? why : "empty";
}

/* One item of a Responses output. */
static const char *judge_item(const lc_tree *item, lc_buffer *words)
{
    if (!lc_tree_is_text(lc_tree_find(item, "type"), "message"))
        return NULL;
    for (lc_tree *part = lc_tree_children(lc_tree_find(item, "content")); part;
         part = part->next) {
        if (lc_tree_is_text(lc_tree_find(part, "type"), "refusal"))
            return "refusal";
        add_words(words, lc_tree_find(part, "text"));
    }
    return NULL;
}

static const char *judge_response(const lc_tree *body, lc_buffer *words)
{
    const char *why = NULL;
    int other = 0;
    for (lc_tree *item = lc_tree_children(lc_tree_find(body, "output")); item;
         item = item->next) {
        const lc_tree *type = lc_tree_find(item, "type");
        const char *word = judge_item(item, words);
        why = why ? why : word;
        other |= !lc_tree_is_text(type, "message") && !lc_tree_is_text(type, "reasoning");
    }
    const lc_tree *status = lc_tree_find(body, "status");
    if (lc_tree_is_text(status, "incomplete"))
        return judge_ending(
            response_endings,
            lc_tree_find(lc_tree_find(body, "incomplete_details"), "reason"));
    if (lc_tree_is_text(status, "failed") || lc_tree_is_text(status, "cancelled"))
        return "error";
    if (!lc_tree_is_text(status, "completed"))
        return "unfinished";
    return why || words->size || other ? why : "empty";
}

static const char *judge_embeddings(const lc_tree *body)
{
    const lc_tree *item = lc_tree_children(lc_tree_find(body, "data"));
    if (!item)
        return "empty";
    for (; item; item = item->next) {
        const lc_tree *vector = lc_tree_find(item, "embedding");
        if (!lc_tree_is_type(vector, LC_TREE_NUMBERS) && !says_something(vector))
            return "empty";
    }
    return NULL;
}

static const char *judge(lc_protocol protocol, const lc_tree *body, lc_buffer *words)
{
    if (!lc_tree_is_type(body, LC_TREE_OBJECT))
        return "unparsable";
    if (!lc_tree_is_nothing(lc_tree_find(body, "error")) ||
        lc_tree_is_text(lc_tree_find(body, "type"), "error"))
        return "error";
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
        return judge_choices(body, judge_choice, words);
    case LC_PROTOCOL_COMPLETIONS:
        return judge_choices(body, judge_completion, words);
    case LC_PROTOCOL_RESPONSES:
        return judge_response(body, words);
    case LC_PROTOCOL_EMBEDDINGS:
        return judge_embeddings(body);
    case LC_PROTOCOL_MESSAGES:
        return judge_message(body, words);
    default:
        return "unparsable";
    }
}

/* ---- Usage ----------------------------------------------------------------------- */

static int64_t count_of(const lc_tree *usage, const char *name)
{
    const int64_t most = INT64_C(1) << 50; /* so that sums cannot overflow */
    int64_t number = 0;
    if (lc_tree_integer(lc_tree_find(usage, name), &number) || number < 0)
        return 0;
    return number < most ? number : most;
}

static void read_usage(lc_protocol protocol, const lc_tree *body, lc_answer_facts *facts)
{
    const lc_tree *usage = lc_tree_find(body, "usage");
    int openai = protocol != LC_PROTOCOL_MESSAGES && protocol != LC_PROTOCOL_RESPONSES;
    if (!lc_tree_is_type(usage, LC_TREE_OBJECT))
        return;
    facts->has_usage = 1;
    facts->input_tokens = count_of(usage, openai ? "prompt_tokens" : "input_tokens");
    facts->output_tokens =
        count_of(usage, openai ? "completion_tokens" : "output_tokens");
    const char *details = openai ? "prompt_tokens_details" : "input_tokens_details";
    facts->cached_tokens = protocol == LC_PROTOCOL_MESSAGES
                               ? count_of(usage, "cache_read_input_tokens")
                               : count_of(lc_tree_find(usage, details), "cached_tokens");
    /* Anthropic counts what its own prompt cache read or wrote apart. */
    if (protocol == LC_PROTOCOL_MESSAGES)
        facts->input_tokens += count_of(usage, "cache_creation_input_tokens") +
                               count_of(usage, "cache_read_input_tokens");
}

static char *model_of(const lc_tree *body)
{
    const lc_tree *model = lc_tree_find(body, "model");
    int text = lc_tree_is_type(model, LC_TREE_STRING);
    return lc_strndup(text ? model->text : "", text ? model->size : 0);
}

static int read_facts(lc_protocol protocol, const lc_tree *body, lc_answer_facts *facts)
{
    lc_buffer words;
    lc_buffer_init(&words, 0);
    facts->why_not = judge(protocol, body, &words);
    facts->keep = !facts->why_not;
    read_usage(protocol, body, facts);
    facts->model = model_of(body);
    facts->text = lc_buffer_take(&words, NULL);
    lc_buffer_done(&words);
    return facts->model && facts->text ? 0 : LLMCACHE_MEMORY;
}

int lc_answer_read(lc_protocol protocol, const char *body, size_t size,
                   lc_answer_facts *facts, llmcache_error *err)
{
    lc_arena arena = {0};
    lc_tree *root = NULL;
    lc_answer_facts fresh = {0};
    int status = lc_tree_read(&arena, body, size, &root, NULL);
    if (status != LLMCACHE_MEMORY)
        status = read_facts(protocol, status ? NULL : root, &fresh);
    lc_arena_done(&arena);
    if (status) {
        lc_answer_facts_done(&fresh);
        return lc_fail_memory(err);
    }
    *facts = fresh;
    return 0;
}

void lc_answer_facts_done(lc_answer_facts *facts)
{
    lc_free(facts->text);
    lc_free(facts->model);
    *facts = (lc_answer_facts){0};
}
