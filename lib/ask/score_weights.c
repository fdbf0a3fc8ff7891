/*
 * {"score_weights": 1, "made": "2026-11-25", "space": "local:...", "languages": {"en": {"labels": 812,
 *  "threshold": 1.41, "bias": -34.2, "weights": {"cos": 24.1, ...}}}}
 *
 * Every feature must be there by its name and no other: a file that was fitted to other features would be
 * read as something it is not.
 */
#include "ask/score_weights.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX (64 * 1024)
#define FORMAT 1

/* What goes wrong is told in one way: the setting, the file, the reason. */
static int refuse(const char *path, const char *why, llmcache_error *err)
{
    return lc_fail(err, LLMCACHE_SETTING, "setting score-weights: %.100s: %s", path, why);
}

/* NULL, or why not. */
static const char *read_numbers(const lc_json *row, lc_weights_row *out)
{
    const lc_json *weights = lc_json_get(row, "weights"), *threshold = lc_json_get(row, "threshold");
    out->present = 1;
    if (!lc_json_number(lc_json_get(row, "bias"), &out->numbers[LC_FEATURE_COUNT]))
        return "a language has no bias";
    if (!lc_json_integer(lc_json_get(row, "labels"), &out->labels))
        return "a language does not say how many labels it was fitted on";
    out->has_threshold = threshold != NULL;
    if (threshold && !lc_json_number(threshold, &out->threshold))
        return "a threshold is no number";
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        if (!lc_json_number(lc_json_get(weights, lc_feature_name((lc_feature)i)), &out->numbers[i]))
            return "a weight is missing: it was made for other features; run tune --refit again";
    return lc_weights_problem(out);
}

static int count_member(void *user, const char *key, const lc_json *value)
{
    ++*(int *)user;
    return 0;
}

static int members(const lc_json *object)
{
    int count = 0;
    lc_json_each(object, count_member, &count);
    return count;
}

static int is_date(const char *text)
{
    static const char form[] = "dddd-dd-dd";
    if (!text || strlen(text) != sizeof form - 1)
        return 0;
    for (size_t i = 0; form[i]; i++)
        if (form[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return 0;
    return 1;
}

static const char *read_languages(const lc_json *languages, lc_weights *weights)
{
    int known = 0;
    for (int i = 0; i < LC_LANGUAGE_COUNT; i++) {
        const lc_json *row = lc_json_get(languages, lc_language_code((lc_language)i));
        if (!row)
            continue;
        known++;
        if (members(lc_json_get(row, "weights")) != LC_FEATURE_COUNT)
            return "it was made for other features; run tune --refit again";
        const char *why = read_numbers(row, &weights->rows[i]);
        if (why)
            return why;
    }
    return known && known == members(languages) ? NULL : "its languages are not of en, zh";
}

static const char *read_root(const lc_json *root, lc_weights *weights)
{
    int64_t format = 0;
    const char *made = lc_json_text(lc_json_get(root, "made"), NULL);
    const char *space = lc_json_text(lc_json_get(root, "space"), NULL);
    if (!lc_json_integer(lc_json_get(root, "score_weights"), &format) || format != FORMAT)
        return "it is no file of score weights";
    if (!is_date(made))
        return "it is not dated (\"made\": \"2026-11-25\")";
    if (space && strlen(space) >= sizeof weights->space)
        return "its embedding space has too long a name";
    memcpy(weights->made, made, sizeof weights->made);
    snprintf(weights->space, sizeof weights->space, "%s", space ? space : "");
    return read_languages(lc_json_get(root, "languages"), weights);
}

static int read_text(const char *path, lc_buffer *text, llmcache_error *err)
{
    char piece[4096];
    FILE *file = fopen(path, "re");
    if (!file)
        return refuse(path, "it cannot be read", err);
    for (size_t size; (size = fread(piece, 1, sizeof piece, file)) > 0;)
        lc_buffer_add(text, piece, size);
    int failed = ferror(file);
    fclose(file);
    return failed || text->broken ? refuse(path, "it cannot be read whole", err) : 0;
}

static int parse(const char *path, const char *space, const lc_buffer *text, lc_weights *weights,
                 llmcache_error *err)
{
    lc_json *root;
    int code = lc_json_parse(text->data ? text->data : "", text->size, &root, NULL);
    if (code)
        return code == LLMCACHE_MEMORY ? lc_fail_memory(err) : refuse(path, "it is not JSON", err);
    const char *why = read_root(root, weights);
    lc_json_free(root);
    if (!why && space && *weights->space && strcmp(space, weights->space) != 0)
        why = "it was fitted to another encoder; run tune --refit again";
    return why ? refuse(path, why, err) : 0;
}

int lc_score_weights_read(const char *path, const char *space, lc_weights **out, llmcache_error *err)
{
    lc_buffer text;
    if (!*path) {
        *out = NULL;
        return 0;
    }
    lc_weights *weights = lc_zalloc(sizeof *weights);
    if (!weights)
        return lc_fail_memory(err);
    lc_buffer_init(&text, FILE_MAX);
    int code = read_text(path, &text, err);
    if (!code)
        code = parse(path, space, &text, weights, err);
    lc_buffer_done(&text);
    if (code)
        lc_free(weights);
    else
        *out = weights;
    return code;
}

/* ---- Writing ------------------------------------------------------------------------------------- */

static void write_row(const lc_weights_row *row, const char *language, lc_buffer *out)
{
    lc_buffer_format(out, "\"%s\":{\"labels\":%lld,", language, (long long)row->labels);
    if (row->has_threshold)
        lc_buffer_format(out, "\"threshold\":%.10g,", row->threshold);
    lc_buffer_format(out, "\"bias\":%.10g,\"weights\":{", row->numbers[LC_FEATURE_COUNT]);
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        lc_buffer_format(out, "%s\"%s\":%.10g", i ? "," : "", lc_feature_name((lc_feature)i), row->numbers[i]);
    lc_buffer_text(out, "}}");
}

int lc_score_weights_write(const lc_weights *weights, lc_buffer *out)
{
    const char *comma = "";
    lc_buffer_format(out, "{\"score_weights\":%d,\"made\":", FORMAT);
    lc_buffer_json_text(out, weights->made);
    lc_buffer_text(out, ",\"space\":");
    lc_buffer_json_text(out, weights->space);
    lc_buffer_text(out, ",\"languages\":{");
    for (int i = 0; i < LC_LANGUAGE_COUNT; i++) {
        if (!weights->rows[i].present)
            continue;
        lc_buffer_text(out, comma);
        write_row(&weights->rows[i], lc_language_code((lc_language)i), out);
        comma = ",";
    }
    return lc_buffer_text(out, "}}");
}
