/* Longest match at every place where a phrase may begin, by binary search in the sorted
 * list. */
#include "decide/marks.h"

#include <string.h>

static int is_letter(char c)
{
    return c >= 'a' && c <= 'z';
}

/* A phrase may begin anywhere but inside a word; a unit may follow its digits at once. */
static int may_begin(const char *text, size_t at)
{
    if (((unsigned char)text[at] & 0xc0) == 0x80 || text[at] == ' ')
        return 0;
    return at == 0 || !is_letter(text[at]) ||
           !(is_letter(text[at - 1]) || text[at - 1] == '\'');
}

static int may_end(const char *text, size_t end)
{
    return !(is_letter(text[end - 1]) && is_letter(text[end]));
}

/* Bytes by which the list is entered: the whole first word, or one character. */
static size_t entry_size(const char *text)
{
    size_t size = 0;
    while (is_letter(text[size]))
        size++;
    if (size == 0)
        size = (unsigned char)text[0] < 0x80 ? 1 : 3;
    return size;
}

/* strncmp, with its first two bytes done here: nearly always enough. */
static int compare(const char *text, const char *phrase, size_t size)
{
    int order = (unsigned char)text[0] - (unsigned char)phrase[0];
    if (order == 0 && size > 1)
        order = (unsigned char)text[1] - (unsigned char)phrase[1];
    return order || size <= 2 ? order : strncmp(text + 2, phrase + 2, size - 2);
}

/* The first phrase that is not below the first `size` bytes of text. */
static size_t lower_bound(const lc_mark *marks, size_t count, const char *text,
                          size_t size)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(text, marks[middle].phrase, size) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static const lc_mark *longest(const lc_mark *marks, size_t count, const char *text,
                              size_t at)
{
    const lc_mark *best = NULL;
    size_t best_size = 0, entry = entry_size(text + at);
    for (size_t i = lower_bound(marks, count, text + at, entry);
         i < count && compare(text + at, marks[i].phrase, entry) == 0; i++) {
        size_t size = marks[i].size;
        if (size > best_size && strncmp(text + at, marks[i].phrase, size) == 0 &&
            may_end(text, at + size)) {
            best = &marks[i];
            best_size = size;
        }
    }
    return best;
}

const lc_mark *lc_mark_at(const lc_mark *marks, size_t mark_count,
                          const lc_reading *reading, size_t at)
{
    return may_begin(reading->text, at) ? longest(marks, mark_count, reading->text, at)
                                        : NULL;
}

void lc_marks_find(const lc_mark *marks, size_t mark_count, const lc_reading *reading,
                   lc_sightings *found)
{
    found->count = 0;
    for (size_t at = 0; at < reading->size && found->count < LC_SIGHTINGS_MAX;) {
        const lc_mark *mark = lc_mark_at(marks, mark_count, reading, at);
        if (!mark) {
            at++;
            continue;
        }
        size_t size = mark->size;
        found->list[found->count++] =
            (lc_sighting){mark->value, (uint32_t)at, (uint32_t)size};
        at += size;
    }
}

const lc_sighting *lc_sighting_alone(const lc_sightings *these, const lc_sightings *those)
{
    for (size_t i = 0; i < these->count; i++) {
        size_t j = 0;
        while (j < those->count &&
               strcmp(these->list[i].value, those->list[j].value) != 0)
            j++;
        if (j == those->count)
            return &these->list[i];
    }
    return NULL;
}

lc_slice lc_sighting_slice(const lc_reading *reading, const lc_sighting *sighting)
{
    if (!sighting)
        return (lc_slice){NULL, 0};
    return (lc_slice){reading->text + sighting->at, sighting->size};
}

int lc_marks_differ(const lc_mark *marks, size_t mark_count, const lc_case *c,
                    char *detail)
{
    lc_sightings in_a, in_b;
    lc_marks_find(marks, mark_count, &c->a, &in_a);
    if (in_a.count == 0)
        return 0;
    lc_marks_find(marks, mark_count, &c->b, &in_b);
    const lc_sighting *left = lc_sighting_alone(&in_a, &in_b);
    const lc_sighting *right = lc_sighting_alone(&in_b, &in_a);
    if (!left || !right)
        return 0;
    lc_detail(detail, lc_sighting_slice(&c->a, left), lc_sighting_slice(&c->b, right));
    return 1;
}
