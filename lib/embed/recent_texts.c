#include "embed/recent_texts.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdatomic.h>
#include <string.h>

#define PLACES 64

/* One text. All but `busy` belongs to who has set `busy`. */
typedef struct seat {
    atomic_flag busy;
    int filled;
    unsigned char key[32];
    float *vector;
    lc_token_states states;
} seat;

struct lc_recent {
    size_t dimension;
    float *numbers; /* of all places; pages nobody wrote cost nothing */
    seat places[PLACES];
};

int lc_recent_new(size_t dimension, lc_recent **recent, llmcache_error *err)
{
    size_t rows = 1 + LC_STATES_MAX;
    lc_recent *made = lc_zalloc(sizeof *made);
    if (made)
        made->numbers = lc_alloc_array(PLACES * rows * dimension, sizeof *made->numbers);
    if (!made || !made->numbers) {
        lc_recent_free(made);
        return lc_fail_memory(err);
    }
    made->dimension = dimension;
    for (size_t i = 0; i < PLACES; i++) {
        seat *place = &made->places[i];
        atomic_flag_clear(&place->busy);
        place->vector = made->numbers + i * rows * dimension;
        place->states.states = place->vector + dimension;
    }
    *recent = made;
    return 0;
}

void lc_recent_free(lc_recent *recent)
{
    if (recent)
        lc_free(recent->numbers);
    lc_free(recent);
}

/* The key's place, ours until we leave it; NULL when another thread is there. */
static seat *enter(lc_recent *recent, const unsigned char key[32])
{
    seat *place = &recent->places[key[0] % PLACES];
    return atomic_flag_test_and_set_explicit(&place->busy, memory_order_acquire) ? NULL
                                                                                 : place;
}

static void leave(seat *place)
{
    atomic_flag_clear_explicit(&place->busy, memory_order_release);
}

/* `to` keeps its own numbers and gets a copy of the others'. */
static void copy_states(lc_token_states *to, const lc_token_states *from)
{
    float *numbers = to->states;
    *to = *from;
    to->states = numbers;
    memcpy(numbers, from->states, from->count * from->dimension * sizeof *numbers);
}

int lc_recent_find(lc_recent *recent, const unsigned char key[32], float *vector,
                   lc_token_states *states)
{
    seat *place = enter(recent, key);
    if (!place)
        return 0;
    int found = place->filled && memcmp(place->key, key, sizeof place->key) == 0;
    if (found && vector)
        memcpy(vector, place->vector, recent->dimension * sizeof *vector);
    if (found && states)
        copy_states(states, &place->states);
    leave(place);
    return found;
}

void lc_recent_put(lc_recent *recent, const unsigned char key[32], const float *vector,
                   const lc_token_states *states)
{
    seat *place = enter(recent, key);
    if (!place)
        return;
    memcpy(place->key, key, sizeof place->key);
    memcpy(place->vector, vector, recent->dimension * sizeof *vector);
    copy_states(&place->states, states);
    place->filled = 1;
    leave(place);
}
