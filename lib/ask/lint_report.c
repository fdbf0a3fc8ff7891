/* What the lint found, in order, with the kind of each field and what to do about it. */
#include "ask/lint_traffic.h"

#include "ask/explain.h"
#include "ask/sibling.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOLD = 20, SAYS = 320 };

/* ---- The kind of what changes ---------------------------------------------------------------------- */

static int by_time(const void *left, const void *right)
{
    const lc_lint_sample *a = left, *b = right;
    return (a->created_ms > b->created_ms) - (a->created_ms < b->created_ms);
}

static int is_epoch(double value)
{
    return (value > 1.4e9 && value < 2.5e9) || (value > 1.4e12 && value < 2.5e12);
}

/* Numbers that are known: do they count up, tell the time, or jump about? NULL: too few to say. */
static const char *kind_of_numbers(lc_lint_field *field)
{
    int rising = 1, epochs = 1, few = field->sample_count < 4;
    qsort(field->samples, field->sample_count, sizeof *field->samples, by_time);
    for (size_t i = 0; i < field->sample_count; i++) {
        const lc_lint_sample *at = &field->samples[i];
        epochs &= is_epoch(at->value);
        /* Entries of one moment are in no order. */
        if (i && at->created_ms > at[-1].created_ms)
            rising &= at->value > at[-1].value;
    }
    if (!field->sample_count)
        return NULL;
    return epochs ? "time" : few ? NULL : rising ? "counter" : "random";
}

static const char *kind_of(lc_lint_field *field, int64_t *at)
{
    lc_difference d;
    int alike;
    *at = -1;
    const char *kind = kind_of_numbers(field);
    if (kind || !field->first_line || !field->second_line)
        return kind ? kind : "value";
    if (strcmp(field->path, "question") == 0) {
        kind = lc_question_difference(field->first_line, field->second_line, &alike, at);
        return kind ? kind : "text";
    }
    if (lc_shape_compare(field->first_line, field->second_line, &d, 1) == 0)
        return "value";
    *at = d.from;
    return d.kind;
}

/* ---- What to do ---------------------------------------------------------------------------------------- */

static int is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static int is_key_field(const char *path)
{
    static const char *const names[] = {"user", "metadata", "service_tier", "prompt_cache_key",
                                        "safety_identifier", "stream_options"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t size = strlen(names[i]);
        if (strncmp(path, names[i], size) == 0 && (!path[size] || path[size] == '.'))
            return 1;
    }
    return 0;
}

static const char *advice_for(const char *path, const char *kind)
{
    if (is_key_field(path))
        return "take it out of the setting key-fields: it does not shape the answer";
    if (is(path, "seed"))
        return "leave the seed out, or always send the same one";
    if (strncmp(path, "header.", 7) == 0)
        return "send the header with one value from all programs";
    if (is(path, "question") && !is(kind, "text") && !is(kind, "spelling"))
        return "leave it out of the question, or say it only where the answer depends on it";
    if (is(kind, "order"))
        return "send the tools in one fixed order";
    if (is(kind, "date"))
        return "leave the date out; with it an answer is found for one day only";
    if (is(kind, "time"))
        return "leave the time out, or round it to the day and put it at the end";
    if (is(kind, "uuid") || is(kind, "random"))
        return "leave the id out, or put it into metadata, which is not part of the key";
    if (is(kind, "counter") || is(kind, "number"))
        return "leave the number out, or put it into metadata, which is not part of the key";
    if (is(kind, "text"))
        return "put what changes from one request to the next into the user's message, behind what stays";
    return "send one value, where the answers may be the same";
}

static const char *named(const char *kind)
{
    static const char *const names[][2] = {{"date", "a date"}, {"time", "a time"}, {"uuid", "a UUID"},
                                           {"random", "a random value"}, {"counter", "a counter"},
                                           {"number", "a number"}, {"order", "the order"},
                                           {"text", "its words"}, {"spelling", "its spelling"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (is(names[i][0], kind))
            return names[i][1];
    return "its value";
}

/* "is ... each time" */
static const char *named_new(const char *kind)
{
    return is(kind, "value") || is(kind, "added") ? "another value" : named(kind);
}

/* ---- The object ------------------------------------------------------------------------------------------ */

static double share_of(const lc_lint_field *field)
{
    return field->repeats ? (double)field->prevented / (double)field->repeats : 0;
}

static int worst_first(const void *left, const void *right)
{
    const lc_lint_field *a = left, *b = right;
    return a->prevented != b->prevented ? (a->prevented < b->prevented ? 1 : -1) : strcmp(a->path, b->path);
}

/* The list's own line says nothing where one of its items does. */
static int said_by_items(const lc_lint *lint, const lc_lint_field *list)
{
    size_t size = strlen(list->path);
    for (size_t i = 0; i < lint->field_count; i++) {
        const lc_lint_field *field = &lint->fields[i];
        if (strncmp(field->path, list->path, size) == 0 && field->path[size] == '[' &&
            2 * field->prevented >= list->prevented && field->prevented)
            return 1;
    }
    return 0;
}

static void say(const lc_lint_field *field, const char *kind, int64_t at, char says[SAYS])
{
    char place[48] = "";
    int whole = at < 0 && !is(kind, "text") && !is(kind, "order") && !is(kind, "spelling");
    if (whole)
        snprintf(place, sizeof place, " each time");
    if (at >= 0)
        snprintf(place, sizeof place, " near character %" PRId64, at);
    snprintf(says, SAYS, "%s%s%s%s %s %s%s: new in %" PRIu64 " of %" PRIu64 " repeated requests",
             field->path, *field->role ? " (" : "", field->role, *field->role ? ")" : "",
             whole ? "is" : "changes in", whole ? named_new(kind) : named(kind), place,
             field->prevented, field->repeats);
}

static void tell_field(lc_lint_field *field, lc_buffer *out, char says[SAYS])
{
    int64_t at;
    const char *kind = kind_of(field, &at);
    say(field, kind, at, says);
    lc_buffer_byte(out, '{');
    lc_explain_text(out, "field", field->path);
    lc_explain_text(out, "role", field->role);
    lc_explain_text(out, "kind", kind);
    if (at >= 0)
        lc_buffer_format(out, "\"at\":%" PRId64 ",", at);
    lc_buffer_format(out,
                     "\"entries\":%" PRIu64 ",\"values\":%" PRIu64 ",\"repeats\":%" PRIu64
                     ",\"prevented\":%" PRIu64 ",\"share\":%.4f,\"example\":[\"%s\",\"%s\"],",
                     field->entries, field->values, field->repeats, field->prevented, share_of(field),
                     field->first, field->second);
    lc_explain_text(out, "says", says);
    lc_explain_last(out, "advice", advice_for(field->path, kind));
    lc_buffer_byte(out, '}');
}

static void summarise(const lc_lint *lint, const char *worst, char summary[SAYS + 200])
{
    size_t size = SAYS + 200;
    if (!lint->shaped)
        snprintf(summary, size, "Nothing to look at: %" PRIu64 " kept answers, none with the shape of its request.",
                 lint->looked_at);
    else if (!lint->repeats)
        snprintf(summary, size, "No two of the %" PRIu64 " kept requests are alike.", lint->shaped);
    else if (!*worst)
        snprintf(summary, size, "No field stands out in %" PRIu64 " kept requests.", lint->shaped);
    else
        snprintf(summary, size, "%" PRIu64 " of %" PRIu64 " kept requests repeat an earlier one but for fields that "
                 "change. Most: %s.", lint->prevented, lint->shaped, worst);
}

int lc_lint_report(lc_lint *lint, char **json, llmcache_error *err)
{
    lc_buffer out, fields;
    char says[SAYS], worst[SAYS] = "", summary[SAYS + 200];
    size_t told = 0;
    lc_buffer_init(&out, 0);
    lc_buffer_init(&fields, 0);
    qsort(lint->fields, lint->field_count, sizeof *lint->fields, worst_first);
    for (size_t i = 0; i < lint->field_count && told < MOST_TOLD; i++) {
        lc_lint_field *field = &lint->fields[i];
        int seldom = field->prevented < 2 && share_of(field) < 0.5;
        if (!field->prevented || seldom || said_by_items(lint, field))
            continue;
        if (told)
            lc_buffer_byte(&fields, ',');
        tell_field(field, &fields, says);
        if (!told++)
            memcpy(worst, says, sizeof worst);
    }
    summarise(lint, worst, summary);
    lc_buffer_byte(&out, '{');
    lc_explain_text(&out, "summary", summary);
    lc_buffer_format(&out,
                     "\"looked_at\":%" PRIu64 ",\"with_shape\":%" PRIu64 ",\"complete\":%s,\"repeats\":%" PRIu64
                     ",\"prevented\":%" PRIu64 ",\"fields\":[",
                     lint->looked_at, lint->shaped, lint->complete ? "true" : "false", lint->repeats,
                     lint->prevented);
    lc_buffer_add(&out, fields.data, fields.size);
    lc_buffer_text(&out, "]}");
    char *text = fields.broken ? NULL : lc_buffer_take(&out, NULL);
    lc_buffer_done(&fields);
    lc_buffer_done(&out);
    if (!text)
        return lc_fail_memory(err);
    *json = text;
    return 0;
}
