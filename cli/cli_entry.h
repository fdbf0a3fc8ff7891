/* Showing entries of the cache, for ls, get, purge and index. */
#ifndef CLI_ENTRY_H
#define CLI_ENTRY_H

#include "cli.h"

/* The heading of a list, and one row; `width` columns of the terminal, 0 for no limit. */
void entry_print_heading(const cli_session *cli);
void entry_print_row(const cli_session *cli, const llmcache_entry *entry, int64_t now_ms);

/* The flags below as a filter, and their rows for a command's table. */
int entry_filter(const cli_session *cli, llmcache_filter *filter);
int entry_filter_is_empty(const llmcache_filter *filter);
#define ENTRY_FILTER_FLAGS                                                                 \
    {"namespace", "NAME", "only of this namespace"},                                       \
        {"model", "NAME", "only of this model"}, {"tag", "TAG", "only with this tag"},     \
        {"contains", "TEXT", "only questions that contain this"},                          \
        {"search", "TEXT", "only with this in question or answer, in upper or lower case"}, \
        {"pattern", "GLOB", "only questions like this: * any text, ? one character"},      \
        {"namespace-pattern", "GLOB", "only of namespaces like this"},                     \
        {"model-pattern", "GLOB", "only of models like this"},                             \
        {"tag-pattern", "GLOB", "only with a tag like this"},                              \
        {"id", "ID", "only this id, or its first 6 or more digits"},                       \
        {"older-than", "TIME", "only older than 30s, 15m, 12h, 7d"},                       \
        {"newer-than", "TIME", "only kept within this time"},                              \
    {                                                                                      \
        "limit", "N", "at most this many"                                                  \
    }

int64_t entry_now_ms(void);

#endif
