/*
 * The state as bytes. One walk over the fields serves reading and writing, so the two
 * cannot differ. Little-endian:
 *
 *   "LCLE", u32 version, the learner's fields, its curves, its records, and the FNV-1a
 *   checksum of all before in a u64
 *
 * What a fit or a proof makes of the sums is not kept: it is made anew, and comes out the
 * same.
 */
#include "learn/learner_inside.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

#define VERSION 1

typedef struct stream {
    lc_buffer *out;          /* when writing */
    const unsigned char *at; /* when reading */
    size_t left;
    int wrong; /* the end came too early */
} stream;

static void bytes(stream *s, void *data, size_t size)
{
    if (s->out) {
        lc_buffer_add(s->out, data, size);
        return;
    }
    s->wrong |= s->left < size;
    if (s->wrong) {
        memset(data, 0, size);
        return;
    }
    memcpy(data, s->at, size);
    s->at += size;
    s->left -= size;
}

/* An integer of so many bytes, least first. */
static uint64_t integer(stream *s, uint64_t value, size_t size)
{
    unsigned char raw[8] = {0};
    for (size_t i = 0; i < size; i++)
        raw[i] = (unsigned char)(value >> (8 * i));
    bytes(s, raw, size);
    value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)raw[i] << (8 * i);
    return value;
}

static void u32(stream *s, uint32_t *value)
{
    *value = (uint32_t)integer(s, *value, 4);
}

static void u64(stream *s, uint64_t *value)
{
    *value = integer(s, *value, 8);
}

static void i64(stream *s, int64_t *value)
{
    *value = (int64_t)integer(s, (uint64_t)*value, 8);
}

static void number(stream *s, double *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof bits);
    bits = integer(s, bits, 8);
    memcpy(value, &bits, sizeof bits);
}

static void small_number(stream *s, float *value)
{
    uint32_t bits;
    memcpy(&bits, value, sizeof bits);
    u32(s, &bits);
    memcpy(value, &bits, sizeof bits);
}

static void numbers(stream *s, double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        number(s, &values[i]);
}

static void counts(stream *s, uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        u64(s, &values[i]);
}

static uint64_t checksum(const void *data, size_t size)
{
    const unsigned char *at = data;
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        sum = (sum ^ at[i]) * 0x100000001b3u;
    return sum;
}

/* ---- Fields ------------------------------------------------------------------------- */

static void walk_history(stream *s, lc_curve *c)
{
    uint64_t count = c->history_count;
    u64(s, &count);
    s->wrong |= count > LC_LEARNER_HISTORY;
    c->history_count = s->wrong ? 0 : count;
    for (size_t i = 0; i < c->history_count; i++) {
        i64(s, &c->history[i].at_ms);
        number(s, &c->history[i].threshold);
    }
}

static void walk_curve(stream *s, lc_curve *c)
{
    uint32_t alarmed = (uint32_t)c->alarmed;
    uint64_t *totals[] = {&c->requests, &c->candidates, &c->hits,      &c->fixed_hits,
                          &c->explored, &c->audited,    &c->told_wrong, &c->alarms};
    bytes(s, c->name, sizeof c->name);
    number(s, &c->floor);
    number(s, &c->top);
    numbers(s, c->labels, LC_CURVE_BINS);
    numbers(s, c->wrong, LC_CURVE_BINS);
    numbers(s, c->risk_seen, LC_RISK_BANDS);
    numbers(s, c->risk_labels, LC_RISK_BANDS);
    numbers(s, c->risk_wrong, LC_RISK_BANDS);
    number(s, &c->requests_recent);
    number(s, &c->fading);
    number(s, &c->share_now);
    number(s, &c->share_lately);
    numbers(s, c->detector.log_ratio, LC_DETECTOR_RATES);
    counts(s, c->band_hits, LC_LEARNER_VIEW_BANDS);
    counts(s, c->band_lots, LC_LEARNER_VIEW_BANDS);
    counts(s, c->band_wrong, LC_LEARNER_VIEW_BANDS);
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++)
        u64(s, totals[i]);
    i64(s, &c->faded_ms);
    u32(s, &alarmed);
    c->alarmed = alarmed != 0;
    walk_history(s, c);
}

static void walk_record(stream *s, lc_record *r)
{
    u64(s, &r->key);
    small_number(s, &r->wrong);
    small_number(s, &r->expected);
    r->labels = (uint16_t)integer(s, r->labels, 2);
    r->served = (uint16_t)integer(s, r->served, 2);
    u32(s, &r->minute);
}

struct head {
    uint32_t version, curves, frozen, swept;
    uint64_t room, records;
    double controls[4];
};

static void walk_head(stream *s, struct head *head)
{
    char magic[4] = "LCLE";
    bytes(s, magic, sizeof magic);
    s->wrong |= memcmp(magic, "LCLE", sizeof magic) != 0;
    u32(s, &head->version);
    u32(s, &head->curves);
    u32(s, &head->frozen);
    u32(s, &head->swept);
    u64(s, &head->room);
    u64(s, &head->records);
    numbers(s, head->controls, 4);
}

/* ---- Writing ------------------------------------------------------------------------ */

int lc_learner_save(lc_learner *learner, lc_buffer *out)
{
    size_t start = out->size;
    stream s = {.out = out};
    struct head head = {.version = VERSION,
                        .curves = (uint32_t)learner->curve_count,
                        .frozen = (uint32_t)learner->frozen,
                        .swept = learner->swept_minute,
                        .room = learner->records.room,
                        .records = learner->records.count};
    memcpy(head.controls, learner->controls, sizeof head.controls);
    walk_head(&s, &head);
    for (size_t i = 0; i < learner->curve_count; i++) {
        lc_learner_make(learner, &learner->curves[i]);
        walk_curve(&s, &learner->curves[i]);
    }
    for (size_t i = 0; i < learner->records.room; i++)
        if (learner->records.records[i].key)
            walk_record(&s, &learner->records.records[i]);
    if (out->broken)
        return out->broken;
    integer(&s, checksum(out->data + start, out->size - start), 8);
    return out->broken;
}

/* ---- Reading ------------------------------------------------------------------------ */

static int is_count(double value)
{
    return value >= 0 && value < 1e15; /* NaN is not */
}

static int is_share(double value)
{
    return value >= 0 && value <= 1;
}

/* Parts of wholes; fading rounds both alike. */
static int are_counts(const double *whole, const double *part, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!is_count(whole[i]) || !is_count(part[i]) ||
            part[i] > whole[i] * (1 + 1e-9) + 1e-9)
            return 0;
    return 1;
}

static int is_sound(const lc_curve *c)
{
    for (size_t i = 0; i < LC_RISK_BANDS; i++)
        if (!is_count(c->risk_seen[i]))
            return 0;
    for (size_t i = 0; i < LC_LEARNER_VIEW_BANDS; i++)
        if (c->band_wrong[i] > c->band_lots[i])
            return 0;
    for (size_t i = 0; i < LC_DETECTOR_RATES; i++)
        if (!isfinite(c->detector.log_ratio[i]))
            return 0;
    for (size_t i = 0; i < c->history_count; i++)
        if (!isfinite(c->history[i].threshold))
            return 0;
    return memchr(c->name, '\0', sizeof c->name) && isfinite(c->floor) &&
           isfinite(c->top) && c->floor < c->top && is_count(c->requests_recent) &&
           is_count(c->fading) && is_share(c->share_now) && is_share(c->share_lately) &&
           are_counts(c->labels, c->wrong, LC_CURVE_BINS) &&
           are_counts(c->risk_labels, c->risk_wrong, LC_RISK_BANDS);
}

static int read_curves(stream *s, lc_learner *into, size_t count)
{
    for (size_t i = 0; i < count && !s->wrong; i++) {
        lc_curve curve = {0};
        walk_curve(s, &curve);
        if (s->wrong || !is_sound(&curve) || lc_learner_find(into, curve.name))
            return LLMCACHE_CORRUPT;
        lc_curve *place = lc_learner_add_curve(into);
        if (!place)
            return LLMCACHE_MEMORY;
        *place = curve;
    }
    return s->wrong ? LLMCACHE_CORRUPT : 0;
}

/* In a table as large as the one they come from each gets its old place. */
static int read_records(stream *s, lc_learner *into, const struct head *head)
{
    lc_record_table *table = &into->records;
    int same = head->room <= table->room_max && head->room >= LC_RECORD_WAYS &&
               (head->room & (head->room - 1)) == 0 && head->records <= head->room;
    if (same && lc_records_reserve(table, head->room))
        return LLMCACHE_MEMORY;
    for (uint64_t i = 0; i < head->records; i++) {
        lc_record record = {0};
        walk_record(s, &record);
        if (s->wrong || record.key == 0 || !(record.wrong >= 0) ||
            !(record.expected >= 0) || !isfinite(record.wrong) ||
            !isfinite(record.expected) || lc_records_find(table, record.key))
            return LLMCACHE_CORRUPT;
        lc_record *place = lc_records_get(table, record.key);
        if (!place)
            return LLMCACHE_MEMORY;
        *place = record;
    }
    return s->left ? LLMCACHE_CORRUPT : 0;
}

/* Into a learner that is empty. */
static int read_all(stream *s, lc_learner *into, llmcache_error *err)
{
    struct head head = {0};
    walk_head(s, &head);
    if (s->wrong)
        return lc_fail(err, LLMCACHE_CORRUPT, "what was learned is damaged");
    if (head.version != VERSION)
        return lc_fail(err, LLMCACHE_UNSUPPORTED,
                       "what was learned has version %u, read is %d", head.version,
                       VERSION);
    if (head.curves > into->options.curves_max)
        return lc_fail(err, LLMCACHE_TOO_LARGE, "what was learned has %u curves, %zu fit",
                       head.curves, into->options.curves_max);
    for (int i = 0; i < 4; i++) {
        if (!is_count(head.controls[i]))
            return lc_fail(err, LLMCACHE_CORRUPT, "what was learned is damaged");
        into->controls[i / 2][i % 2] = head.controls[i];
    }
    into->frozen = head.frozen != 0;
    into->swept_minute = head.swept;
    int code = read_curves(s, into, head.curves);
    if (!code)
        code = read_records(s, into, &head);
    if (code)
        return code == LLMCACHE_MEMORY
                   ? lc_fail_memory(err)
                   : lc_fail(err, code, "what was learned is damaged");
    return 0;
}

int lc_learner_load(lc_learner *learner, const void *data, size_t size,
                    llmcache_error *err)
{
    lc_learner *fresh;
    if (size < 16)
        return lc_fail(err, LLMCACHE_CORRUPT, "what was learned is cut short");
    stream s = {.at = data, .left = size - 8};
    stream end = {.at = s.at + s.left, .left = 8};
    if (integer(&end, 0, 8) != checksum(data, s.left))
        return lc_fail(err, LLMCACHE_CORRUPT, "what was learned is damaged");
    int code = lc_learner_new(&learner->options, &fresh, err);
    if (code)
        return code;
    code = read_all(&s, fresh, err);
    if (!code) {
        lc_learner swapped = *learner;
        *learner = *fresh;
        *fresh = swapped;
        lc_learner_know(learner);
    }
    lc_learner_free(fresh);
    return code;
}

/* ---- Adding up ---------------------------------------------------------------------- */

static void add(double *sums, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += values[i];
}

static void add_counts(uint64_t *sums, const uint64_t *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sums[i] += values[i];
}

static void merge_curve(lc_curve *c, const lc_curve *o)
{
    add(c->labels, o->labels, LC_CURVE_BINS);
    add(c->wrong, o->wrong, LC_CURVE_BINS);
    add(c->risk_seen, o->risk_seen, LC_RISK_BANDS);
    add(c->risk_labels, o->risk_labels, LC_RISK_BANDS);
    add(c->risk_wrong, o->risk_wrong, LC_RISK_BANDS);
    add_counts(c->band_hits, o->band_hits, LC_LEARNER_VIEW_BANDS);
    add_counts(c->band_lots, o->band_lots, LC_LEARNER_VIEW_BANDS);
    add_counts(c->band_wrong, o->band_wrong, LC_LEARNER_VIEW_BANDS);
    c->requests_recent += o->requests_recent;
    c->share_now = (c->share_now + o->share_now) / 2;
    c->share_lately = (c->share_lately + o->share_lately) / 2;
    c->requests += o->requests;
    c->candidates += o->candidates;
    c->hits += o->hits;
    c->fixed_hits += o->fixed_hits;
    c->explored += o->explored;
    c->audited += o->audited;
    c->told_wrong += o->told_wrong;
    c->alarms += o->alarms;
    c->alarmed |= o->alarmed;
    c->faded_ms = o->faded_ms > c->faded_ms ? o->faded_ms : c->faded_ms;
    for (int i = 0; i < LC_DETECTOR_RATES; i++) /* of the two, the more alarmed */
        c->detector.log_ratio[i] =
            fmax(c->detector.log_ratio[i], o->detector.log_ratio[i]);
}

static int merge_curves(lc_learner *learner, const lc_learner *other)
{
    for (size_t i = 0; i < other->curve_count; i++) {
        const lc_curve *theirs = &other->curves[i];
        lc_curve *ours = lc_learner_find(learner, theirs->name);
        if (!ours) {
            ours = lc_learner_add_curve(learner);
            if (!ours)
                return LLMCACHE_MEMORY;
            *ours = *theirs;
        } else if (ours->floor != theirs->floor || ours->top != theirs->top) {
            return LLMCACHE_INVALID;
        } else {
            merge_curve(ours, theirs);
        }
    }
    return 0;
}

static uint16_t sum_of(uint16_t a, uint16_t b)
{
    return a > UINT16_MAX - b ? UINT16_MAX : (uint16_t)(a + b);
}

static void merge_records(lc_learner *learner, const lc_learner *other)
{
    for (size_t i = 0; i < other->records.room; i++) {
        const lc_record *theirs = &other->records.records[i];
        lc_record *ours =
            theirs->key ? lc_records_get(&learner->records, theirs->key) : NULL;
        if (!ours)
            continue;
        ours->wrong += theirs->wrong;
        ours->expected += theirs->expected;
        ours->labels = sum_of(ours->labels, theirs->labels);
        ours->served = sum_of(ours->served, theirs->served);
        ours->minute = theirs->minute > ours->minute ? theirs->minute : ours->minute;
    }
}

int lc_learner_merge(lc_learner *learner, const lc_learner *other, llmcache_error *err)
{
    size_t room = learner->curve_count + other->curve_count;
    lc_curve *kept = lc_alloc_array(room ? room : 1, sizeof *kept);
    if (!kept)
        return lc_fail_memory(err);
    size_t count = learner->curve_count;
    if (count)
        memcpy(kept, learner->curves, count * sizeof *kept);
    int code = merge_curves(learner, other);
    if (code) {
        if (count)
            memcpy(learner->curves, kept, count * sizeof *kept);
        learner->curve_count = count;
        lc_free(kept);
        return code == LLMCACHE_INVALID
                   ? lc_fail(err, code, "the two learned on different scales")
                   : lc_fail(err, LLMCACHE_TOO_LARGE, "no room for the other's curves");
    }
    lc_free(kept);
    merge_records(learner, other);
    for (int i = 0; i < 4; i++)
        learner->controls[i / 2][i % 2] += other->controls[i / 2][i % 2];
    lc_learner_know(learner);
    return 0;
}
