/* <llmcache/model.h>: argument checks, settings, and models as the program sees them. */
#include "api/options.h"
#include "base/error.h"
#include "embed/model_facts.h"
#include "embed/model_pull.h"
#include "embed/ranker.h"

#include <llmcache/model.h>
#include <string.h>
#include <strings.h>

/* Settings for one call: the program's, or its own where it gave none. */
typedef struct call_settings {
    const lc_settings *settings;
    llmcache_options *own;
} call_settings;

static int settings_of(call_settings *call, const llmcache_options *options,
                       llmcache_error *err)
{
    call->own = NULL;
    if (!options) {
        int code = llmcache_options_new(&call->own, err);
        if (code)
            return code;
        options = call->own;
    }
    call->settings = &options->settings;
    return 0;
}

static void settings_done(call_settings *call)
{
    llmcache_options_free(call->own);
}

/* ---- Showing --------------------------------------------------------------------- */

/* Where models go to be shown. */
typedef struct audience {
    llmcache_model_fn fn;
    void *user;
    const char *default_path; /* of the model that `local:` means, "" for none */
    llmcache_error *err;      /* of a list */
} audience;

static int show(const audience *to, const lc_model_file *file, llmcache_error *err)
{
    lc_model_facts facts = {.tokenizer = "", .pooling = "", .precision = ""};
    int code = lc_model_facts_of(file->path, &facts, err);
    if (code)
        return code;
    llmcache_model model = {.name = file->name,
                            .path = file->path,
                            .license = file->license,
                            .languages = file->languages,
                            .source = file->source,
                            .tokenizer = facts.tokenizer,
                            .pooling = facts.pooling,
                            .precision = facts.precision,
                            .weights = file->weights,
                            .sha256 = file->sha256,
                            .bytes = file->bytes,
                            .dimension = facts.dimension,
                            .max_tokens = facts.max_tokens,
                            .layers = facts.layers,
                            .words = facts.words,
                            .threshold = file->threshold,
                            .known = file->known,
                            .is_default = strcmp(file->path, to->default_path) == 0};
    return to->fn(to->user, &model);
}

static int show_absent(const audience *to, const lc_model_row *row)
{
    llmcache_model model = {.name = row->name,
                            .path = "",
                            .license = row->license,
                            .languages = row->languages,
                            .source = row->source,
                            .tokenizer = "",
                            .pooling = "",
                            .precision = "",
                            .weights = "",
                            .sha256 = "",
                            .bytes = row->bytes,
                            .dimension = row->dimension,
                            .max_tokens = row->max_tokens,
                            .threshold = row->threshold,
                            .known = 1,
                            .is_default =
                                !*to->default_path && row == lc_model_row_at(0)};
    return to->fn(to->user, &model);
}

/* In a list, a file that is no model is left out. */
static int show_listed(const audience *to, const lc_model_file *file)
{
    int code = show(to, file, to->err);
    return code == LLMCACHE_CORRUPT || code == LLMCACHE_UNSUPPORTED ? 0 : code;
}

static int show_other(void *user, const lc_model_file *file)
{
    return lc_model_row_of(file->name) ? 0 : show_listed(user, file);
}

static int show_known(const audience *to, const lc_settings *settings)
{
    const lc_model_row *row;
    int code = 0;
    for (size_t i = 0; code == 0 && (row = lc_model_row_at(i)); i++) {
        lc_model_file file = {0};
        code = lc_model_find(settings->models_folder, row->name, 0, &file, to->err);
        if (code != LLMCACHE_MEMORY)
            code = code ? show_absent(to, row) : show_listed(to, &file);
        lc_model_file_done(&file);
    }
    return code;
}

/* There need not be one. */
static int find_default(const lc_settings *settings, lc_model_file *first, audience *to, llmcache_error *err)
{
    int code = lc_model_find(settings->models_folder, "", 0, first, err);
    if (!code)
        to->default_path = first->path;
    return code == LLMCACHE_MEMORY ? code : 0;
}

int llmcache_model_list(const llmcache_options *options, llmcache_model_fn fn, void *user,
                        llmcache_error *err)
{
    audience to = {fn, user, "", err};
    lc_model_file first = {0};
    call_settings call;
    if (!fn)
        return lc_fail(err, LLMCACHE_INVALID, "fn must not be NULL");
    int code = settings_of(&call, options, err);
    if (code)
        return code;
    code = find_default(call.settings, &first, &to, err);
    if (code == 0)
        code = show_known(&to, call.settings);
    if (code == 0)
        code = lc_models_each(call.settings->models_folder, show_other, &to, err);
    lc_model_file_done(&first);
    settings_done(&call);
    return code;
}

int llmcache_model_info(const llmcache_options *options, const char *name,
                        llmcache_model_fn fn, void *user, llmcache_error *err)
{
    audience to = {fn, user, "", NULL};
    lc_model_file file = {0}, first = {0};
    call_settings call;
    if (!fn)
        return lc_fail(err, LLMCACHE_INVALID, "fn must not be NULL");
    int code = settings_of(&call, options, err);
    if (code)
        return code;
    code = find_default(call.settings, &first, &to, err);
    if (code == 0)
        code = lc_model_find(call.settings->models_folder, name, 1, &file, err);
    if (code == 0)
        code = show(&to, &file, err);
    lc_model_file_done(&file);
    lc_model_file_done(&first);
    settings_done(&call);
    return code;
}

/* ---- Getting --------------------------------------------------------------------- */

static int read_precision(const char *text, lc_tensor_type *type, llmcache_error *err)
{
    static const lc_tensor_type types[] = {LC_TENSOR_Q8_0, LC_TENSOR_F16, LC_TENSOR_F32};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (!text || strcasecmp(text, lc_tensor_layout_of(types[i])->name) == 0) {
            *type = types[i];
            return 0;
        }
    return lc_fail(err, LLMCACHE_INVALID, "precision: %.20s is none of q8_0, f16, f32",
                   text);
}

/* `how` as far as the caller's version of it goes. */
static int read_options(const lc_settings *settings, const llmcache_model_options *how,
                        lc_pull_options *pull, llmcache_error *err)
{
    llmcache_model_options all = {0};
    if (how)
        memcpy(&all, how, how->struct_size < sizeof all ? how->struct_size : sizeof all);
    *pull = (lc_pull_options){.base_url = settings->models_base_url, .again = all.again};
    pull->import.setting = settings->models_folder;
    pull->import.name = all.name;
    pull->import.license = all.license;
    pull->import.sha256 = all.sha256;
    pull->import.threshold = all.threshold;
    pull->import.ticker = (lc_ticker){all.progress, all.user};
    if (all.name && !lc_model_name_ok(all.name))
        return lc_fail(err, LLMCACHE_INVALID,
                       "\"%.60s\" cannot name a model: letters, digits, . _ -", all.name);
    if (all.threshold < 0 || all.threshold > 1)
        return lc_fail(err, LLMCACHE_INVALID, "threshold: must be from 0 to 1");
    return read_precision(all.precision, &pull->import.precision, err);
}

/* What the two ways of getting a model share: before and after. */
static int get(const llmcache_options *options, const char *what, int from_here,
               const llmcache_model_options *how, const audience *to, llmcache_error *err)
{
    lc_pull_options pull;
    lc_model_file placed = {0};
    call_settings call;
    int code = settings_of(&call, options, err);
    if (code)
        return code;
    code = read_options(call.settings, how, &pull, err);
    if (code == 0 && from_here)
        code = lc_model_import(what, &pull.import, &placed, err);
    else if (code == 0) {
        code = lc_http_new(1, call.settings->tls_ca_file, &pull.http, err);
        if (code == 0)
            code = lc_model_pull(what, &pull, &placed, err);
        lc_http_free(pull.http);
    }
    if (code == 0 && to->fn)
        code = show(to, &placed, err);
    lc_model_file_done(&placed);
    settings_done(&call);
    return code;
}

int llmcache_model_pull(const llmcache_options *options, const char *name,
                        const llmcache_model_options *how, llmcache_model_fn fn,
                        void *user, llmcache_error *err)
{
    const audience to = {fn, user, "", NULL};
    return get(options, name, 0, how, &to, err);
}

int llmcache_model_import(const llmcache_options *options, const char *path,
                          const llmcache_model_options *how, llmcache_model_fn fn,
                          void *user, llmcache_error *err)
{
    const audience to = {fn, user, "", NULL};
    if (!path || !*path)
        return lc_fail(err, LLMCACHE_INVALID, "path must not be NULL or empty");
    return get(options, path, 1, how, &to, err);
}

int llmcache_model_check(const llmcache_options *options, const char *name,
                         llmcache_progress_fn progress, void *user, llmcache_error *err)
{
    const lc_ticker ticker = {progress, user};
    lc_model_file file = {0};
    call_settings call;
    int code = settings_of(&call, options, err);
    if (code)
        return code;
    code = lc_model_find(call.settings->models_folder, name, 0, &file, err);
    if (code == 0)
        code = lc_model_recorded(&file, file.weights, file.sha256, err);
    if (code == 0)
        code = lc_model_verify(file.path, &file, &ticker, err);
    lc_model_file_done(&file);
    settings_done(&call);
    return code;
}

/* ---- Judging --------------------------------------------------------------------- */

int llmcache_score(const llmcache_options *options, const char *model, const char *const *left,
                   const char *const *right, size_t count, float *scores, llmcache_error *err)
{
    call_settings call;
    lc_ranker *ranker;
    if (!model || !left || !right || !scores)
        return lc_fail(err, LLMCACHE_INVALID, "model, left, right and scores must not be NULL");
    for (size_t i = 0; i < count; i++)
        if (!left[i] || !right[i])
            return lc_fail(err, LLMCACHE_INVALID, "a text of a pair must not be NULL");
    int code = settings_of(&call, options, err);
    if (code)
        return code;
    code = lc_ranker_open(call.settings->models_folder, model, &ranker, err);
    settings_done(&call);
    if (code)
        return code;
    for (size_t i = 0; !code && i < count; i++)
        code = lc_ranker_score(ranker, left[i], right[i], &scores[i], err);
    lc_ranker_close(ranker);
    return code;
}
