/*
 * Settings: typed values of one cache, made from settings.def. Each remembers where its value came
 * from, and a stronger origin is not overwritten by a weaker one.
 */
#ifndef LC_BASE_SETTINGS_H
#define LC_BASE_SETTINGS_H

#include <llmcache/llmcache.h>

typedef enum lc_setting_type {
    LC_TEXT, LC_SECRET, LC_URI, LC_INTEGER, LC_NUMBER, LC_SHARE, LC_DURATION, LC_MILLIS, LC_SIZE, LC_SWITCH
} lc_setting_type;

typedef enum lc_origin { LC_BY_DEFAULT, LC_BY_ENV_FILE, LC_BY_ENVIRONMENT, LC_BY_OPTION } lc_origin;

/* C types of the setting types. */
#define LC_C_TEXT     char *
#define LC_C_SECRET   char *
#define LC_C_URI      char *
#define LC_C_INTEGER  int64_t
#define LC_C_NUMBER   double
#define LC_C_SHARE    double
#define LC_C_DURATION int64_t
#define LC_C_MILLIS   int64_t
#define LC_C_SIZE     int64_t
#define LC_C_SWITCH   int64_t

enum {
#define LC_SETTING(field, name, type, value, low, high, aliases, help) LC_SETTING_##field,
#include "base/settings.def"
#undef LC_SETTING
    LC_SETTING_COUNT
};

typedef struct lc_settings {
#define LC_SETTING(field, name, type, value, low, high, aliases, help) LC_C_##type field;
#include "base/settings.def"
#undef LC_SETTING
    unsigned char origin[LC_SETTING_COUNT]; /* lc_origin */
    char *text[LC_SETTING_COUNT];           /* as given */
    char *shown[LC_SETTING_COUNT];          /* a URI without its password, NULL where text may be shown */
} lc_settings;

/* Texts are never NULL in initialised settings. done accepts half-made ones that were zeroed. */
int lc_settings_init(lc_settings *settings, llmcache_error *err);
void lc_settings_done(lc_settings *settings);
int lc_settings_copy(lc_settings *to, const lc_settings *from, llmcache_error *err);

/* A value from a weaker origin than the present one is checked and dropped. */
int lc_settings_set(lc_settings *settings, const char *name, const char *value, lc_origin origin,
                    llmcache_error *err);

/* `.env` (path NULL: LLMCACHE_ENV_FILE or ./.env; absent is fine), then the environment. */
int lc_settings_read_environment(lc_settings *settings, const char *path, llmcache_error *err);

/* The value of one setting as text, or as a number; NULL, LLMCACHE_NOT_FOUND as the public header says. */
const char *lc_settings_text(const lc_settings *settings, const char *name);
int lc_settings_number(const lc_settings *settings, const char *name, double *number);

/* Row `position` as the public header has it; LLMCACHE_NOT_FOUND past the end. settings may be NULL. */
int lc_settings_describe(const lc_settings *settings, size_t position, llmcache_setting *row);

#endif
