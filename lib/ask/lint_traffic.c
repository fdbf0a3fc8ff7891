/*
 * Three walks over the exact entries. The first counts groups of entries that are alike: by question and
 * conversation, or by all fields with the spots that machines write masked. The second looks at every field of
 * the entries that have company: a value that none of the group had before prevented a hit. The third
 * fetches an example pair for each field found. Memory is bounded by the tables; time by the store's size, a
 * limit and a deadline.
 */
#include "ask/lint_traffic.h"

#include "ask/manage.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "protocol/spots.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_ENTRIES = 200000, PATIENCE_MS = 20000, MOST_GROUPS = 1 << 16, MOST_SEEN = 1 << 20, MOST_LINE = 4096 };

static const char question_path[] = "question";

typedef struct linting {
    lc_lint *lint;
    lc_lint_groups groups;
    lc_lint_seen seen;
    int64_t until_ms;
    int code;
    /* The entry at hand */
    lc_shape_line lines[LC_SHAPE_LINES];
    size_t count;
} linting;

/* ---- What an entry is like ----------------------------------------------------------------------- */

static int path_begins(const lc_shape_line *line, const char *with)
{
    size_t size = strlen(with);
    return line->path_size >= size && memcmp(line->path, with, size) == 0;
}

/* Is it the member of the body with this name, or within it? */
static int is_in(const lc_shape_line *line, const char *member)
{
    size_t size = strlen(member);
    return path_begins(line, member) &&
           (line->path_size == size || line->path[size] == '[' || line->path[size] == '.');
}

/* The value of the line with the path of `line` up to its first bracket's end, and ".role" behind; NULL. */
static const lc_shape_line *role_line(const linting *l, const lc_shape_line *line)
{
    const char *end = memchr(line->path, ']', line->path_size);
    size_t size = end ? (size_t)(end - line->path) + 1 : 0;
    for (size_t i = 0; size && i < l->count; i++) {
        const lc_shape_line *other = &l->lines[i];
        if (other->path_size == size + 5 && memcmp(other->path, line->path, size) == 0 &&
            memcmp(other->path + size, ".role", 5) == 0)
            return other;
    }
    return NULL;
}

static int value_is(const lc_shape_line *line, const char *value)
{
    return line->value_size == strlen(value) && memcmp(line->value, value, line->value_size) == 0;
}

/* What was said before the question, but for what the program says: two talks are not one request. */
static int is_talk(const linting *l, const lc_shape_line *line)
{
    if (!is_in(line, "messages") && !is_in(line, "input") && !is_in(line, "prompt"))
        return 0;
    const lc_shape_line *role = role_line(l, line);
    return !role || (!value_is(role, "'system") && !value_is(role, "'developer"));
}

/* Which two groups is the entry in? */
static void keys_of(const linting *l, const llmcache_entry *entry, uint64_t *by_question, uint64_t *by_fields)
{
    uint64_t start = lc_mix(LC_MIX_START, entry->space, strlen(entry->space) + 1);
    start = lc_mix(start, entry->protocol, strlen(entry->protocol) + 1);
    *by_question = lc_mix_masked(lc_mix(start, "q", 1), entry->question, strlen(entry->question));
    *by_fields = lc_mix(start, "f", 1);
    for (size_t i = 0; i < l->count; i++) {
        uint64_t masked = lc_shape_masked(&l->lines[i]);
        /* Tools in any order are the same tools. */
        if (path_begins(&l->lines[i], "tools[") || path_begins(&l->lines[i], "functions[")) {
            *by_fields += masked * masked;
            continue;
        }
        *by_fields = lc_mix(*by_fields, &masked, sizeof masked);
        if (is_talk(l, &l->lines[i]))
            *by_question = lc_mix(*by_question, &masked, sizeof masked);
    }
}

/* ---- The walks ------------------------------------------------------------------------------------- */

/* Cuts the entry's shape; 0 when there is none, or it is time to stop. */
static int take(linting *l, const llmcache_entry *entry, int *stop)
{
    *stop = l->code || lc_mono_ms() > l->until_ms;
    if (*stop && !l->code)
        l->lint->complete = 0;
    const char *shape = entry->shape ? entry->shape : "";
    l->count = *stop ? 0 : lc_shape_cut(shape, l->lines);
    return l->count > 0;
}

static int count_entry(void *user, const llmcache_entry *entry)
{
    linting *l = user;
    uint64_t by_question, by_fields;
    int stop;
    if (!take(l, entry, &stop)) {
        l->lint->looked_at += !stop;
        return stop;
    }
    l->lint->looked_at++;
    l->lint->shaped++;
    keys_of(l, entry, &by_question, &by_fields);
    if (lc_lint_groups_add(&l->groups, by_question, entry->id) ||
        lc_lint_groups_add(&l->groups, by_fields, entry->id))
        l->code = LLMCACHE_MEMORY;
    return l->code;
}

static lc_lint_field *field_of(linting *l, const char *path, size_t size, const lc_shape_line *line)
{
    lc_lint *lint = l->lint;
    uint64_t hash = lc_mix(LC_MIX_START, path, size);
    for (size_t i = 0; i < lint->field_count; i++)
        if (lint->fields[i].hash == hash)
            return &lint->fields[i];
    if (lint->field_count == LC_LINT_FIELDS)
        return NULL;
    lc_lint_field *field = &lint->fields[lint->field_count++];
    const lc_shape_line *role = line ? role_line(l, line) : NULL;
    field->hash = hash;
    memcpy(field->path, path, size < sizeof field->path - 1 ? size : sizeof field->path - 1);
    if (role && *role->value == '\'')
        memcpy(field->role, role->value + 1,
               role->value_size - 1 < sizeof field->role - 1 ? role->value_size - 1 : sizeof field->role - 1);
    return field;
}

static void sample(lc_lint_field *field, const lc_shape_line *line, int64_t created_ms)
{
    char text[32] = "";
    if (!line || field->sample_count == LC_LINT_SAMPLES || line->value_size >= sizeof text ||
        !line->value_size || !strchr("-0123456789", *line->value))
        return;
    memcpy(text, line->value, line->value_size);
    field->samples[field->sample_count++] = (lc_lint_sample){created_ms, strtod(text, NULL)};
}

/* One field of an entry in a group. 1 when its value prevented a hit. */
static int look_at(linting *l, const lc_lint_group *group, lc_lint_field *field, uint64_t value,
                   const llmcache_entry *entry, const lc_shape_line *line)
{
    uint64_t key = lc_mix(group->key, &field->hash, sizeof field->hash);
    int first = lc_lint_seen_add(&l->seen, key);
    int fresh = first < 0 ? first : lc_lint_seen_add(&l->seen, lc_mix(key, &value, sizeof value));
    if (fresh < 0) {
        l->code = LLMCACHE_MEMORY;
        return 0;
    }
    field->entries++;
    field->values += fresh != 0;
    if (fresh)
        sample(field, line, entry->created_ms);
    if (first)
        return 0;
    field->repeats++;
    field->prevented += fresh != 0;
    if (fresh && !*field->second && strcmp(group->id, entry->id) != 0) {
        memcpy(field->first, group->id, sizeof field->first);
        memcpy(field->second, entry->id, sizeof field->second);
    }
    return fresh;
}

/* `one_question`: the group is of entries whose questions differ in spots at most. */
static void look_at_fields(linting *l, const lc_lint_group *group, int one_question,
                           const llmcache_entry *entry)
{
    int prevented = 0;
    lc_lint_field *field = field_of(l, question_path, strlen(question_path), NULL);
    uint64_t value = lc_mix(LC_MIX_START, entry->question, strlen(entry->question));
    if (field && one_question && *entry->question)
        prevented = look_at(l, group, field, value, entry, NULL);
    for (size_t i = 0; i < l->count && !l->code; i++) {
        const lc_shape_line *line = &l->lines[i];
        field = field_of(l, line->path, line->path_size, line);
        value = lc_mix(LC_MIX_START, line->value, line->value_size);
        if (field)
            prevented |= look_at(l, group, field, value, entry, line);
    }
    int repeat = strcmp(group->id, entry->id) != 0;
    l->lint->repeats += repeat;
    l->lint->prevented += repeat && prevented;
}

static int look_at_entry(void *user, const llmcache_entry *entry)
{
    linting *l = user;
    uint64_t by_question, by_fields;
    int stop;
    if (!take(l, entry, &stop))
        return stop;
    keys_of(l, entry, &by_question, &by_fields);
    const lc_lint_group *group = lc_lint_groups_find(&l->groups, by_question);
    int one_question = group && group->count > 1;
    if (!one_question)
        group = lc_lint_groups_find(&l->groups, by_fields);
    if (group && group->count > 1)
        look_at_fields(l, group, one_question, entry);
    return l->code;
}

/* ---- Examples ---------------------------------------------------------------------------------------- */

/* "path value" of the field in the entry at hand. */
static char *line_of(const linting *l, const lc_lint_field *field, const llmcache_entry *entry)
{
    if (field->hash == lc_mix(LC_MIX_START, question_path, strlen(question_path))) {
        size_t size = strlen(entry->question);
        return lc_strndup(entry->question, size < MOST_LINE ? size : MOST_LINE);
    }
    for (size_t i = 0; i < l->count; i++) {
        const lc_shape_line *line = &l->lines[i];
        if (lc_mix(LC_MIX_START, line->path, line->path_size) == field->hash)
            return lc_strndup(line->path, line->path_size + 1 + line->value_size);
    }
    return lc_strdup("");
}

static int fetch_examples(void *user, const llmcache_entry *entry)
{
    linting *l = user;
    int stop;
    if (!take(l, entry, &stop))
        return stop;
    for (size_t i = 0; i < l->lint->field_count && !l->code; i++) {
        lc_lint_field *field = &l->lint->fields[i];
        char **slot = strcmp(field->first, entry->id) == 0    ? &field->first_line
                      : strcmp(field->second, entry->id) == 0 ? &field->second_line
                                                              : NULL;
        if (slot && !*slot && !(*slot = line_of(l, field, entry)))
            l->code = LLMCACHE_MEMORY;
    }
    return l->code;
}

/* ---- All of it ------------------------------------------------------------------------------------------ */

static int walk(llmcache *cache, const llmcache_filter *filter, llmcache_entry_fn fn, linting *l,
                llmcache_error *err)
{
    int code = lc_manage_each(cache, filter, fn, l, err);
    return !code && l->code ? lc_fail_memory(err) : code;
}

static int lint_with(llmcache *cache, const llmcache_filter *filter, linting *l, llmcache_error *err)
{
    lc_lint *lint = l->lint;
    int code = walk(cache, filter, count_entry, l, err);
    if (lint->looked_at >= (uint64_t)filter->limit)
        lint->complete = 0;
    if (!code)
        code = walk(cache, filter, look_at_entry, l, err);
    if (!code && lint->prevented)
        code = walk(cache, filter, fetch_examples, l, err);
    if (l->groups.mask || l->seen.full)
        lint->complete = 0;
    return code;
}

static void free_lint(lc_lint *lint)
{
    for (size_t i = 0; i < lint->field_count; i++) {
        lc_free(lint->fields[i].first_line);
        lc_free(lint->fields[i].second_line);
    }
    lc_free(lint);
}

int lc_lint_traffic(llmcache *cache, const llmcache_filter *given, char **json, llmcache_error *err)
{
    llmcache_filter filter = lc_whole_filter(given);
    linting *l = lc_zalloc(sizeof *l);
    lc_lint *lint = lc_zalloc(sizeof *lint);
    int code = l && lint ? 0 : lc_fail_memory(err);
    if (!code) {
        filter.records = LLMCACHE_PART_PROMPT;
        if (filter.limit <= 0 || filter.limit > MOST_ENTRIES)
            filter.limit = MOST_ENTRIES;
        lint->complete = 1;
        l->lint = lint;
        l->until_ms = lc_mono_ms() + PATIENCE_MS;
        lc_lint_groups_init(&l->groups, MOST_GROUPS);
        lc_lint_seen_init(&l->seen, MOST_SEEN);
        code = lint_with(cache, &filter, l, err);
        lc_lint_groups_done(&l->groups);
        lc_lint_seen_done(&l->seen);
    }
    if (!code)
        code = lc_lint_report(lint, json, err);
    if (lint)
        free_lint(lint);
    lc_free(l);
    return code;
}
