/*
 * local: a text is folded to simplified characters for the encoder's eye, tokenised and
 * encoded, all in this process. No prefix is put before it. A text the model cannot read
 * whole gets no vector: it would be compared by what is left of it.
 *
 * Without a model the embedder opens all the same and says at every use how to get one:
 * the cache goes on, matching exactly only. Nothing changes after opening but the stock
 * of workspaces and the recent texts, both of which keep threads apart without making
 * them wait.
 */
#include "embed/local_embedder.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "embed/fold_han.h"
#include "embed/local_model.h"
#include "embed/recent_texts.h"

#include <math.h>
#include <stdio.h>
#include <stdatomic.h>
#include <string.h>

#define HASH_DIGITS 16 /* of the weights' hash, in the space's name */
#define SPACE_SIZE  192

typedef struct local_embedder {
    lc_local_model *model; /* NULL: there is none, and `problem` says why */
    lc_recent *recent;
    char space[SPACE_SIZE];
    char problem[LLMCACHE_MESSAGE_SIZE];
    int problem_code;
    atomic_size_t runs;
} local_embedder;

static int say_problem(const local_embedder *self, llmcache_error *err)
{
    return lc_fail(err, self->problem_code, "%s", self->problem);
}

/* ---- Texts ------------------------------------------------------------------------ */

static void key_of(const char *whose, const char *text, unsigned char key[LC_SHA256_SIZE])
{
    lc_sha256 hash;
    lc_sha256_init(&hash);
    lc_sha256_text(&hash, whose);
    lc_sha256_add(&hash, text, strlen(text));
    lc_sha256_end(&hash, key);
}

/* Of the last layer's rows of a text, those of its first pieces, scaled to unit length.
 */
static void pick_states(const local_embedder *self, const lc_workspace *workspace,
                        lc_token_states *out)
{
    const lc_tokenizer *tokenizer = lc_local_model_tokenizer(self->model);
    const lc_tokens *text = &workspace->texts[0];
    size_t dimension = out->dimension;
    out->count = 0;
    for (size_t i = 0; i < text->count && out->count < LC_STATES_MAX; i++) {
        if (lc_tokenizer_is_special(tokenizer, text->ids[i]))
            continue;
        const float *state = workspace->states + i * dimension;
        float *to = out->states + out->count * dimension;
        double length = 0;
        for (size_t k = 0; k < dimension; k++)
            length += (double)state[k] * state[k];
        float factor = length > 0 ? (float)(1 / sqrt(length)) : 0;
        for (size_t k = 0; k < dimension; k++)
            to[k] = state[k] * factor;
        out->ids[out->count] = text->ids[i];
        out->is_word[out->count++] = lc_tokenizer_is_word(tokenizer, text->ids[i]) != 0;
    }
}

/*
 * One text all the way, its vector and states kept for the next who asks. `states` has
 * room. A text that is not fit for a vector ends the call unless `any` is set.
 */
static int run_one(local_embedder *self, lc_workspace *workspace, const char *text,
                   int any, const unsigned char key[32], float *vector,
                   lc_token_states *states, llmcache_error *err)
{
    lc_workspace_read(self->model, workspace, 0, text, strlen(text));
    int rc = lc_workspace_judge(self->model, workspace, 0, err);
    int fit = rc == 0;
    if (rc && !any)
        return rc;
    states->unknown = workspace->info[0].unknown != 0;
    states->cut = workspace->info[0].cut;
    states->count = 0;
    if (workspace->texts[0].count == 0) /* far too long: not read */
        return 0;
    atomic_fetch_add_explicit(&self->runs, 1, memory_order_relaxed);
    rc = lc_encoder_run(lc_local_model_encoder(self->model), workspace->encoder,
                        workspace->texts, 1, vector, workspace->states, err);
    if (rc)
        return rc;
    pick_states(self, workspace, states);
    if (fit)
        lc_recent_put(self->recent, key, vector, states);
    return 0;
}

/* ---- The table -------------------------------------------------------------------- */

static size_t dimension_of(const local_embedder *self)
{
    return self->model ? lc_local_model_facts(self->model)->dimension : 0;
}

static int embed_one(local_embedder *self, const char *whose, const char *text,
                     float *vector, llmcache_error *err)
{
    unsigned char key[LC_SHA256_SIZE];
    lc_workspace *workspace;
    key_of(whose, text, key);
    if (lc_recent_find(self->recent, key, vector, NULL))
        return 0;
    int rc = lc_workspace_borrow(self->model, &workspace, err);
    if (rc)
        return rc;
    lc_token_states states = {.dimension = dimension_of(self),
                              .states = workspace->picked};
    rc = run_one(self, workspace, text, 0, key, vector, &states, err);
    lc_workspace_return(self->model, workspace);
    return rc;
}

/* Many texts at once are not looked for among the recent ones: they come from a rebuild,
 * not a person. */
static int embed_some(local_embedder *self, lc_workspace *workspace,
                      const char *const *texts, size_t count, float *vectors,
                      llmcache_error *err)
{
    for (size_t i = 0; i < count; i++) {
        lc_workspace_read(self->model, workspace, i, texts[i], strlen(texts[i]));
        int rc = lc_workspace_judge(self->model, workspace, i, err);
        if (rc)
            return rc;
    }
    return lc_encoder_run(lc_local_model_encoder(self->model), workspace->encoder,
                          workspace->texts, count, vectors, NULL, err);
}

static int embed_texts(void *user, const char *const *texts, size_t count, float *vectors,
                       int64_t deadline_ms, llmcache_error *err)
{
    local_embedder *self = user;
    int64_t end_ms = lc_mono_ms() + deadline_ms;
    lc_workspace *workspace;
    if (!self->model)
        return say_problem(self, err);
    if (count == 1)
        return embed_one(self, "", texts[0], vectors, err);
    int rc = lc_workspace_borrow(self->model, &workspace, err);
    if (rc)
        return rc;
    for (size_t first = 0, some; !rc && first < count; first += some) {
        some = count - first < LC_LOCAL_BATCH ? count - first : LC_LOCAL_BATCH;
        if (first && lc_mono_ms() > end_ms)
            rc = lc_fail(err, LLMCACHE_TIMEOUT, "%zu of %zu texts were embedded in time",
                         first, count);
        else
            rc = embed_some(self, workspace, texts + first, some,
                            vectors + first * dimension_of(self), err);
    }
    lc_workspace_return(self->model, workspace);
    return rc;
}

static size_t tell_dimension(void *user)
{
    return dimension_of(user);
}

/* Only called while the dimension is unknown: there is no model. */
static int discover(void *user, int64_t deadline_ms, llmcache_error *err)
{
    return say_problem(user, err);
}

static const char *tell_space(void *user)
{
    return ((local_embedder *)user)->space;
}

static double tell_threshold(void *user)
{
    local_embedder *self = user;
    return self->model ? lc_local_model_file(self->model)->threshold : 0;
}

static void close_embedder(void *user)
{
    local_embedder *self = user;
    lc_recent_free(self->recent);
    lc_local_model_close(self->model);
    lc_free(self);
}

/* ---- Opening ---------------------------------------------------------------------- */

static int set_up(local_embedder *self, const char *name,
                  const lc_embedder_options *options, llmcache_error *err)
{
    int rc =
        lc_local_model_open(options->models_folder, name, LC_INT8, &self->model, err);
    if (rc)
        return rc;
    const lc_model_file *file = lc_local_model_file(self->model);
    if (lc_local_model_facts(self->model)->ranks)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "model %s judges pairs, it makes no vectors", file->name);
    snprintf(self->space, sizeof self->space, "local:%.96s:%.*s:%s:int8", file->name,
             HASH_DIGITS, file->weights, LC_FOLD_HAN_VERSION);
    return lc_recent_new(dimension_of(self), &self->recent, err);
}

static const llmcache_embedder_ops table = {
    .version = LLMCACHE_BACKEND_VERSION,
    .name = "local",
    .embed = embed_texts,
    .dimension = tell_dimension,
    .discover = discover,
    .space = tell_space,
    .threshold = tell_threshold,
    .close = close_embedder,
};

int lc_embedder_open_local(const char *model, const lc_embedder_options *options,
                           lc_embedder *embedder, llmcache_error *err)
{
    llmcache_error problem;
    local_embedder *self = lc_zalloc(sizeof *self);
    if (!self)
        return lc_fail_memory(err);
    int rc = set_up(self, model, options, &problem);
    if (rc == LLMCACHE_MEMORY) {
        close_embedder(self);
        return lc_fail_memory(err);
    }
    if (rc) {
        lc_local_model_close(self->model);
        self->model = NULL;
        self->problem_code = LLMCACHE_EMBEDDER;
        snprintf(self->problem, sizeof self->problem, "%s", problem.message);
        snprintf(self->space, sizeof self->space, "local:%.96s", model);
    }
    *embedder = (lc_embedder){table, self};
    return 0;
}

/* ---- Beyond the table ------------------------------------------------------------- */

void lc_token_states_done(lc_token_states *states)
{
    lc_free(states->states);
    *states = (lc_token_states){0};
}

static int make_room(const local_embedder *self, lc_token_states *states,
                     llmcache_error *err)
{
    size_t dimension = dimension_of(self);
    if (states->states && states->dimension == dimension)
        return 0;
    lc_token_states_done(states);
    states->states = lc_alloc_array(LC_STATES_MAX * dimension, sizeof *states->states);
    states->dimension = dimension;
    return states->states ? 0 : lc_fail_memory(err);
}

int lc_local_states(void *user, const char *text, lc_token_states *states,
                    llmcache_error *err)
{
    return lc_local_states_for(user, "", text, states, err);
}

int lc_local_embed_for(void *user, const char *whose, const char *text, float *vector,
                       llmcache_error *err)
{
    local_embedder *self = user;
    return self->model ? embed_one(self, whose, text, vector, err) : say_problem(self, err);
}

size_t lc_local_runs(void *user)
{
    return atomic_load_explicit(&((local_embedder *)user)->runs, memory_order_relaxed);
}

int lc_is_local_embedder(const lc_embedder *embedder)
{
    return embedder->ops.embed == embed_texts;
}

int lc_local_states_for(void *user, const char *whose, const char *text,
                        lc_token_states *states, llmcache_error *err)
{
    local_embedder *self = user;
    unsigned char key[LC_SHA256_SIZE];
    lc_workspace *workspace;
    if (!self->model)
        return say_problem(self, err);
    int rc = make_room(self, states, err);
    if (rc)
        return rc;
    key_of(whose, text, key);
    if (lc_recent_find(self->recent, key, NULL, states))
        return 0;
    rc = lc_workspace_borrow(self->model, &workspace, err);
    if (rc)
        return rc;
    rc = run_one(self, workspace, text, 1, key, workspace->vector, states, err);
    lc_workspace_return(self->model, workspace);
    return rc;
}

lc_span lc_local_piece(void *user, uint32_t id)
{
    local_embedder *self = user;
    const lc_tokenizer *tokenizer =
        self->model ? lc_local_model_tokenizer(self->model) : NULL;
    if (!tokenizer || id >= lc_tokenizer_count(tokenizer))
        return (lc_span){"", 0};
    return lc_tokenizer_piece(tokenizer, id);
}

const char *lc_local_problem(void *user)
{
    return ((local_embedder *)user)->problem;
}
