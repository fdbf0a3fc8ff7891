/*
 * Every value begins with a letter for its type, every run of bytes with its length, and
 * containers end with a letter: no two different values can give the same bytes.
 */
#include "protocol/canonical.h"

#include "base/memory.h"
#include "protocol/normal_form.h"

#include <string.h>

static void put(lc_canonical *form, const void *bytes, size_t size)
{
    if (size > sizeof form->waiting - form->used) {
        lc_sha256_add(&form->hash, form->waiting, form->used);
        form->used = 0;
    }
    if (size > sizeof form->waiting) {
        lc_sha256_add(&form->hash, bytes, size);
        return;
    }
    memcpy(form->waiting + form->used, bytes, size);
    form->used += size;
}

static void put_letter(lc_canonical *form, char letter)
{
    put(form, &letter, 1);
}

static void put_count(lc_canonical *form, uint64_t count)
{
    unsigned char bytes[8];
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(count >> (8 * i));
    put(form, bytes, sizeof bytes);
}

void lc_canonical_bytes(lc_canonical *form, const void *bytes, size_t size)
{
    put_count(form, size);
    if (size)
        put(form, bytes, size);
}

static void put_string(lc_canonical *form, const char *text, size_t size)
{
    const char *normal = text;
    size_t normal_size = size;
    if (!form->exact && lc_normal_form(text, size, &normal, &normal_size)) {
        form->status = LLMCACHE_MEMORY;
        return;
    }
    put_letter(form, 's');
    lc_canonical_bytes(form, normal, normal_size);
    if (normal != text)
        lc_free((char *)normal);
}

/* ---- Numbers --------------------------------------------------------------------- */

/* A JSON number as 0.DIGITS * 10^power, with no zero at either end of DIGITS. */
typedef struct decimal {
    const char *first,
        *last;      /* the significant digits in the literal, a point may lie between */
    uint64_t count; /* how many, without the point */
    int64_t power;
} decimal;

static const char *find_exponent(const char *text, const char *end)
{
    while (text < end && (*text | 0x20) != 'e')
        text++;
    return text;
}

/* 0, or LLMCACHE_INVALID when the exponent has more digits than any honest number. */
static int read_exponent(const char *at, const char *end, int64_t *power)
{
    int64_t value = 0;
    int negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    while (at < end && *at == '0')
        at++;
    if (end - at > 15)
        return LLMCACHE_INVALID;
    for (; at < end; at++)
        value = value * 10 + (*at - '0');
    *power = negative ? -value : value;
    return 0;
}

static int read_decimal(const lc_tree *number, decimal *d)
{
    const char *end = number->text + number->size;
    const char *begin = number->text + (*number->text == '-');
    const char *stop = find_exponent(begin, end);
    const char *point = memchr(begin, '.', (size_t)(stop - begin));
    *d = (decimal){0};
    if (stop < end && read_exponent(stop + 1, end, &d->power))
        return LLMCACHE_INVALID;
    const char *whole_end = point ? point : stop;
    for (const char *at = begin; at < stop; at++) {
        if (*at == '.' || *at == '0')
            continue;
        if (!d->first)
            d->first = at;
        d->last = at;
    }
    if (!d->first)
        return 0; /* zero */
    d->count = (uint64_t)(d->last - d->first) + 1;
    if (point && d->first < point && point < d->last)
        d->count--;
    d->power += whole_end - d->first + (d->first > whole_end);
    return 0;
}

static void put_number(lc_canonical *form, const lc_tree *number)
{
    decimal d;
    if (read_decimal(number, &d)) {
        form->status = LLMCACHE_INVALID;
        return;
    }
    if (!d.first) {
        put_letter(form, '0');
        return;
    }
    put_letter(form, *number->text == '-' ? '-' : '+');
    put_count(form, (uint64_t)d.power);
    put_count(form, d.count);
    size_t span = (size_t)(d.last - d.first) + 1;
    const char *point = memchr(d.first, '.', span);
    size_t head = point ? (size_t)(point - d.first) : span;
    put(form, d.first, head);
    if (point)
        put(form, point + 1, span - head - 1);
}

/* The digits behind a point, from where they begin; the literal may have a point of its own among them. */
static void add_digits(const decimal *d, size_t from, size_t count, lc_buffer *out)
{
    size_t seen = 0;
    for (const char *at = d->first; at <= d->last; at++)
        if (*at != '.' && seen++ >= from && seen <= from + count)
            lc_buffer_byte(out, *at);
}

int lc_canonical_number(const lc_tree *number, lc_buffer *out)
{
    decimal d;
    if (read_decimal(number, &d))
        return LLMCACHE_INVALID;
    if (!d.first)
        return lc_buffer_byte(out, '0');
    if (*number->text == '-')
        lc_buffer_byte(out, '-');
    if (d.power > 0 && d.power <= 20) {
        size_t whole = (size_t)d.power;
        add_digits(&d, 0, whole, out);
        for (uint64_t i = d.count; i < whole; i++)
            lc_buffer_byte(out, '0');
        if (d.count > whole)
            lc_buffer_byte(out, '.');
        add_digits(&d, whole, d.count, out);
    } else if (d.power <= 0 && d.power > -6) {
        lc_buffer_text(out, "0.");
        for (int64_t i = d.power; i < 0; i++)
            lc_buffer_byte(out, '0');
        add_digits(&d, 0, d.count, out);
    } else {
        lc_buffer_text(out, "0.");
        add_digits(&d, 0, d.count, out);
        lc_buffer_format(out, "e%lld", (long long)d.power);
    }
    return out->broken;
}

/* ---- Values ---------------------------------------------------------------------- */

void lc_canonical_member(lc_canonical *form, const lc_tree *member)
{
    put_letter(form, 'k');
    lc_canonical_bytes(form, member->name, member->name_size);
    lc_canonical_value(form, member);
}

static void put_object(lc_canonical *form, const lc_tree *object)
{
    put_letter(form, '{');
    if (object->size > 1) {
        lc_tree **sorted = lc_tree_sorted(object);
        if (!sorted) {
            form->status = LLMCACHE_MEMORY;
            return;
        }
        for (uint32_t i = 0; i < object->size && !form->status; i++)
            lc_canonical_member(form, sorted[i]);
        lc_free(sorted);
    } else if (object->size == 1) {
        lc_canonical_member(form, object->first);
    }
    put_letter(form, '}');
}

static void put_array(lc_canonical *form, const lc_tree *array)
{
    put_letter(form, '[');
    for (const lc_tree *item = array->first; item && !form->status; item = item->next)
        lc_canonical_value(form, item);
    put_letter(form, ']');
}

static void put_numbers(lc_canonical *form, const lc_tree *numbers)
{
    lc_tree number;
    put_letter(form, '[');
    for (const char *at = numbers->text;
         !form->status && lc_tree_next_number(numbers, &at, &number);)
        put_number(form, &number);
    put_letter(form, ']');
}

void lc_canonical_value(lc_canonical *form, const lc_tree *value)
{
    static const char words[] = {
        [LC_TREE_NULL] = 'n', [LC_TREE_FALSE] = 'f', [LC_TREE_TRUE] = 't'};
    switch (value->type) {
    case LC_TREE_OBJECT:
        put_object(form, value);
        break;
    case LC_TREE_ARRAY:
        put_array(form, value);
        break;
    case LC_TREE_NUMBER:
        put_number(form, value);
        break;
    case LC_TREE_NUMBERS:
        put_numbers(form, value);
        break;
    case LC_TREE_STRING:
        if (value->marked)
            put_letter(form, 'Q');
        else
            put_string(form, value->text, value->size);
        break;
    default:
        put_letter(form, words[value->type]);
    }
}

void lc_canonical_init(lc_canonical *form, const char *purpose)
{
    form->exact = 0;
    form->used = 0;
    form->status = 0;
    lc_sha256_init(&form->hash);
    lc_canonical_bytes(form, purpose, strlen(purpose));
}

int lc_canonical_end(lc_canonical *form, unsigned char digest[LC_SHA256_SIZE])
{
    lc_sha256_add(&form->hash, form->waiting, form->used);
    if (!form->status)
        lc_sha256_end(&form->hash, digest);
    return form->status;
}
