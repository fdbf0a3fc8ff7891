/*
 * Conversions between text and float32, whatever the host's locale says about decimal
 * points.
 *
 * Writing looks for the fewest digits (6 to 9) that read back as the same float. A
 * candidate is accepted only if its value lies clearly inside the float's rounding
 * interval, so that the small error of computing it in double cannot matter; nine digits
 * always do.
 */
#include "protocol/float_text.h"

#include "base/memory.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Writing a number ------------------------------------------------------------ */

/* 10^power, exact up to 10^22, to within a few units of the last place beyond. */
static double power_of_ten(int power)
{
    double result = 1, base = 10;
    for (int left = abs(power); left; left >>= 1, base *= base)
        if (left & 1)
            result *= base;
    return power < 0 ? 1 / result : result;
}

/* Does digits * 10^power lie in the inside, but for its very edge, of the interval that
 * rounds to `value`? */
static int reads_back(double digits, int power, float value)
{
    double candidate =
        power < 0 ? digits / power_of_ten(-power) : digits * power_of_ten(power);
    float below = nextafterf(value, 0), above = nextafterf(value, INFINITY);
    double low = ((double)value - below) * 0.4999,
           high = ((double)above - value) * 0.4999;
    return candidate >= (double)value - low && candidate <= (double)value + high;
}

/* DIGITS * 10^power as plain decimals or with an exponent, as JavaScript and Python
 * would. */
static size_t put_decimal(char *text, long digits, int power)
{
    char plain[16];
    while (digits && digits % 10 == 0) {
        digits /= 10;
        power++;
    }
    int length = snprintf(plain, sizeof plain, "%ld", digits), point = length + power;
    if (point > 15 || point < -5) {
        int more = length > 1;
        return (size_t)sprintf(text, "%c%s%.*se%d", plain[0], more ? "." : "", length - 1,
                               plain + 1, point - 1);
    }
    if (power >= 0)
        return (size_t)sprintf(text, "%s%.*s.0", plain, power, "000000000000000");
    if (point > 0)
        return (size_t)sprintf(text, "%.*s.%s", point, plain, plain + point);
    return (size_t)sprintf(text, "0.%.*s%s", -point, "000000", plain);
}

size_t lc_float_write(float value, char *text)
{
    size_t sign = 0;
    if (signbit(value)) {
        text[sign++] = '-';
        value = -value;
    }
    if (value == 0)
        return sign + (size_t)sprintf(text + sign, "0.0");
    int top = (int)floor(log10((double)value));
    for (int count = 6; count <= 9; count++) {
        int power = top - count + 1;
        double scaled = power < 0 ? (double)value * power_of_ten(-power)
                                  : (double)value / power_of_ten(power);
        double digits = nearbyint(scaled);
        if (count == 9 || reads_back(digits, power, value))
            return sign + put_decimal(text + sign, (long)digits, power);
    }
    return 0;
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
