/*
 * Matching by meaning is for a person's question in words, as the last thing said, with
 * one answer expected. Everything else about the request is compared exactly, so it need
 * not be looked at here; what must be looked at is what would make two wordings of one
 * question want different answers: parts that are no text, results of tools, several
 * choices, probabilities of single tokens.
 */
#include "protocol/asked.h"

#include <string.h>

/* Types of parts that are no text, and the word for each; for all others "part". */
static const struct part_word {
    const char *type, *word;
} part_words[] = {
    {"image_url", "image"},    {"image", "image"},
    {"input_image", "image"},  {"file", "file"},
    {"document", "file"},      {"input_file", "file"},
    {"input_audio", "audio"},  {"audio", "audio"},
    {"video_url", "video"},    {"tool_result", "tool-result"},
    {"search_result", "file"}, {"refusal", "refusal"},
};

static const char *word_for(const lc_tree *part)
{
    const lc_tree *type = lc_tree_find(part, "type");
    for (size_t i = 0; i < sizeof part_words / sizeof *part_words; i++)
        if (lc_tree_is_text(type, part_words[i].type))
            return part_words[i].word;
    return "part";
}

static int is_text_part(const lc_tree *part)
{
    const lc_tree *type = lc_tree_find(part, "type");
    return (lc_tree_is_text(type, "text") || lc_tree_is_text(type, "input_text")) &&
           lc_tree_is_type(lc_tree_find(part, "text"), LC_TREE_STRING);
}

static void look_at_content(lc_tree *content, lc_asked *asked)
{
    if (lc_tree_is_type(content, LC_TREE_STRING)) {
        asked->content = content;
        return;
    }
    if (!lc_tree_is_type(content, LC_TREE_ARRAY) || !content->first) {
        asked->why_not = "no-text";
        return;
    }
    for (lc_tree *part = content->first; part; part = part->next)
        if (!is_text_part(part)) {
            asked->why_not = word_for(part);
            return;
        }
    asked->content = content;
}

/* The last of the messages (or of the items of a Responses input). */
static void look_at_last(const lc_tree *messages, lc_asked *asked)
{
    const lc_tree *last = lc_tree_children(messages);
    while (last && last->next)
        last = last->next;
    const lc_tree *role = lc_tree_find(last, "role"), *type = lc_tree_find(last, "type");
    size_t length = lc_tree_is_type(type, LC_TREE_STRING) ? type->size : 0;
    if (lc_tree_is_text(role, "user") && (!length || lc_tree_is_text(type, "message")))
        look_at_content(lc_tree_find(last, "content"), asked);
    else if (lc_tree_is_text(role, "tool") || lc_tree_is_text(role, "function") ||
             (length > 7 && memcmp(type->text + length - 7, "_output", 7) == 0))
        asked->why_not = "tool-result";
    else
        asked->why_not = "no-user";
}

static int includes_logprobs(const lc_tree *body)
{
    for (lc_tree *what = lc_tree_children(lc_tree_find(body, "include")); what;
         what = what->next)
        if (lc_tree_is_text(what, "message.output_text.logprobs"))
            return 1;
    return 0;
}

static const char *many_or_logprobs(const lc_tree *body)
{
    const lc_tree *n = lc_tree_find(body, "n"), *best_of = lc_tree_find(body, "best_of");
    const lc_tree *logprobs = lc_tree_find(body, "logprobs");
    const lc_tree *top = lc_tree_find(body, "top_logprobs");
    int64_t number;
    if (!lc_tree_is_nothing(n) && (lc_tree_integer(n, &number) || number != 1))
        return "n";
    if (!lc_tree_is_nothing(best_of) &&
        (lc_tree_integer(best_of, &number) || number != 1))
        return "n";
    if (!lc_tree_is_nothing(logprobs) && !lc_tree_is_type(logprobs, LC_TREE_FALSE))
        return "logprobs";
    if (!lc_tree_is_nothing(top) && (lc_tree_integer(top, &number) || number != 0))
        return "logprobs";
    return includes_logprobs(body) ? "logprobs" : NULL;
}

lc_asked lc_asked_find(lc_protocol protocol, const lc_tree *body)
{
    lc_asked asked = {.trim = 1};
    lc_tree *input = lc_tree_find(body, "input");
    switch (protocol) {
    case LC_PROTOCOL_CHAT:
    case LC_PROTOCOL_MESSAGES:
        look_at_last(lc_tree_find(body, "messages"), &asked);
        break;
    case LC_PROTOCOL_RESPONSES:
        if (lc_tree_is_type(input, LC_TREE_STRING))
            asked.content = input;
        else
            look_at_last(input, &asked);
        break;
    case LC_PROTOCOL_COMPLETIONS:
        /* A prompt is gone on with from its very end, where a blank counts. */
        asked.content = lc_tree_find(body, "prompt");
        if (!lc_tree_is_type(asked.content, LC_TREE_STRING))
            asked.content = NULL;
        asked.trim = 0;
        asked.why_not = "completions";
        break;
    case LC_PROTOCOL_EMBEDDINGS:
        asked.why_not = "embeddings";
        break;
    default:
        asked.why_not = "protocol";
    }
    if (!asked.why_not)
        asked.why_not = many_or_logprobs(body);
    return asked;
}

static lc_tree *text_of(lc_tree *part)
{
    return !part || part->type == LC_TREE_STRING ? part : lc_tree_find(part, "text");
}

lc_tree *lc_asked_first(const lc_asked *asked, lc_tree **part)
{
    int whole = lc_tree_is_type(asked->content, LC_TREE_STRING);
    *part = whole ? NULL : lc_tree_children(asked->content);
    return whole ? asked->content : text_of(*part);
}

lc_tree *lc_asked_next(lc_tree **part)
{
    *part = *part ? (*part)->next : NULL;
    return text_of(*part);
}

/* A container or conversation that the service keeps changes with every use. */
static int names_container(const lc_tree *holder)
{
    const lc_tree *container = lc_tree_find(holder, "container");
    return lc_tree_is_type(container, LC_TREE_STRING) ||
           !lc_tree_is_nothing(lc_tree_find(container, "id"));
}

const char *lc_asked_uncacheable(lc_protocol protocol, const lc_tree *body)
{
    if (protocol == LC_PROTOCOL_RESPONSES) {
        if (!lc_tree_is_nothing(lc_tree_find(body, "conversation")))
            return "conversation";
        const lc_tree *background = lc_tree_find(body, "background");
        if (!lc_tree_is_nothing(background) &&
            !lc_tree_is_type(background, LC_TREE_FALSE))
            return "background";
        for (lc_tree *tool = lc_tree_children(lc_tree_find(body, "tools")); tool;
             tool = tool->next)
            if (names_container(tool))
                return "container";
    }
    if (protocol == LC_PROTOCOL_MESSAGES && names_container(body))
        return "container";
    return NULL;
}
