/* Showing entries of the cache, for ls, get, purge and index. */
#ifndef CLI_ENTRY_H
#define CLI_ENTRY_H

#include "cli.h"

/* The heading of a list, and one row; `width` columns of the terminal, 0 for no limit. */
void entry_print_heading(const cli_session *cli);
void entry_print_row(const cli_session *cli, const llmcache_entry *entry, int64_t now_ms);

/* The flags --model, --namespace, --tag, --contains, --id, --older-than, --limit as a
 * filter. */
int entry_filter(const cli_session *cli, llmcache_filter *filter);

int64_t entry_now_ms(void);

#endif
