/* An explanation as lines for people. What it says in sentences is the library's. */
#include "cli_ask.h"
#include "cli_print.h"

#include <string.h>

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static int is_true(const json_t *object, const char *name)
{
    return json_is_true(json_object_get(object, name));
}

static void print_row(FILE *to, const char *name, const char *text)
{
    fprintf(to, "%-12s ", name);
    print_text(to, text);
    fputc('\n', to);
}

/* "    ID  3 h old  model  question" */
static void print_entry(FILE *to, const json_t *entry)
{
    char span[PRINT_SPAN_SIZE];
    json_int_t age_ms = json_integer_value(json_object_get(entry, "age_ms"));
    fprintf(to, "%s  %s old  ", text_of(entry, "id"), print_span(age_ms, span));
    print_text(to, text_of(entry, "model"));
    fputs("  ", to);
    print_text(to, text_of(entry, "question"));
    fputc('\n', to);
}

/* ---- Exactly -------------------------------------------------------------------- */

static void print_sibling(FILE *to, const json_t *sibling)
{
    size_t i;
    json_t *field;
    fputs("  nearest kept ", to);
    print_entry(to, sibling);
    json_array_foreach(json_object_get(sibling, "differs"), i, field)
    {
        fputs("    ", to);
        print_text(to, text_of(field, "says"));
        fputc('\n', to);
    }
    json_int_t more = json_integer_value(json_object_get(sibling, "more"));
    if (more)
        fprintf(to, "    and %lld more\n", (long long)more);
}

static void print_exact(FILE *to, const json_t *exact)
{
    const json_t *sibling = json_object_get(exact, "sibling");
    print_row(to, "exactly", is_true(exact, "hit") ? "yes" : "no");
    if (is_true(exact, "hit")) {
        fputs("  ", to);
        print_entry(to, json_object_get(exact, "entry"));
    } else if (json_is_object(sibling) && json_array_size(json_object_get(sibling, "differs"))) {
        print_sibling(to, sibling);
    } else {
        fprintf(to, "  %s\n", text_of(exact, "says"));
        if (json_is_object(sibling))
            print_sibling(to, sibling);
    }
}

/* ---- By meaning ------------------------------------------------------------------- */

/* A line for each rule that refused it, one for all that did not. */
static void print_rules(FILE *to, const json_t *candidate)
{
    size_t i;
    json_t *rule;
    int passed = 0;
    json_array_foreach(json_object_get(candidate, "rules"), i, rule)
    {
        if (strcmp(text_of(rule, "outcome"), "veto") != 0)
            continue;
        fprintf(to, "    veto    %s%s", text_of(rule, "rule"), *text_of(rule, "detail") ? ": " : "");
        print_text(to, text_of(rule, "detail"));
        fputc('\n', to);
    }
    json_array_foreach(json_object_get(candidate, "rules"), i, rule)
        if (strcmp(text_of(rule, "outcome"), "pass") == 0)
            fprintf(to, "%s%s", passed++ ? ", " : "    passed  ", text_of(rule, "rule"));
    if (passed)
        fputc('\n', to);
}

static void print_candidate(FILE *to, const json_t *candidate)
{
    fprintf(to, "  %.4f  ", json_number_value(json_object_get(candidate, "similarity")));
    print_entry(to, candidate);
    fputs("    ", to);
    print_text(to, text_of(candidate, "says"));
    const json_t *score = json_object_get(candidate, "score");
    if (score && is_true(candidate, "serves"))
        fprintf(to, " (score %.2f, %.2f needed)", json_number_value(score),
                json_number_value(json_object_get(candidate, "score_threshold")));
    fputc('\n', to);
    print_rules(to, candidate);
}

static void print_semantic(FILE *to, const json_t *semantic)
{
    size_t i;
    json_t *candidate;
    fprintf(to, "%-12s %s; similarity from %.4f (%s)\n", "by meaning",
            is_true(semantic, "hit") ? "yes" : "no",
            json_number_value(json_object_get(semantic, "threshold")),
            text_of(semantic, "threshold_from"));
    if (*text_of(semantic, "why"))
        fprintf(to, "  %s\n", text_of(semantic, "says"));
    json_array_foreach(json_object_get(semantic, "candidates"), i, candidate)
        print_candidate(to, candidate);
}

/* ---- The whole -------------------------------------------------------------------- */

static void print_stores(FILE *to, const json_t *stores)
{
    char span[PRINT_SPAN_SIZE];
    json_int_t ttl_ms = json_integer_value(json_object_get(stores, "ttl_ms"));
    fprintf(to, "%-12s ", "new answer");
    if (!is_true(stores, "kept")) {
        fputs("not kept: no-store\n", to);
        return;
    }
    fprintf(to, "kept %s%s (%s), %s\n", ttl_ms ? "for " : "for ever",
            ttl_ms ? print_span(ttl_ms, span) : "", text_of(stores, "ttl_from"),
            is_true(stores, "by_meaning") ? "found by meaning too" : "found exactly only");
}

void ask_print_explained(FILE *to, const json_t *explained)
{
    static const char *const rows[][2] = {{"question", "question"},   {"namespace", "namespace"},
                                          {"protocol", "protocol"},   {"model", "model"},
                                          {"service", "base"},        {"target", "target"},
                                          {"id", "id"}};
    print_text(to, text_of(explained, "summary"));
    fputs("\n\n", to);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (json_object_get(explained, rows[i][1]))
            print_row(to, rows[i][0], text_of(explained, rows[i][1]));
    if (!json_object_get(explained, "exact"))
        return;
    fputc('\n', to);
    print_exact(to, json_object_get(explained, "exact"));
    if (!is_true(json_object_get(explained, "exact"), "hit"))
        print_semantic(to, json_object_get(explained, "semantic"));
    print_stores(to, json_object_get(explained, "stores"));
}
