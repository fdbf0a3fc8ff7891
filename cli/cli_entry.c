#include "cli_entry.h"
#include "cli_print.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

int64_t entry_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- As a list ------------------------------------------------------------------ */

enum {
    ID_COLUMNS = LLMCACHE_ID_SIZE - 1,
    AGE_COLUMNS = 10,
    SPACE_COLUMNS = 14,
    MODEL_COLUMNS = 20
};

static int question_columns(const cli_session *cli)
{
    int rest =
        cli->width - (ID_COLUMNS + AGE_COLUMNS + SPACE_COLUMNS + MODEL_COLUMNS + 8);
    return !cli->width ? 0 : rest < 16 ? 16 : rest;
}

void entry_print_heading(const cli_session *cli)
{
    printf("%s%-*s  %-*s  %-*s  %-*s  %s%s\n", print_start(cli, PRINT_BOLD), ID_COLUMNS,
           "ID", AGE_COLUMNS, "AGE", SPACE_COLUMNS, "NAMESPACE", MODEL_COLUMNS, "MODEL",
           "QUESTION", print_end(cli));
}

void entry_print_row(const cli_session *cli, const llmcache_entry *entry, int64_t now_ms)
{
    char age[PRINT_SPAN_SIZE];
    print_cell(entry->id, ID_COLUMNS);
    fputs("  ", stdout);
    print_cell(print_span(now_ms - entry->created_ms, age), AGE_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->space ? entry->space : "", SPACE_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->model ? entry->model : "", MODEL_COLUMNS);
    fputs("  ", stdout);
    print_cell(entry->question ? entry->question : "", question_columns(cli));
    putchar('\n');
}

/* ---- Which entries -------------------------------------------------------------- */

int entry_filter(const cli_session *cli, llmcache_filter *filter)
{
    *filter = (llmcache_filter){.struct_size = sizeof *filter,
                                .space = cli_value(cli, "namespace"),
                                .id = cli_value(cli, "id"),
                                .model = cli_value(cli, "model"),
                                .tag = cli_value(cli, "tag"),
                                .contains = cli_value(cli, "contains"),
                                .pattern = cli_value(cli, "pattern"),
                                .space_pattern = cli_value(cli, "namespace-pattern"),
                                .model_pattern = cli_value(cli, "model-pattern"),
                                .tag_pattern = cli_value(cli, "tag-pattern"),
                                .search = cli_value(cli, "search")};
    int code = cli_duration(cli, "older-than", &filter->older_than_ms);
    if (!code)
        code = cli_duration(cli, "newer-than", &filter->newer_than_ms);
    return code ? code : cli_number(cli, "limit", 1, &filter->limit);
}

int entry_filter_is_empty(const llmcache_filter *f)
{
    int texts = f->space || f->id || f->model || f->tag || f->contains || f->search;
    int patterns = f->pattern || f->space_pattern || f->model_pattern || f->tag_pattern;
    return !texts && !patterns && !f->older_than_ms && !f->newer_than_ms && !f->limit;
}
