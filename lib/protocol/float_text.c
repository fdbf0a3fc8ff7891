/*
 * Conversions between text and float32, whatever the host's locale says about decimal
 * points.
 *
 * Writing looks for the fewest digits (15 to 17) that read back as the same double: then
 * the numbers are exactly those that a client gets who unpacks the base64 itself, and
 * those of a service that computes in float32 and writes what it has.
 */
#include "protocol/float_text.h"

#include "base/memory.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Writing a number ------------------------------------------------------------ */

enum { MOST_DIGITS = 17 };

/* The value as DIGITS, without zeros at their end, and the power of ten of the first one.
 * The point that printf puts behind it depends on the locale and is left out. */
static int find_digits(double value, char digits[MOST_DIGITS + 1], int *power)
{
    char text[40];
    int precision = 15, count = 0;
    do
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
    while (strtod(text, NULL) != value && precision++ < MOST_DIGITS);
    const char *exponent = strchr(text, 'e');
    for (const char *at = text; at < exponent; at++)
        if (*at >= '0' && *at <= '9')
            digits[count++] = *at;
    while (count > 1 && digits[count - 1] == '0')
        count--;
    digits[count] = '\0';
    *power = atoi(exponent + 1);
    return count;
}

/* As plain decimals or with an exponent, as JavaScript and Python would. */
size_t lc_float_write(float value, char *text)
{
    char digits[MOST_DIGITS + 1];
    int power, count = find_digits(fabs((double)value), digits, &power);
    int point = power + 1; /* digits before it */
    char *at = text;
    if (signbit(value))
        *at++ = '-';
    if (point > 15 || point < -5)
        at += sprintf(at, "%c%s%se%d", digits[0], count > 1 ? "." : "", digits + 1, power);
    else if (point >= count)
        at += sprintf(at, "%s%.*s.0", digits, point - count, "00000000000000000");
    else if (point > 0)
        at += sprintf(at, "%.*s.%s", point, digits, digits + point);
    else
        at += sprintf(at, "0.%.*s%s", -point, "000000", digits);
    return (size_t)(at - text);
}

/* ---- Base64 ---------------------------------------------------------------------- */

static const char alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void put_base64(const unsigned char *bytes, size_t size, lc_buffer *out)
{
    if (lc_buffer_reserve(out, (size + 2) / 3 * 4))
        return;
    for (size_t at = 0; at < size; at += 3) {
        size_t left = size - at;
        unsigned group = (unsigned)bytes[at] << 16 |
                         (left > 1 ? (unsigned)bytes[at + 1] << 8 : 0) |
                         (left > 2 ? bytes[at + 2] : 0u);
        char four[4] = {alphabet[group >> 18], alphabet[group >> 12 & 63],
                        left > 1 ? alphabet[group >> 6 & 63] : '=',
                        left > 2 ? alphabet[group & 63] : '='};
        lc_buffer_add(out, four, 4);
    }
}

static int sextet(char c)
{
    const char *found = c ? strchr(alphabet, c) : NULL;
    return found ? (int)(found - alphabet) : -1;
}

/* Decodes into `bytes` (room for size / 4 * 3); how many, or -1. */
static long read_base64(const char *text, size_t size, unsigned char *bytes)
{
    long count = 0;
    if (size % 4)
        return -1;
    for (size_t at = 0; at < size; at += 4) {
        int last = at + 4 == size;
        int pad =
            last ? (text[at + 3] == '=') + (text[at + 3] == '=' && text[at + 2] == '=')
                 : 0;
        unsigned group = 0;
        for (int i = 0; i < 4; i++) {
            int value = i >= 4 - pad ? 0 : sextet(text[at + (size_t)i]);
            if (value < 0)
                return -1;
            group = group << 6 | (unsigned)value;
        }
        for (int i = 0; i < 3 - pad; i++)
            bytes[count++] = (unsigned char)(group >> (16 - 8 * i));
    }
    return count;
}

/* ---- Vectors --------------------------------------------------------------------- */

static int read_float(const lc_tree *number, locale_t plain, float *value)
{
    char text[64];
    if (number->size >= sizeof text)
        return LLMCACHE_INVALID;
    memcpy(text, number->text, number->size);
    text[number->size] = '\0';
    *value = strtof_l(text, NULL, plain);
    return isfinite(*value) ? 0 : LLMCACHE_INVALID;
}

/* Packs the numbers into `bytes`; *count of them. */
static int pack_numbers(const lc_tree *numbers, unsigned char *bytes, size_t *count)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    lc_tree number;
    int status = plain ? 0 : LLMCACHE_MEMORY;
    *count = 0;
    for (const char *at = numbers->text;
         !status && lc_tree_next_number(numbers, &at, &number);) {
        float value;
        uint32_t bits;
        if ((status = read_float(&number, plain, &value)))
            break;
        memcpy(&bits, &value, sizeof bits);
        for (int i = 0; i < 4; i++)
            *bytes++ = (unsigned char)(bits >> (8 * i));
        ++*count;
    }
    if (plain)
        freelocale(plain);
    return status;
}

int lc_floats_to_base64(const lc_tree *numbers, lc_buffer *out)
{
    size_t count;
    /* A number takes at least one byte of text and has a comma or bracket behind it. */
    unsigned char *bytes = lc_alloc_array(numbers->size / 2 + 1, 4);
    if (!bytes)
        return LLMCACHE_MEMORY;
    int status = pack_numbers(numbers, bytes, &count);
    if (!status) {
        lc_buffer_byte(out, '"');
        put_base64(bytes, count * 4, out);
        status = lc_buffer_byte(out, '"');
    }
    lc_free(bytes);
    return status;
}

static int put_numbers(const unsigned char *bytes, long count, lc_buffer *out)
{
    lc_buffer_byte(out, '[');
    for (long at = 0; at + 4 <= count; at += 4) {
        uint32_t bits = 0;
        float value;
        char text[32];
        for (int i = 3; i >= 0; i--)
            bits = bits << 8 | bytes[at + i];
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            return LLMCACHE_INVALID;
        if (at)
            lc_buffer_byte(out, ',');
        lc_buffer_add(out, text, lc_float_write(value, text));
    }
    return lc_buffer_byte(out, ']');
}

int lc_base64_to_floats(const lc_tree *base64, lc_buffer *out)
{
    unsigned char *bytes = lc_alloc(base64->size / 4 * 3 + 4);
    if (!bytes)
        return LLMCACHE_MEMORY;
    long count = read_base64(base64->text, base64->size, bytes);
    int status =
        count > 0 && count % 4 == 0 ? put_numbers(bytes, count, out) : LLMCACHE_INVALID;
    lc_free(bytes);
    return status;
}
