#include "shown_judgement.h"
#include "shown_json.h"

static json_t *shown_rules(const llmcache_judgement *judgement)
{
    json_t *rules = json_array();
    for (size_t i = 0; i < judgement->rule_count; i++) {
        const llmcache_rule_word *word = &judgement->rules[i];
        if (word->veto)
            json_array_append_new(rules, json_pack("{s:s, s:o}", "rule", word->rule, "detail",
                                                   shown_string(word->detail)));
    }
    return rules;
}

json_t *shown_judgement(const llmcache_pair *pair, const llmcache_judgement *judgement)
{
    json_t *shown = json_pack(
        "{s:o, s:o, s:b, s:s, s:s, s:s, s:f, s:f, s:o}", "a", shown_string(pair->a), "b",
        shown_string(pair->b), "served", judgement->served, "source",
        llmcache_source_name(judgement->source), "why", judgement->why, "language",
        judgement->language, "similarity", judgement->similarity, "threshold",
        judgement->threshold, "rules", shown_rules(judgement));
    if (judgement->scored) {
        json_object_set_new(shown, "score", json_real(judgement->score));
        json_object_set_new(shown, "score_threshold",
                            json_real(judgement->score_threshold));
    }
    if (pair->label >= 0)
        json_object_set_new(shown, "label", json_integer(pair->label));
    return shown;
}

void judged_count_add(judged_count *count, const llmcache_pair *pair,
                      const llmcache_judgement *judgement)
{
    int labelled = pair->label >= 0, positive = pair->label > 0;
    count->pairs++;
    count->labelled += (uint64_t)labelled;
    count->positive += (uint64_t)positive;
    if (!judgement->served)
        return;
    count->hits++;
    count->exact += judgement->source == LLMCACHE_SOURCE_EXACT;
    count->labelled_hits += (uint64_t)labelled;
    count->positive_hits += (uint64_t)positive;
}

static json_t *shown_rate(uint64_t hits, uint64_t trials, double confidence)
{
    double low, high;
    llmcache_interval(hits, trials, confidence, &low, &high);
    json_t *rate = json_pack("{s:I, s:I, s:f, s:f}", "count", (json_int_t)hits, "of",
                             (json_int_t)trials, "low", low, "high", high);
    json_object_set_new(rate, "rate",
                        trials ? json_real((double)hits / (double)trials) : json_null());
    return rate;
}

json_t *shown_judged_count(const judged_count *count, double confidence)
{
    uint64_t wrong = count->labelled_hits - count->positive_hits;
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:o, s:o, s:o, s:o}", "pairs",
        (json_int_t)count->pairs, "labelled", (json_int_t)count->labelled, "positive",
        (json_int_t)count->positive, "hits", (json_int_t)count->hits, "exact_hits",
        (json_int_t)count->exact, "wrong", (json_int_t)wrong, "confidence", confidence,
        "hit_rate", shown_rate(count->hits, count->pairs, confidence), "true_served",
        shown_rate(count->positive_hits, count->positive, confidence), "wrong_among_hits",
        shown_rate(wrong, count->labelled_hits, confidence), "wrong_among_requests",
        shown_rate(wrong, count->labelled, confidence));
}
