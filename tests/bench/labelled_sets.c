/* Reading the sets and encoding their texts. A benchmark's helper: what cannot be done
 * ends it. */
#include "labelled_sets.h"

#include "base/buffer.h"
#include "base/json.h"
#include "decide/normalise.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void *or_give_up(void *memory)
{
    if (!memory)
        test_give_up("out of memory");
    return memory;
}

/* Calls `fn` for each line of the file. 0 if it is not there. */
static int each_line(const char *name, void (*fn)(void *user, const lc_json *line),
                     void *user)
{
    char file[128];
    snprintf(file, sizeof file, "eval/%s.dev.jsonl", name);
    const char *path = test_shared_data(file);
    if (!path)
        return 0;
    char *text = test_read_file(path, NULL);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        lc_json *root;
        if (lc_json_parse(line, strlen(line), &root, NULL))
            test_give_up("%s: a line is not JSON", file);
        fn(user, root);
        lc_json_free(root);
    }
    return 1;
}

static char *copy_of(const lc_json *object, const char *key)
{
    const char *text = lc_json_text(lc_json_get(object, key), NULL);
    return text ? or_give_up(strdup(text)) : NULL;
}

static labelled_pair *add_pair(labelled_set *set)
{
    if ((set->count & (set->count + 1)) == 0) /* room is the next power of two */
        set->pairs =
            or_give_up(realloc(set->pairs, (set->count + 1) * 2 * sizeof *set->pairs));
    set->pairs[set->count] = (labelled_pair){0};
    return &set->pairs[set->count++];
}

static void take_pair(void *user, const lc_json *line)
{
    int64_t label = 0;
    char *a = copy_of(line, "a"), *b = copy_of(line, "b");
    if (!a || !b || !lc_json_integer(lc_json_get(line, "label"), &label))
        test_give_up("a line without a, b and label");
    *add_pair(user) = (labelled_pair){a, b, label == 1};
}

int labelled_pairs(const char *name, labelled_set *set)
{
    *set = (labelled_set){.name = name};
    return each_line(name, take_pair, set);
}

void labelled_own(const char *name, labelled_set *set)
{
    *set = (labelled_set){.name = name};
    char *text = test_read_file(test_source_path("tests/bench/own_pairs.tsv"), NULL), *rest;
    for (char *line = strtok_r(text, "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *of = strtok(line, "\t"), *label = strtok(NULL, "\t");
        const char *a = strtok(NULL, "\t"), *b = strtok(NULL, "\t");
        if (!b)
            test_give_up("own_pairs.tsv: a line without set, label and two texts");
        if (strcmp(of, name) == 0)
            *add_pair(set) = (labelled_pair){a, b, *label == '1'};
    }
}

/* ---- Groups
 * -------------------------------------------------------------------------------------
 */

static void take_text(void *user, const lc_json *line)
{
    labelled_texts *g = user;
    if ((g->count & (g->count + 1)) == 0) {
        size_t room = (g->count + 1) * 2;
        g->texts = or_give_up(realloc(g->texts, room * sizeof *g->texts));
        g->groups = or_give_up(realloc(g->groups, room * sizeof *g->groups));
    }
    g->texts[g->count] = copy_of(line, "text");
    g->groups[g->count++] = copy_of(line, "group");
}

int labelled_group_texts(const char *name, labelled_texts *texts)
{
    *texts = (labelled_texts){0};
    return each_line(name, take_text, texts);
}

/* What the encoder reads in place of a text. */
static char *normalised(const char *text)
{
    lc_buffer out;
    lc_buffer_init(&out, 0);
    if (lc_normalise_question(text, strlen(text), &out))
        test_give_up("out of memory");
    char *copy = or_give_up(strdup(out.data ? out.data : ""));
    lc_buffer_done(&out);
    return copy;
}

static float *vectors_of(lc_embedder *embedder, const labelled_texts *g, size_t dim)
{
    float *vectors = or_give_up(malloc(g->count * dim * sizeof *vectors));
    llmcache_error err;
    for (size_t i = 0; i < g->count; i++) {
        char *read = normalised(g->texts[i]);
        const char *one = read;
        if (embedder->ops.embed(embedder->self, &one, 1, vectors + i * dim, 60000, &err))
            memset(vectors + i * dim, 0,
                   dim * sizeof *vectors); /* unreadable: near nothing */
        free(read);
    }
    return vectors;
}

static float product(const float *a, const float *b, size_t dim)
{
    float lanes[16] = {0}, sum = 0;
    for (size_t k = 0; k + 16 <= dim; k += 16)
        for (size_t lane = 0; lane < 16; lane++)
            lanes[lane] += a[k + lane] * b[k + lane];
    for (size_t lane = 0; lane < 16; lane++)
        sum += lanes[lane];
    return sum;
}

int labelled_groups(const char *name, lc_embedder *embedder, labelled_set *set)
{
    labelled_texts g = {0};
    *set = (labelled_set){.name = name};
    if (!each_line(name, take_text, &g))
        return 0;
    size_t dim = embedder->ops.dimension(embedder->self);
    float *vectors = vectors_of(embedder, &g, dim);
    for (size_t i = 0; i < g.count; i++) {
        size_t nearest = i;
        float best = -2;
        for (size_t j = 0; j < g.count; j++) {
            if (j == i || strcasecmp(g.texts[i], g.texts[j]) == 0)
                continue;
            float similarity = product(vectors + i * dim, vectors + j * dim, dim);
            if (similarity > best)
                best = similarity, nearest = j;
        }
        if (nearest != i)
            *add_pair(set) = (labelled_pair){g.texts[i], g.texts[nearest],
                                             strcmp(g.groups[i], g.groups[nearest]) == 0};
    }
    free(vectors);
    return 1;
}

/* ---- Encoding
 * ----------------------------------------------------------------------------------- */

void see_text(lc_embedder *embedder, const char *text, seen_text *seen)
{
    llmcache_error err;
    size_t dim = embedder->ops.dimension(embedder->self);
    if (!seen->vector)
        seen->vector = or_give_up(malloc(dim * sizeof *seen->vector));
    char *read = normalised(text);
    const char *one = read;
    if (embedder->ops.embed(embedder->self, &one, 1, seen->vector, 60000, &err))
        memset(seen->vector, 0, dim * sizeof *seen->vector);
    if (lc_local_states(embedder->self, read, &seen->states, &err))
        test_give_up("%s", err.message);
    free(read);
    seen->side = (lc_side){.text = text,
                           .size = strlen(text),
                           .truncated = seen->states.cut,
                           .unknown = seen->states.unknown,
                           .ids = seen->states.ids,
                           .is_word = seen->states.is_word,
                           .states = seen->states.states,
                           .piece_count = seen->states.count,
                           .dim = dim};
}

double seen_cosine(const seen_text *a, const seen_text *b)
{
    return (double)product(a->vector, b->vector, a->side.dim);
}
