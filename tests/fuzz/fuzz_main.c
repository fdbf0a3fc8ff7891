/* Runs a fuzz target over its corpus and over mutations of it; see fuzz.h. */
#include "fuzz.h"
#include "support.h"

#include <dirent.h>
#include <string.h>

enum { MUTATIONS = 1000, LONGEST_INPUT = 1 << 16 };

typedef struct input {
    uint8_t *bytes;
    size_t size;
} input;

static input *inputs;
static size_t input_count;

/* xorshift64*, so that every run is the same run. */
static uint64_t random_state = 88172645463325252u;

static size_t pick(size_t below)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return below ? (size_t)((random_state * 2685821657736338717u) >> 33) % below : 0;
}

static void load(const char *folder)
{
    struct dirent **names;
    int count = scandir(test_source_path(folder), &names, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        size_t size;
        char *bytes =
            names[i]->d_name[0] == '.'
                ? NULL
                : test_read_file(
                      test_source_path(test_format("%s/%s", folder, names[i]->d_name)),
                      &size);
        if (bytes && size <= LONGEST_INPUT) {
            inputs = realloc(inputs, (input_count + 1) * sizeof *inputs);
            inputs[input_count++] = (input){(uint8_t *)bytes, size};
        }
        free(names[i]);
    }
    if (count >= 0)
        free(names);
}

/* What stands in JSON and in streams, so that mutations get past the first byte. */
static const char *const words[] = {
    "{",      "}",       "[",    "]",     "\"",    ",",    ":",     "\n",
    "\r",     "\n\n",    "\\",   "\\u",   "d800",  "null", "true",  "1e99",
    "-0.0",   "\"\"",    "{}",   "[]",    "data:", "\0",   "\xff",  "\xe2\x80\xa8",
    "[DONE]", "event: ", "text", "index", "0",     "stop", "error", "e\xcc\x81"};

static size_t remove_some(uint8_t *bytes, size_t size)
{
    size_t at = pick(size), count = pick(size - at < 16 ? size - at : 16) + 1;
    if (count > size - at)
        count = size - at;
    memmove(bytes + at, bytes + at + count, size - at - count);
    return size - count;
}

static size_t insert(uint8_t *bytes, size_t size, const uint8_t *what, size_t count)
{
    size_t at = pick(size + 1);
    if (size + count > LONGEST_INPUT)
        return size;
    memmove(bytes + at + count, bytes + at, size - at);
    memcpy(bytes + at, what, count);
    return size + count;
}

static size_t insert_from(uint8_t *bytes, size_t size, const input *from)
{
    uint8_t piece[256];
    size_t at = pick(from->size), count = pick(sizeof piece);
    if (count > from->size - at)
        count = from->size - at;
    memcpy(piece, from->bytes + at, count);
    return insert(bytes, size, piece, count);
}

static size_t mutate(uint8_t *bytes, size_t size)
{
    const char *word = words[pick(sizeof words / sizeof *words)];
    const input self = {bytes, size};
    switch (pick(6)) {
    case 0:
        if (size)
            bytes[pick(size)] ^= (uint8_t)(1 << pick(8));
        return size;
    case 1:
        return size ? remove_some(bytes, size) : 0;
    case 2:
        return insert(bytes, size, (const uint8_t *)word, *word ? strlen(word) : 1);
    case 3:
        return insert_from(bytes, size, &inputs[pick(input_count)]);
    case 4:
        return insert_from(bytes, size, &self);
    default:
        return pick(4) ? size : pick(size + 1);
    }
}

static void run_mutations(const input *from, uint8_t *bytes)
{
    for (int i = 0; i < MUTATIONS; i++) {
        size_t size = from->size;
        memcpy(bytes, from->bytes, size);
        for (size_t steps = pick(4) + 1; steps; steps--)
            size = mutate(bytes, size);
        /* A copy of just this size, so that reading past its end is seen. */
        uint8_t *exact = malloc(size ? size : 1);
        memcpy(exact, bytes, size);
        LLVMFuzzerTestOneInput(exact, size);
        free(exact);
    }
}

int main(void)
{
    uint8_t *bytes = malloc(LONGEST_INPUT);
    for (const char *const *folder = fuzz_corpora; *folder; folder++)
        load(*folder);
    FUZZ_CHECK(input_count > 0);
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (size_t i = 0; i < input_count; i++) {
        LLVMFuzzerTestOneInput(inputs[i].bytes, inputs[i].size);
        run_mutations(&inputs[i], bytes);
    }
    printf("%zu inputs, %zu mutations\n", input_count, input_count * MUTATIONS);
    free(bytes);
    free(inputs);
    return 0;
}
