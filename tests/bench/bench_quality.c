/*
 * How well cosines tell pairs that one answer serves from pairs that it does not, on the
 * labelled sets of
 * ../shared/data/eval (sources and licences: docs/encoder.md): the encoder in float, in
 * int8, and the cosine of character 2- to 4-grams beside them. Prints Markdown, a row a
 * set: area under the ROC curve, recall where 1 % and 5 % of the other pairs pass, and
 * what passes the model's own threshold. Takes minutes: most of it float.
 */
#include "embed/encoder.h"
#include "embed/fold_han.h"
#include "embed/model_folder.h"
#include "embed/tokenizer.h"
#include "support.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Pairs ------------------------------------------------------------------------ */

typedef struct text_pair {
    char *a, *b;
    int label;
    float scores[3];
} text_pair;

typedef struct pair_set {
    const char *name;
    text_pair *pairs;
    size_t count, positive;
    size_t unfit; /* pairs that the library would not compare: unknown tokens, or cut */
} pair_set;

/* How a set's lines become pairs. */
typedef enum set_form {
    PAIRS,  /* a, b, label; of two-turn conversations both turns */
    MATES,  /* positive pairs only: each a with the next row's b makes a negative one */
    GROUPS, /* texts of groups: neighbours in a fixed shuffle, and neighbours within the
               group */
} set_form;

static const struct {
    const char *name;
    set_form form;
    int chinese;
} sets[] = {
    {"banking77_en", GROUPS, 0},    {"checklist_mft_en", PAIRS, 0},
    {"conv_pairs_en", PAIRS, 0},    {"fow_traps_en", PAIRS, 0},
    {"gptcache_mock_en", MATES, 0}, {"gsc_traps_en", PAIRS, 0},
    {"pawsx_zh", PAIRS, 1},         {"pawsx_zhtw", PAIRS, 1},
    {"pawsx_mix", PAIRS, 1},        {"drcd_hardneg_zhtw", PAIRS, 1},
};

#define GROUP_PAIRS 1500

/* The text, or the turns of a conversation joined. */
static char *text_of(const json_t *value)
{
    if (json_is_string(value))
        return strdup(json_string_value(value));
    const char *text = "";
    for (size_t i = 0; i < json_array_size(value); i++)
        text = test_format("%s%s%s", text, i ? "\n" : "",
                           json_string_value(json_array_get(value, i)));
    return strdup(text);
}

static void add_pair(pair_set *set, char *a, char *b, int label)
{
    set->pairs = realloc(set->pairs, (set->count + 1) * sizeof *set->pairs);
    set->pairs[set->count++] = (text_pair){.a = a, .b = b, .label = label};
    set->positive += label != 0;
}

static json_t *read_lines(const char *path)
{
    json_t *rows = json_array(), *row;
    FILE *file = fopen(path, "r");
    while (file && (row = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL)))
        json_array_append_new(rows, row);
    if (file)
        fclose(file);
    return rows;
}

static const char *member(const json_t *rows, size_t i, const char *name)
{
    return json_string_value(json_object_get(json_array_get(rows, i), name));
}

static void pair_mates(pair_set *set, const json_t *rows)
{
    size_t count = json_array_size(rows);
    for (size_t i = 0; i < count; i++) {
        add_pair(set, strdup(member(rows, i, "a")), strdup(member(rows, i, "b")), 1);
        add_pair(set, strdup(member(rows, i, "a")),
                 strdup(member(rows, (i + 1) % count, "b")), 0);
    }
}

static void pair_groups(pair_set *set, const json_t *rows)
{
    size_t count = json_array_size(rows),
           step = 7919; /* a prime: visits every row once */
    for (size_t i = 0, at = 0; i < count && set->count < GROUP_PAIRS;
         i++, at = (at + step) % count) {
        const char *group = member(rows, at, "group");
        size_t mate = (at + 1) % count, other = (at + step / 2) % count;
        while (mate != at && strcmp(group, member(rows, mate, "group")))
            mate = (mate + 1) % count;
        add_pair(set, strdup(member(rows, at, "text")),
                 strdup(member(rows, mate, "text")), 1);
        if (strcmp(group, member(rows, other, "group")))
            add_pair(set, strdup(member(rows, at, "text")),
                     strdup(member(rows, other, "text")), 0);
    }
}

static void read_set(size_t number, const char *path, pair_set *set)
{
    json_t *rows = read_lines(path);
    *set = (pair_set){.name = sets[number].name};
    if (sets[number].form == MATES)
        pair_mates(set, rows);
    else if (sets[number].form == GROUPS)
        pair_groups(set, rows);
    for (size_t i = 0; sets[number].form == PAIRS && i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);
        add_pair(set, text_of(json_object_get(row, "a")),
                 text_of(json_object_get(row, "b")),
                 (int)json_integer_value(json_object_get(row, "label")));
    }
    json_decref(rows);
}

static void free_set(pair_set *set)
{
    for (size_t i = 0; i < set->count; i++) {
        free(set->pairs[i].a);
        free(set->pairs[i].b);
    }
    free(set->pairs);
}

/* ---- Scores ----------------------------------------------------------------------- */

typedef struct model {
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_token_scratch *tokens;
    lc_encoder *encoders[2]; /* float, int8 */
    lc_scratch *scratch;
    lc_encoder_facts facts;
    double threshold;
} model;

/* Both vectors of a text; 0 when the library itself would not compare it. */
static int encode(model *judge, const char *text, float *vectors[2])
{
    uint32_t *ids = malloc(judge->facts.max_tokens * sizeof *ids);
    size_t size = strlen(text), count;
    char *folded = malloc(LC_FOLD_HAN_ROOM(size));
    lc_token_info info;
    llmcache_error err;
    size = lc_fold_han(judge->tokenizer, text, size, folded);
    lc_tokenizer_encode(judge->tokenizer, judge->tokens, folded, size, ids,
                        judge->facts.max_tokens, &count, &info);
    for (int i = 0; i < 2; i++)
        if (lc_encoder_run(judge->encoders[i], judge->scratch,
                           &(lc_tokens){ids, count, 0}, 1, vectors[i], NULL, &err))
            test_give_up("%s", err.message);
    free(folded);
    free(ids);
    return !info.unknown && !info.cut;
}

#define SLOTS 4096 /* of hashed n-grams: a text has some hundreds */

/* Square roots of the counts of character 2-, 3- and 4-grams, hashed (FNV-1a). */
static void count_grams(const char *text, double *grams)
{
    size_t size = strlen(text), starts[4] = {0}, seen = 0;
    memset(grams, 0, SLOTS * sizeof *grams);
    for (size_t end = 0; end <= size; end++) {
        if (end < size && ((unsigned char)text[end] & 0xc0) == 0x80)
            continue;
        for (size_t length = 2; length <= 4 && length <= seen; length++) {
            uint32_t hash = 2166136261u;
            for (size_t i = starts[(seen - length) % 4]; i < end; i++)
                hash = (hash ^ (unsigned char)text[i]) * 16777619u;
            grams[hash % SLOTS]++;
        }
        starts[seen++ % 4] = end;
    }
    for (size_t i = 0; i < SLOTS; i++)
        grams[i] = sqrt(grams[i]);
}

static double gram_cosine(const char *a, const char *b)
{
    static double left[SLOTS], right[SLOTS];
    double ab = 0, aa = 0, bb = 0;
    count_grams(a, left);
    count_grams(b, right);
    for (size_t i = 0; i < SLOTS; i++) {
        ab += left[i] * right[i];
        aa += left[i] * left[i];
        bb += right[i] * right[i];
    }
    return aa > 0 && bb > 0 ? ab / sqrt(aa * bb) : 0;
}

static void score_set(model *judge, pair_set *set, double *least_cosine)
{
    size_t dimension = judge->facts.dimension;
    float *room = malloc(4 * dimension * sizeof *room);
    float *left[2] = {room, room + dimension};
    float *right[2] = {room + 2 * dimension, room + 3 * dimension};
    const lc_kernels *kernels = lc_kernels_best();
    for (size_t i = 0; i < set->count; i++) {
        text_pair *pair = &set->pairs[i];
        int fit = encode(judge, pair->a, left) & encode(judge, pair->b, right);
        set->unfit += !fit;
        for (int k = 0; k < 2; k++)
            pair->scores[k] = kernels->dot(left[k], right[k], dimension);
        pair->scores[2] = (float)gram_cosine(pair->a, pair->b);
        *least_cosine = fmin(*least_cosine, kernels->dot(left[0], left[1], dimension));
        *least_cosine = fmin(*least_cosine, kernels->dot(right[0], right[1], dimension));
    }
    free(room);
}

/* ---- Figures ---------------------------------------------------------------------- */

static int compare_floats(const void *a, const void *b)
{
    float left = *(const float *)a, right = *(const float *)b;
    return left < right ? -1 : left > right;
}

/* The scores of one label, sorted. */
static float *sorted(const pair_set *set, int which, int label, size_t *count)
{
    float *scores = malloc((set->count + 1) * sizeof *scores);
    *count = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->pairs[i].label == label)
            scores[(*count)++] = set->pairs[i].scores[which];
    qsort(scores, *count, sizeof *scores, compare_floats);
    return scores;
}

typedef struct figures {
    double auc, recall_1, recall_5;          /* at 1 % and 5 % false positives */
    double passed_positive, passed_negative; /* at the threshold */
} figures;

/* Share of the sorted scores that are at least (or above, if `strictly`) the value. */
static double share_from(const float *scores, size_t count, double value, int strictly)
{
    size_t below = 0;
    while (below < count && (strictly ? scores[below] <= value : scores[below] < value))
        below++;
    return count ? (double)(count - below) / (double)count : 0;
}

static figures judge_set(const pair_set *set, int which, double threshold)
{
    size_t positives, negatives, below = 0, equal;
    float *good = sorted(set, which, 1, &positives),
          *bad = sorted(set, which, 0, &negatives);
    figures result = {0};
    for (size_t i = 0; i < positives; i++) {
        while (below < negatives && bad[below] < good[i])
            below++;
        for (equal = below; equal < negatives && bad[equal] == good[i];)
            equal++;
        result.auc += (double)(below + equal) / 2;
    }
    if (positives && negatives) {
        size_t one = negatives / 100, five = negatives / 20;
        result.auc /= (double)positives * (double)negatives;
        result.recall_1 = share_from(good, positives, bad[negatives - 1 - one], 1);
        result.recall_5 = share_from(good, positives, bad[negatives - 1 - five], 1);
    }
    result.passed_positive = share_from(good, positives, threshold, 0);
    result.passed_negative = share_from(bad, negatives, threshold, 0);
    free(good);
    free(bad);
    return result;
}

/* One row; returns how far int8's area is from float's. */
static double print_row(const pair_set *set, double threshold)
{
    figures f32 = judge_set(set, 0, threshold), int8 = judge_set(set, 1, threshold);
    figures grams = judge_set(set, 2, threshold);
    printf("| %s | %zu (%zu) | ", set->name, set->count, set->positive);
    if (set->positive && set->positive < set->count)
        printf("%.3f, %.2f, %.2f | %.3f, %.2f, %.2f | %.3f, %.2f, %.2f | ", f32.auc,
               f32.recall_1, f32.recall_5, int8.auc, int8.recall_1, int8.recall_5,
               grams.auc, grams.recall_1, grams.recall_5);
    else
        printf("- | - | - | ");
    if (set->positive)
        printf("%.1f / ", 100 * int8.passed_positive);
    else
        printf("- / ");
    printf("%.1f | %zu |\n", 100 * int8.passed_negative, set->unfit);
    fflush(stdout);
    return fabs(f32.auc - int8.auc);
}

/* ---- The whole -------------------------------------------------------------------- */

static int open_judge(model *judge, const char *name)
{
    const char *folder = getenv("LLMCACHE_MODELS_FOLDER");
    lc_encoder_options how[2] = {{.precision = LC_FLOAT}, {.precision = LC_INT8}};
    lc_model_file file;
    llmcache_error err;
    if (lc_model_find(folder ? folder : "", name, 0, &file, &err)) {
        printf("skipped: %s\n", err.message);
        return 0;
    }
    if (lc_gguf_open(file.path, &judge->gguf, &err) ||
        lc_tokenizer_new(judge->gguf, &judge->tokenizer, &err) ||
        lc_encoder_new(judge->gguf, &how[0], &judge->encoders[0], &err) ||
        lc_encoder_new(judge->gguf, &how[1], &judge->encoders[1], &err) ||
        lc_scratch_new(&judge->scratch, &err))
        test_give_up("%s", err.message);
    lc_encoder_facts_of(judge->encoders[0], &judge->facts);
    if (lc_token_scratch_new(judge->tokenizer, judge->facts.max_tokens, &judge->tokens,
                             &err))
        test_give_up("%s", err.message);
    const lc_model_row *row = lc_model_row_of(name);
    judge->threshold = row ? row->threshold : 0.97;
    lc_model_file_done(&file);
    return 1;
}

static void close_judge(model *judge)
{
    lc_token_scratch_free(judge->tokens);
    lc_scratch_free(judge->scratch);
    lc_encoder_free(judge->encoders[0]);
    lc_encoder_free(judge->encoders[1]);
    lc_tokenizer_free(judge->tokenizer);
    lc_gguf_close(judge->gguf);
}

static void bench_model(const char *name, int chinese)
{
    model judge;
    double worst = 0, least_cosine = 1;
    if (!open_judge(&judge, name))
        return;
    printf("\n%s: area, recall at 1 %%, at 5 %% false positives; %% of same / other "
           "pairs from %.3f on\n\n"
           "| set | pairs (same) | float | int8 | character n-grams | passed, int8 | not "
           "compared |\n"
           "|-|-|-|-|-|-|-|\n",
           name, judge.threshold);
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        const char *path =
            test_shared_data(test_format("eval/%s.dev.jsonl", sets[i].name));
        pair_set set;
        if (!path || (sets[i].chinese && !chinese))
            continue;
        read_set(i, path, &set);
        score_set(&judge, &set, &least_cosine);
        worst = fmax(worst, print_row(&set, judge.threshold));
        free_set(&set);
    }
    printf("\nint8 to float: areas differ by %.4f at most%s; the least cosine of a "
           "text's two vectors is "
           "%.4f\n",
           worst, worst > 0.005 ? " (MORE THAN .005)" : "", least_cosine);
    close_judge(&judge);
}

int main(void)
{
    if (!test_shared_data("eval/README.md")) {
        puts("skipped: ../shared/data/eval is not here");
        return 0;
    }
    bench_model("multilingual-e5-small", 1);
    bench_model("all-MiniLM-L6-v2", 0);
    return 0;
}
