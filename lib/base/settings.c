/*
 * The settings table at work. One array of rows says name, type, place in the struct and bounds; parsing,
 * describing and copying walk over it.
 */
#include "base/settings.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/shown_uri.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *name;
    lc_setting_type type;
    size_t offset;
    const char *value;
    double low, high; /* equal: no bounds */
    const char *environment;
    const char *help;
} row;

static const row rows[] = {
#define LC_SETTING(field, name, type, value, low, high, aliases, help)                        \
    {name, LC_##type, offsetof(lc_settings, field), value, low, high, aliases, help},
#include "base/settings.def"
#undef LC_SETTING
};

static const char *const type_names[] = {"text",     "secret", "uri",  "integer", "number", "share",
                                         "duration", "millis", "size", "switch"};

static int is_text(lc_setting_type type)
{
    return type == LC_TEXT || type == LC_SECRET || type == LC_URI;
}

static int find(const char *name)
{
    for (int i = 0; i < LC_SETTING_COUNT; i++)
        if (strcmp(rows[i].name, name) == 0)
            return i;
    return -1;
}

/* "store-timeout-ms" -> "LLMCACHE_STORE_TIMEOUT_MS" */
static void environment_name(const char *name, char out[64])
{
    int size = snprintf(out, 64, "LLMCACHE_");
    for (; *name && size < 63; name++)
        out[size++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    out[size] = '\0';
}

/* ---- Reading values ------------------------------------------------------------------------ */

typedef struct unit {
    const char *name;
    double factor;
} unit;

static const unit time_units[] = {{"ms", 1}, {"s", 1e3}, {"m", 6e4}, {"h", 3.6e6}, {"d", 8.64e7},
                                  {NULL, 0}};
static const unit size_units[] = {
    {"B", 1},           {"kB", 1e3},         {"KB", 1e3},         {"MB", 1e6},
    {"GB", 1e9},        {"TB", 1e12},        {"KiB", 1024.0},     {"MiB", 1048576.0},
    {"GiB", 1073741824.0}, {"TiB", 1099511627776.0}, {"k", 1024.0}, {"M", 1048576.0},
    {"G", 1073741824.0}, {NULL, 0}};
static const unit share_units[] = {{"%", 1e-2}, {NULL, 0}};
static const unit no_units[] = {{NULL, 0}};

/* A decimal number with an optional unit, by its own rules so that the locale has no say. */
static int read_number(const char *text, const unit *units, double bare, double *out)
{
    double value = 0, scale = 1;
    int digits = 0, negative = *text == '-';
    text += negative;
    for (; *text >= '0' && *text <= '9'; text++, digits++)
        value = value * 10 + (*text - '0');
    if (*text == '.')
        for (text++; *text >= '0' && *text <= '9'; text++, digits++)
            value += (*text - '0') * (scale /= 10);
    if (!digits)
        return LLMCACHE_SETTING;
    while (*text == ' ')
        text++;
    double factor = *text ? 0 : bare;
    for (const unit *u = units; *text && u->name; u++)
        if (strcmp(text, u->name) == 0)
            factor = u->factor;
    if (factor == 0)
        return LLMCACHE_SETTING;
    *out = (negative ? -value : value) * factor;
    return 0;
}

static int read_switch(const char *text, double *out)
{
    static const char *const words[] = {"no", "yes", "off", "on", "false", "true", "0", "1"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0) {
            *out = (double)(i % 2);
            return 0;
        }
    return LLMCACHE_SETTING;
}

static int read_value(const row *r, const char *text, double *out)
{
    switch (r->type) {
    case LC_DURATION:
        return read_number(text, time_units, 1e3, out);
    case LC_MILLIS:
        return read_number(text, time_units, 1, out);
    case LC_SIZE:
        return read_number(text, size_units, 1, out);
    case LC_SWITCH:
        return read_switch(text, out);
    case LC_SHARE:
        return read_number(text, share_units, 1, out);
    default:
        return read_number(text, no_units, 1, out);
    }
}

static int refuse(const row *r, const char *value, llmcache_error *err)
{
    static const char *const forms[] = {
        [LC_INTEGER] = "a whole number",
        [LC_NUMBER] = "a number",
        [LC_SHARE] = "a share such as 2% or 0.02",
        [LC_DURATION] = "a duration such as 30s, 15m, 24h, 7d (bare: seconds)",
        [LC_MILLIS] = "a duration such as 50ms, 2s (bare: milliseconds)",
        [LC_SIZE] = "a size such as 512KiB, 64MiB",
        [LC_SWITCH] = "yes or no",
        [LC_TEXT] = "text without line breaks",
        [LC_URI] = "text without line breaks",
        [LC_SECRET] = "text without line breaks"};
    const char *shown = r->type == LC_SECRET || r->type == LC_URI ? "(hidden)" : value;
    if (r->low == r->high || is_text(r->type))
        return lc_fail(err, LLMCACHE_SETTING, "setting %s: \"%.80s\" is not %s", r->name, shown,
                       forms[r->type]);
    const char *ms = r->type == LC_DURATION || r->type == LC_MILLIS ? " ms" : "";
    return lc_fail(err, LLMCACHE_SETTING, "setting %s: \"%.60s\" is not %s from %.15g%s to %.15g%s",
                   r->name, shown, forms[r->type], r->low, ms, r->high, ms);
}

static int keep_text(lc_settings *settings, int at, const char *value, llmcache_error *err)
{
    const row *r = &rows[at];
    char **slot = (char **)(void *)((char *)settings + r->offset);
    for (const char *c = value; *c; c++)
        if ((unsigned char)*c < 0x20)
            return refuse(r, value, err);
    return lc_strset(slot, value) ? lc_fail_memory(err) : 0;
}

static int keep_number(lc_settings *settings, int at, const char *value, llmcache_error *err)
{
    const row *r = &rows[at];
    double number;
    if (read_value(r, value, &number) || (r->low != r->high && (number < r->low || number > r->high)))
        return refuse(r, value, err);
    if (r->type == LC_NUMBER || r->type == LC_SHARE) {
        memcpy((char *)settings + r->offset, &number, sizeof number);
        return 0;
    }
    if (number != floor(number) || fabs(number) > 9e15)
        return refuse(r, value, err);
    int64_t whole = (int64_t)number;
    memcpy((char *)settings + r->offset, &whole, sizeof whole);
    return 0;
}

static int keep(lc_settings *settings, int at, const char *value, lc_origin origin,
                llmcache_error *err)
{
    char *copy = lc_strdup(value), *shown = NULL;
    if (!copy || (rows[at].type == LC_URI && lc_shown_uri(value, &shown))) {
        lc_free(copy);
        return lc_fail_memory(err);
    }
    int code = is_text(rows[at].type) ? keep_text(settings, at, value, err)
                                      : keep_number(settings, at, value, err);
    if (code) {
        lc_free(copy);
        lc_free(shown);
        return code;
    }
    lc_free(settings->text[at]);
    lc_free(settings->shown[at]);
    settings->text[at] = copy;
    settings->shown[at] = shown;
    settings->origin[at] = (unsigned char)origin;
    return 0;
}

/* ---- The public side --------------------------------------------------------------------- */

int lc_settings_init(lc_settings *settings, llmcache_error *err)
{
    memset(settings, 0, sizeof *settings);
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        int code = keep(settings, i, rows[i].value, LC_BY_DEFAULT, err);
        if (code) {
            lc_settings_done(settings);
            return code;
        }
    }
    return 0;
}

void lc_settings_done(lc_settings *settings)
{
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        if (is_text(rows[i].type))
            lc_free(*(char **)(void *)((char *)settings + rows[i].offset));
        lc_free(settings->text[i]);
        lc_free(settings->shown[i]);
    }
    memset(settings, 0, sizeof *settings);
}

int lc_settings_copy(lc_settings *to, const lc_settings *from, llmcache_error *err)
{
    memset(to, 0, sizeof *to);
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        int code = keep(to, i, from->text[i], from->origin[i], err);
        if (code) {
            lc_settings_done(to);
            return code;
        }
    }
    return 0;
}

/* The value a weaker origin offers is still checked, so that a typing error is never silent. */
static int check_only(int at, const char *value, llmcache_error *err)
{
    lc_settings scratch;
    memset(&scratch, 0, sizeof scratch);
    int code = keep(&scratch, at, value, LC_BY_DEFAULT, err);
    lc_settings_done(&scratch);
    return code;
}

int lc_settings_set(lc_settings *settings, const char *name, const char *value, lc_origin origin,
                    llmcache_error *err)
{
    int at = find(name);
    if (at < 0)
        return lc_fail(err, LLMCACHE_SETTING, "there is no setting \"%.60s\"; docs/settings.md lists all",
                       name);
    if (origin < settings->origin[at])
        return check_only(at, value, err);
    return keep(settings, at, value, origin, err);
}

const char *lc_settings_text(const lc_settings *settings, const char *name)
{
    int at = find(name);
    return at < 0 ? NULL : settings->text[at];
}

int lc_settings_number(const lc_settings *settings, const char *name, double *number)
{
    int at = find(name);
    if (at < 0 || is_text(rows[at].type))
        return LLMCACHE_NOT_FOUND;
    return read_value(&rows[at], settings->text[at], number) ? LLMCACHE_NOT_FOUND : 0;
}

static const char *type_shown(lc_setting_type type)
{
    return type == LC_SECRET ? "text" : type == LC_MILLIS ? "duration" : type_names[type];
}

/* "LLMCACHE_TTL CACHE_TTL" for each row: made once, then only read. */
static char environments[LC_SETTING_COUNT][128];
static pthread_once_t environments_made = PTHREAD_ONCE_INIT;

static void make_environments(void)
{
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        char own[64];
        environment_name(rows[i].name, own);
        snprintf(environments[i], sizeof environments[i], "%s%s%s", own,
                 *rows[i].environment ? " " : "", rows[i].environment);
    }
}

int lc_settings_describe(const lc_settings *settings, size_t position, llmcache_setting *out)
{
    static const char *const origins[] = {"default", ".env", "environment", "option"};
    if (position >= LC_SETTING_COUNT)
        return LLMCACHE_NOT_FOUND;
    pthread_once(&environments_made, make_environments);
    const row *r = &rows[position];
    const char *value = settings ? settings->text[position] : r->value;
    if (settings && settings->shown[position])
        value = settings->shown[position];
    if (r->type == LC_SECRET && *value)
        value = "(set)";
    *out = (llmcache_setting){
        .name = r->name,
        .type = type_shown(r->type),
        .value = value,
        .default_value = r->value,
        .environment = environments[position],
        .help = r->help,
        .origin = origins[settings ? settings->origin[position] : LC_BY_DEFAULT]};
    return 0;
}

/* ---- Environment and .env ------------------------------------------------------------------ */

/* Does `name` stand in the list of aliases? */
static int listed(const char *aliases, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = aliases; *at;) {
        size_t word = strcspn(at, " ");
        if (word == size && memcmp(at, name, size) == 0)
            return 1;
        at += word + (at[word] == ' ');
    }
    return 0;
}

/* The row a variable sets, -1 for none; *strong: by its own name, not an alias. */
static int row_of_variable(const char *variable, int *strong)
{
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        char own[64];
        environment_name(rows[i].name, own);
        *strong = strcmp(own, variable) == 0;
        if (*strong || listed(rows[i].environment, variable))
            return i;
    }
    return -1;
}

/* Says which variable held the refused value. */
static int blame(const char *variable, int code, llmcache_error *err)
{
    if (err && code == LLMCACHE_SETTING) {
        char told[LLMCACHE_MESSAGE_SIZE];
        memcpy(told, err->message, sizeof told);
        return lc_fail(err, code, "%.60s: %.180s", variable, told);
    }
    return code;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t size = strlen(text);
    while (size && isspace((unsigned char)text[size - 1]))
        text[--size] = '\0';
    return text;
}

/* "export NAME='value' # note" -> value in place; NULL when the line has none. */
static char *read_line(char *line, char **name)
{
    line = trim(line);
    if (strncmp(line, "export ", 7) == 0)
        line = trim(line + 7);
    char *equals = strchr(line, '=');
    if (*line == '#' || !equals)
        return NULL;
    *equals = '\0';
    *name = trim(line);
    char *value = trim(equals + 1);
    if (*value == '"' || *value == '\'') {
        char *end = strchr(value + 1, *value);
        if (end)
            *end = '\0';
        return value + 1;
    }
    char *note = strstr(value, " #");
    if (note)
        *note = '\0';
    return trim(value);
}

typedef struct found {
    char *value; /* owned */
    int strong;
} found;

static int read_env_lines(FILE *file, found *values, llmcache_error *err)
{
    char line[8192];
    while (fgets(line, sizeof line, file)) {
        char *name;
        char *value = read_line(line, &name);
        int strong, at = value ? row_of_variable(name, &strong) : -1;
        if (at < 0 || (values[at].value && values[at].strong > strong))
            continue;
        if (lc_strset(&values[at].value, value))
            return lc_fail_memory(err);
        values[at].strong = strong;
    }
    return 0;
}

static int read_env_file(lc_settings *settings, const char *path, llmcache_error *err)
{
    found values[LC_SETTING_COUNT] = {0};
    FILE *file = fopen(path, "re");
    if (!file)
        return 0;
    int code = read_env_lines(file, values, err);
    fclose(file);
    for (int i = 0; i < LC_SETTING_COUNT; i++) {
        if (!code && values[i].value && *values[i].value)
            code = blame(path, lc_settings_set(settings, rows[i].name, values[i].value,
                                               LC_BY_ENV_FILE, err), err);
        lc_free(values[i].value);
    }
    return code;
}

/* The first of a row's names that is set and not empty. */
static const char *from_environment(const row *r, char variable[64])
{
    environment_name(r->name, variable);
    const char *value = getenv(variable);
    const char *at = r->environment;
    while ((!value || !*value) && *at) {
        size_t word = strcspn(at, " ");
        snprintf(variable, 64, "%.*s", (int)word, at);
        value = getenv(variable);
        at += word + (at[word] == ' ');
    }
    return value && *value ? value : NULL;
}

int lc_settings_read_environment(lc_settings *settings, const char *path, llmcache_error *err)
{
    if (!path)
        path = getenv("LLMCACHE_ENV_FILE");
    int code = read_env_file(settings, path && *path ? path : ".env", err);
    for (int i = 0; i < LC_SETTING_COUNT && !code; i++) {
        char variable[64];
        const char *value = from_environment(&rows[i], variable);
        if (value)
            code = blame(variable,
                         lc_settings_set(settings, rows[i].name, value, LC_BY_ENVIRONMENT, err), err);
    }
    return code;
}
