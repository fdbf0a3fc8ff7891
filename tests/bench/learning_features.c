/* Making and keeping what the pipeline sees. A benchmark's helper: what cannot be done
 * ends it. */
#include "learning_features.h"

#include "labelled_sets.h"
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC    "llmcache learning 1"
#define LEAST    0.80f /* cosine; below it nobody is a candidate */
#define NO_VETO  (1u << LC_RULE_SIMILARITY | 1u << LC_RULE_SCORE)

static const char *const pair_names[] = {
    "gptcache_mock_en", "checklist_mft_en", "gsc_traps_en", "fow_traps_en",
    "pawsx_zhtw",       "pawsx_zh",         "pawsx_mix",    "drcd_hardneg_zhtw",
};
#define PAIR_NAMES (sizeof pair_names / sizeof pair_names[0])
#define GROUPS     "banking77_en"

static void *room_for(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory)
        test_give_up("out of memory");
    return memory;
}

static seen_pair look(const seen_text *a, const seen_text *b, int right)
{
    lc_policy policy;
    lc_verdict verdict;
    lc_policy_init(&policy);
    policy.explain = 1;
    double cosine = seen_cosine(a, b);
    if (lc_decide(&a->side, &b->side, cosine, &policy, &verdict))
        test_give_up("out of memory");
    seen_pair seen = {.cosine = (float)cosine,
                      .score = (float)verdict.score,
                      .right = (uint8_t)right,
                      .fixed = (uint8_t)verdict.serve,
                      .chinese = verdict.language == LC_CHINESE};
    for (int rule = 0; rule < LC_RULE_COUNT; rule++)
        if (!(NO_VETO >> rule & 1) && verdict.words[rule].outcome == LC_VETO)
            seen.refused = 1;
    return seen;
}

/* ---- Making ------------------------------------------------------------------------- */

static void make_pairs(features *f, lc_embedder *embedder, const labelled_set *set)
{
    static seen_text a, b;
    pair_set *made = &f->sets[f->set_count++];
    snprintf(made->name, sizeof made->name, "%s", set->name);
    made->pairs = room_for(set->count, sizeof *made->pairs);
    made->count = set->count;
    for (size_t i = 0; i < set->count; i++) {
        see_text(embedder, set->pairs[i].a, &a);
        see_text(embedder, set->pairs[i].b, &b);
        made->pairs[i] = look(&b, &a, set->pairs[i].label);
    }
}

/* Nearest first. */
static void insert(seen_pair *near, float cosine, size_t other)
{
    size_t at = NEAR_MAX;
    while (at > 0 && near[at - 1].cosine < cosine)
        at--;
    if (at == NEAR_MAX)
        return;
    memmove(near + at + 1, near + at, (NEAR_MAX - at - 1) * sizeof *near);
    near[at] = (seen_pair){.cosine = cosine, .other = (uint32_t)other};
}

static void make_near(features *f, seen_text *seen)
{
    f->near = room_for(f->text_count * NEAR_MAX, sizeof *f->near);
    for (size_t i = 0; i < f->text_count; i++) {
        seen_pair *near = f->near + i * NEAR_MAX;
        for (size_t j = 0; j < f->text_count; j++) {
            float cosine = i == j ? 0 : (float)seen_cosine(&seen[i], &seen[j]);
            if (cosine > LEAST)
                insert(near, cosine, j);
        }
        for (int n = 0; n < NEAR_MAX && near[n].cosine > 0; n++) {
            size_t j = near[n].other;
            near[n] = look(&seen[i], &seen[j], f->groups[i] == f->groups[j]);
            near[n].other = (uint32_t)j;
        }
    }
}

static void make_groups(features *f, lc_embedder *embedder, const labelled_texts *texts)
{
    seen_text *seen = room_for(texts->count, sizeof *seen);
    const char **names = room_for(texts->count, sizeof *names);
    f->text_count = texts->count;
    f->groups = room_for(texts->count, sizeof *f->groups);
    for (size_t i = 0; i < texts->count; i++) {
        size_t group = 0;
        while (group < f->group_count && strcmp(names[group], texts->groups[i]) != 0)
            group++;
        if (group == f->group_count)
            names[f->group_count++] = texts->groups[i];
        f->groups[i] = (uint16_t)group;
        see_text(embedder, texts->texts[i], &seen[i]);
    }
    make_near(f, seen);
    free(names);
}

static int make(features *f)
{
    lc_embedder embedder;
    llmcache_error err;
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_embedder_options options = {.models_folder = folder ? folder : ""};
    if (lc_embedder_open_local("", &options, &embedder, &err))
        test_give_up("%s", err.message);
    int there = !lc_local_problem(embedder.self)[0];
    if (!there)
        printf("skipped: %s\n", lc_local_problem(embedder.self));
    for (size_t i = 0; there && i < PAIR_NAMES; i++) {
        labelled_set set;
        there = labelled_pairs(pair_names[i], &set);
        if (there)
            make_pairs(f, &embedder, &set);
        else
            printf("skipped: no labelled sets in ../shared/data/eval\n");
    }
    labelled_texts texts;
    if (there && labelled_group_texts(GROUPS, &texts))
        make_groups(f, &embedder, &texts);
    lc_embedder_close(&embedder);
    return there && f->text_count > 0;
}

/* ---- Keeping ------------------------------------------------------------------------ */

static void keep(const features *f, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file)
        test_give_up("cannot write %s", path);
    int fine = fwrite(MAGIC, sizeof MAGIC, 1, file) == 1 &&
               fwrite(f, sizeof *f, 1, file) == 1;
    for (size_t i = 0; i < f->set_count; i++)
        fine &= fwrite(f->sets[i].pairs, sizeof(seen_pair), f->sets[i].count, file) ==
                f->sets[i].count;
    size_t near = f->text_count * NEAR_MAX;
    fine &= fwrite(f->near, sizeof(seen_pair), near, file) == near;
    fine &= fwrite(f->groups, sizeof *f->groups, f->text_count, file) == f->text_count;
    if (fclose(file) || !fine)
        remove(path);
}

static int is_newer(const char *path)
{
    struct stat kept, program;
    return stat(path, &kept) == 0 && stat("/proc/self/exe", &program) == 0 &&
           kept.st_mtime >= program.st_mtime;
}

static int read_kept(features *f, const char *path)
{
    char magic[sizeof MAGIC];
    if (!getenv("LLMCACHE_BENCH_KEPT") && !is_newer(path))
        return 0;
    FILE *file = fopen(path, "rb");
    if (!file)
        return 0;
    int fine = fread(magic, sizeof magic, 1, file) == 1 &&
               memcmp(magic, MAGIC, sizeof magic) == 0 &&
               fread(f, sizeof *f, 1, file) == 1;
    for (size_t i = 0; fine && i < f->set_count; i++) {
        f->sets[i].pairs = room_for(f->sets[i].count, sizeof(seen_pair));
        fine = fread(f->sets[i].pairs, sizeof(seen_pair), f->sets[i].count, file) ==
               f->sets[i].count;
    }
    size_t near = fine ? f->text_count * NEAR_MAX : 0;
    if (fine) {
        f->near = room_for(near, sizeof(seen_pair));
        f->groups = room_for(f->text_count, sizeof *f->groups);
        fine = fread(f->near, sizeof(seen_pair), near, file) == near &&
               fread(f->groups, sizeof *f->groups, f->text_count, file) == f->text_count;
    }
    fclose(file);
    return fine;
}

int features_get(features *f)
{
    const char *path = test_build_path("learning_features.bin");
    *f = (features){.set_count = 0};
    if (read_kept(f, path))
        return 1;
    *f = (features){.set_count = 0};
    if (!make(f))
        return 0;
    keep(f, path);
    return 1;
}

const pair_set *features_set(const features *f, const char *name)
{
    for (size_t i = 0; i < f->set_count; i++)
        if (strcmp(f->sets[i].name, name) == 0)
            return &f->sets[i];
    test_give_up("no set %s", name);
}
