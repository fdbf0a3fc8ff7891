/*
 * Spots: the places of a text that machines write anew each time: dates, times, UUIDs, random ids, numbers.
 * A guess for explanations, never a reason to serve or to refuse an answer.
 */
#ifndef LC_PROTOCOL_SPOTS_H
#define LC_PROTOCOL_SPOTS_H

#include <stddef.h>
#include <stdint.h>

/* A spot's kind, as the letter that stands for it in a shape. */
typedef enum lc_spot_kind {
    LC_SPOT_NONE = 0,
    LC_SPOT_DATE = 'd',   /* 2026-11-25, Nov 25, 2026, 11月25日, Wednesday, 星期三 */
    LC_SPOT_TIME = 't',   /* 17:18, 2026-11-25T17:18:48Z, 下午5點18分, 1764091128 */
    LC_SPOT_UUID = 'u',
    LC_SPOT_RANDOM = 'x', /* req_8f3a9c1e2b7d4f60 and the like */
    LC_SPOT_NUMBER = 'n'
} lc_spot_kind;

/* "date", "time", "uuid", "random", "number"; "text" for anything else. */
const char *lc_spot_word(int kind);

/* The first spot at or behind the byte `at`: its bytes are from *from up to *to. */
lc_spot_kind lc_spot_next(const char *text, size_t size, size_t at, size_t *from, size_t *to);

/* 64 bits of a text: fast, and no secret's keeper. Start with LC_MIX_START. */
#define LC_MIX_START 14695981039346656037u
uint64_t lc_mix(uint64_t hash, const void *bytes, size_t size);

/* The same of a text in which every spot says its kind only: equal where nothing but spots differ. */
uint64_t lc_mix_masked(uint64_t hash, const char *text, size_t size);

#endif
