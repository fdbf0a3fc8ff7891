/*
 * Tuning: the labelled pairs are judged by the pipeline as it is, with every rule heard; those that nothing but a
 * threshold can stop are what thresholds are chosen on. All pairs count as requests.
 */
#include "ask/tuning.h"

#include "base/error.h"
#include "base/memory.h"
#include "decide/score.h"

#include <string.h>

#define DEFAULT_MAX_WRONG  0.01
#define DEFAULT_CONFIDENCE 0.95

/* ---- Judging ----------------------------------------------------------------------------------- */

/* The labelled ones of the caller's list, and the names of their sources. */
typedef struct collection {
    lc_tuning *tuning;
    llmcache_pair *pairs;
    size_t count;
    const char *sources[LC_SOURCES_MAX];
    uint32_t source_count;
} collection;

/* Those past the most that are told apart share the last one. */
static uint32_t source_of(collection *c, const char *name)
{
    uint32_t at = 0;
    name = name ? name : "";
    while (at < c->source_count && strcmp(c->sources[at], name) != 0)
        at++;
    if (at == c->source_count && at < LC_SOURCES_MAX)
        c->sources[c->source_count++] = name;
    return at < LC_SOURCES_MAX ? at : LC_SOURCES_MAX - 1;
}

/* That somebody said so of this very pair is the label, and nothing that questions like it would be stopped by. */
static int only_the_threshold_stops(const lc_tuning *tuning, const lc_judged *judged)
{
    const lc_rule own = tuning->by_score ? LC_RULE_SCORE : LC_RULE_SIMILARITY;
    if (judged->stopped || !judged->embedded || judged->source == LLMCACHE_SOURCE_EXACT)
        return 0;
    for (int rule = 0; rule < LC_RULE_COUNT; rule++)
        if (judged->verdict.words[rule].outcome == LC_VETO && rule != (int)own && rule != LC_RULE_OBSERVED)
            return 0;
    return !tuning->by_score || judged->verdict.scored;
}

void lc_tuning_see(const lc_tuning *tuning, const lc_judged *judged, lc_tuned_pair *to)
{
    memcpy(to->seen.features, judged->verdict.features, sizeof to->seen.features);
    to->language = judged->verdict.language;
    to->exact = judged->source == LLMCACHE_SOURCE_EXACT;
    to->eligible = only_the_threshold_stops(tuning, judged);
    to->value = tuning->by_score ? judged->verdict.score : judged->similarity;
}

static int take(void *user, const lc_judged *judged, llmcache_error *err)
{
    collection *c = user;
    lc_tuning *tuning = c->tuning;
    const llmcache_pair *pair = &c->pairs[judged->pair];
    lc_tuned_pair *to = &tuning->pairs[judged->pair];
    to->seen.right = pair->label == 1;
    to->seen.source = source_of(c, pair->source);
    lc_tuning_see(tuning, judged, to);
    const llmcache_tune_options *options = &tuning->options;
    if (options->progress && options->progress(options->user, judged->pair + 1, c->count))
        return lc_fail(err, LLMCACHE_ABORTED, "stopped by the caller");
    return 0;
}

static int split(collection *c)
{
    lc_tuning *tuning = c->tuning;
    lc_two_texts *texts = lc_alloc_array(c->count, sizeof *texts);
    lc_place *places = lc_alloc_array(c->count, sizeof *places);
    int code = texts && places ? 0 : LLMCACHE_MEMORY;
    for (size_t i = 0; !code && i < c->count; i++)
        texts[i] = (lc_two_texts){c->pairs[i].a, c->pairs[i].b};
    if (!code)
        code = lc_halves(texts, c->count, tuning->options.seed, places);
    for (size_t i = 0; !code && i < c->count; i++)
        tuning->pairs[i].place = places[i];
    lc_free(texts);
    lc_free(places);
    return code;
}

int lc_tuning_make_room(lc_tuning *tuning, size_t count, llmcache_error *err)
{
    tuning->count = count;
    tuning->pairs = lc_zalloc_array(count ? count : 1, sizeof *tuning->pairs);
    tuning->graded = lc_alloc_array(count ? count : 1, sizeof *tuning->graded);
    return tuning->pairs && tuning->graded ? 0 : lc_fail_memory(err);
}

static int collect(lc_tuning *tuning, const llmcache_pair *pairs, size_t count, llmcache_error *err)
{
    collection c = {.tuning = tuning, .pairs = lc_alloc_array(count + 1, sizeof *c.pairs)};
    int code = c.pairs ? 0 : lc_fail_memory(err);
    for (size_t i = 0; !code && i < count; i++) {
        llmcache_pair pair = lc_pair_at(pairs, i);
        pair.struct_size = sizeof pair;
        if (pair.label == 0 || pair.label == 1)
            c.pairs[c.count++] = pair;
    }
    tuning->unlabelled = count - c.count;
    if (!code && !c.count)
        code = lc_fail(err, LLMCACHE_INVALID, "no pair has a label");
    if (!code)
        code = lc_tuning_make_room(tuning, c.count, err);
    if (!code)
        code = lc_judge_pairs(tuning->cache, c.pairs, c.count, take, &c, err);
    if (!code && split(&c))
        code = lc_fail_memory(err);
    lc_free(c.pairs);
    return code;
}

/* ---- Choosing ---------------------------------------------------------------------------------- */

static int is_of(const lc_tuning *tuning, const lc_tuned_pair *pair, size_t part)
{
    return !tuning->by_score || (size_t)pair->language == part;
}

size_t lc_tuning_grade(const lc_tuning *tuning, size_t part, const double *numbers)
{
    size_t count = 0;
    for (size_t i = 0; i < tuning->count; i++) {
        const lc_tuned_pair *pair = &tuning->pairs[i];
        if (!pair->eligible || pair->place.half == LC_ACROSS || !is_of(tuning, pair, part))
            continue;
        double value = numbers ? lc_score(pair->seen.features, numbers) : pair->value;
        tuning->graded[count++] = (lc_graded){value, pair->seen.right, pair->place.half};
    }
    return count;
}

static void count_requests(const lc_tuning *tuning, size_t part, lc_tuned_part *to)
{
    for (size_t i = 0; i < tuning->count; i++) {
        const lc_tuned_pair *pair = &tuning->pairs[i];
        to->counting += pair->eligible && is_of(tuning, pair, part);
        if (pair->exact || pair->place.half == LC_ACROSS || !is_of(tuning, pair, part))
            continue;
        to->requests[pair->place.half]++;
        to->positive[pair->place.half] += pair->seen.right != 0;
    }
}

static void name_part(const lc_tuning *tuning, size_t part, lc_tuned_part *to)
{
    static const char *const settings[LC_LANGUAGE_COUNT] = {"score-threshold-en", "score-threshold-zh"};
    const llmcache *cache = tuning->cache;
    if (tuning->by_score) {
        to->name = lc_language_code((lc_language)part);
        to->setting = settings[part];
        to->current = lc_score_threshold(cache, (lc_language)part, &to->current_from);
        return;
    }
    to->name = "all";
    to->setting = "threshold";
    to->current = lc_threshold(cache);
    to->current_from = cache->settings.threshold > 0 ? "setting" : "embedder";
}

static int tune_part(lc_tuning *tuning, size_t part)
{
    lc_tuned_part *to = &tuning->parts[part];
    name_part(tuning, part, to);
    count_requests(tuning, part, to);
    size_t count = lc_tuning_grade(tuning, part, NULL);
    to->now = lc_served_from(tuning->graded, count, LC_CONFIRMING, to->current);
    int code = lc_bound_find(tuning->graded, count, tuning->options.max_wrong, tuning->part_confidence,
                             &to->bound);
    to->too_few = to->counting < tuning->min_labels;
    to->bound.met &= !to->too_few;
    to->changes = to->bound.met;
    to->threshold = to->bound.threshold;
    return !code && tuning->options.refit ? lc_tuning_refit(tuning, part) : code;
}

/* ---- The call ---------------------------------------------------------------------------------- */

static int read_options(lc_tuning *tuning, const llmcache_tune_options *given, llmcache_error *err)
{
    llmcache_tune_options *options = &tuning->options;
    if (given) {
        size_t size = given->struct_size ? given->struct_size : sizeof *options;
        memcpy(options, given, size < sizeof *options ? size : sizeof *options);
    }
    if (options->max_wrong == 0)
        options->max_wrong = DEFAULT_MAX_WRONG;
    if (options->confidence == 0)
        options->confidence = DEFAULT_CONFIDENCE;
    if (!(options->max_wrong > 0 && options->max_wrong < 1) ||
        !(options->confidence >= 0.5 && options->confidence < 1))
        return lc_fail(err, LLMCACHE_INVALID,
                       "max_wrong must be above 0 and below 1, confidence at least 0.5 and below 1");
    tuning->by_score = lc_uses_score(tuning->cache);
    tuning->part_count = tuning->by_score ? LC_LANGUAGE_COUNT : 1;
    /* With a refit two sets of numbers come to be confirmed: each has half of the risk (Bonferroni). */
    tuning->part_confidence = options->refit && tuning->by_score ? 1 - (1 - options->confidence) / 2
                                                                 : options->confidence;
    return 0;
}

int lc_tuning_open(lc_tuning *tuning, llmcache *cache, const llmcache_tune_options *given, llmcache_error *err)
{
    *tuning = (lc_tuning){.cache = cache};
    if (!cache->embedder.ops.embed || strcmp(cache->settings.policy, "exact") == 0)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "nothing is matched by meaning here (settings embedder, policy)");
    return read_options(tuning, given, err);
}

int lc_tuning_finish(lc_tuning *tuning, char **json, llmcache_error *err)
{
    for (size_t i = 0; i < tuning->count; i++) {
        const lc_tuned_pair *pair = &tuning->pairs[i];
        tuning->exact += (size_t)pair->exact;
        tuning->stopped += !pair->exact && !pair->eligible;
        tuning->across += pair->place.half == LC_ACROSS;
    }
    for (size_t part = 0; part < tuning->part_count; part++)
        if (tune_part(tuning, part))
            return lc_fail_memory(err);
    return lc_tuning_report(tuning, json, err);
}

void lc_tuning_done(lc_tuning *tuning)
{
    lc_free(tuning->pairs);
    lc_free(tuning->graded);
}

int lc_tune(llmcache *cache, const llmcache_pair *pairs, size_t count, const llmcache_tune_options *options,
            char **json, llmcache_error *err)
{
    lc_tuning tuning;
    int code = lc_tuning_open(&tuning, cache, options, err);
    if (!code)
        code = collect(&tuning, pairs, count, err);
    if (!code)
        code = lc_tuning_finish(&tuning, json, err);
    lc_tuning_done(&tuning);
    return code;
}
