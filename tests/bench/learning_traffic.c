#include "learning_traffic.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BURST_EVERY  4000
#define BURST_LENGTH 300

/* splitmix64 */
double draw(uint64_t *seed)
{
    uint64_t z = (*seed += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static void *room_for(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        test_give_up("out of memory");
    return memory;
}

static void use(traffic_source *s, const char *name)
{
    s->sets[s->set_count++] = features_set(s->f, name);
}

static void open_sets(traffic_source *s)
{
    if (s->plan->traffic == TRAFFIC_PAIRS_ZH) {
        use(s, "pawsx_zhtw");
        use(s, "pawsx_mix");
        use(s, "drcd_hardneg_zhtw");
    } else {
        use(s, "gptcache_mock_en");
        use(s, "checklist_mft_en");
        use(s, "gsc_traps_en");
        use(s, "fow_traps_en");
    }
}

static void shuffle_texts(traffic_source *s)
{
    size_t count = s->f->text_count;
    double exponent = s->plan->traffic == TRAFFIC_ZIPF ? 0.9 : 0, sum = 0;
    s->order = room_for(count, sizeof *s->order);
    s->weights = room_for(count, sizeof *s->weights);
    for (size_t i = 0; i < count; i++) {
        size_t j = (size_t)(draw(&s->seed) * (double)(i + 1));
        s->order[i] = s->order[j];
        s->order[j] = i;
    }
    for (size_t i = 0; i < count; i++)
        s->weights[i] = sum += pow((double)(i + 1), -exponent);
}

static void take_trap(traffic_source *s, const seen_pair *pair)
{
    if (!pair->right && !pair->refused && pair->score >= 1.5f && !pair->chinese)
        s->traps[s->trap_count++] = pair;
}

/* What an attacker would send: wrong, near, and past the rules. */
static void open_traps(traffic_source *s)
{
    size_t room = s->f->text_count;
    for (size_t i = 0; i < s->set_count; i++)
        room += s->sets[i]->count;
    s->traps = room_for(room, sizeof *s->traps);
    for (size_t i = 0; i < s->set_count; i++)
        for (size_t j = 0; j < s->sets[i]->count; j++)
            take_trap(s, &s->sets[i]->pairs[j]);
    for (size_t i = 0; i < s->f->text_count; i++)
        take_trap(s, &s->f->near[i * NEAR_MAX]);
}

void traffic_open(traffic_source *s, const features *f, const plan *p, uint64_t seed)
{
    *s = (traffic_source){.f = f, .plan = p, .seed = seed};
    open_sets(s);
    shuffle_texts(s);
    if (p->traffic == TRAFFIC_BURSTS)
        open_traps(s);
}

static request some_pair(traffic_source *s, size_t set_count)
{
    size_t total = 0;
    for (size_t i = 0; i < set_count; i++)
        total += s->sets[i]->count;
    size_t chosen = (size_t)(draw(&s->seed) * (double)total), set = 0, at = chosen;
    while (at >= s->sets[set]->count)
        at -= s->sets[set++]->count;
    return (request){.pair = &s->sets[set]->pairs[at], .record = 1000000 + chosen};
}

static request some_text(traffic_source *s)
{
    size_t low = 0, high = s->f->text_count - 1;
    double at = draw(&s->seed) * s->weights[high];
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (s->weights[middle] <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return (request){.text = s->order[low]};
}

/* A third of the topics at a time, the window moving over all of them. */
static request drifting_text(traffic_source *s, size_t number)
{
    size_t groups = s->f->group_count, width = groups / 3;
    size_t first = (groups - width) * number / s->plan->requests;
    for (;;) {
        request r = some_text(s);
        size_t group = s->f->groups[r.text];
        if (group >= first && group < first + width)
            return r;
    }
}

static request burst(traffic_source *s, size_t number)
{
    size_t in = number % BURST_EVERY;
    if (number < BURST_EVERY || in >= BURST_LENGTH)
        return some_text(s);
    /* Ten traps at a time, again and again. */
    if (in == 0)
        s->burst_trap = (size_t)(draw(&s->seed) * (double)s->trap_count);
    size_t trap = (s->burst_trap + in % 10) % s->trap_count;
    return (request){.pair = s->traps[trap], .record = 2000000 + trap};
}

request traffic_next(traffic_source *s, size_t number)
{
    request r;
    switch (s->plan->traffic) {
    case TRAFFIC_PAIRS_EN:
    case TRAFFIC_PAIRS_ZH:
        return some_pair(s, s->set_count);
    case TRAFFIC_DRIFT:
        return drifting_text(s, number);
    case TRAFFIC_CHANGE: /* easy ones first, then the trap sets, too */
        if (draw(&s->seed) < 0.5)
            return some_text(s);
        return some_pair(s, number < s->plan->requests / 2 ? 1 : s->set_count);
    case TRAFFIC_BURSTS:
        return burst(s, number);
    case TRAFFIC_TENANTS:
        if (number % 2 == 0)
            return some_text(s);
        r = some_pair(s, s->set_count);
        r.tenant = 1;
        return r;
    case TRAFFIC_GROUPS:
    case TRAFFIC_ZIPF:
        break;
    }
    return some_text(s);
}

void traffic_close(traffic_source *s)
{
    free(s->order);
    free(s->weights);
    free(s->traps);
}
