/*
 * WordPiece (BERT): drop control characters, write Han characters apart, lower the case,
 * take accents off, split at white space and around punctuation; then cut each word into
 * the longest pieces from its left. A word with any rest, or of more than 100 characters,
 * is one unknown token.
 *
 * In GGUF the piece "##ing" is "ing" and the word "run" is U+2581 "run", so that one
 * table serves both. The text is read once, word by word; nothing but the word at hand is
 * kept.
 */
#include "base/utf8.h"
#include "embed/tokenizer_inside.h"

#include <string.h>
#include <utf8proc.h>

#define MAX_WORD  100 /* characters */
#define MAX_PARTS 4

/* The word under construction, behind its mark, in scratch->window. */
typedef struct open_word {
    const lc_tokenizer *tokenizer;
    lc_token_sink *sink;
    char *text;
    size_t size;
    unsigned chars;
} open_word;

_Static_assert(LC_WORD_MARK_SIZE + 4 * (MAX_WORD + 1) <= LC_WINDOW, "room for a word");

/* ---- Cutting --------------------------------------------------------------------- */

/*
 * The longest token at the head of `text`; 0 bytes if there is none. Inside a word a
 * token that begins with the mark is another word's beginning, and the mark there is the
 * user's own.
 */
static size_t longest(const lc_vocab *vocab, lc_span text, int inside, uint32_t *id)
{
    uint64_t hash = LC_VOCAB_HASH;
    size_t best = 0;
    if (inside && text.size > LC_WORD_MARK_SIZE &&
        !memcmp(text.data, LC_WORD_MARK, LC_WORD_MARK_SIZE))
        text.size = LC_WORD_MARK_SIZE;
    for (size_t end = 0, step; end < text.size && end < vocab->longest; end += step) {
        step = lc_vocab_step(text.data + end, text.size - end);
        hash = lc_vocab_hash(hash, text.data + end, step);
        uint32_t found = lc_vocab_find(vocab, hash, text.data, end + step);
        if (found != LC_VOCAB_NONE) {
            *id = found;
            best = end + step;
        }
    }
    return best;
}

static void put_id(lc_token_sink *sink, uint32_t id)
{
    if (sink->count < sink->room)
        sink->ids[sink->count++] = id;
    else
        sink->info.cut = 1;
}

static void put_unknown(const open_word *word)
{
    if (word->sink->count < word->sink->room)
        word->sink->info.unknown++;
    put_id(word->sink, word->tokenizer->unknown);
}

/* Two passes, so that a word with a rest leaves nothing behind. */
static int cut_word(const open_word *word, int keep)
{
    uint32_t id = 0;
    for (size_t at = 0, size; at < word->size; at += size) {
        lc_span rest = {word->text + at, word->size - at};
        size = longest(&word->tokenizer->vocab, rest, at > 0, &id);
        if (size == 0)
            return 0;
        if (keep)
            put_id(word->sink, id);
    }
    return 1;
}

static void end_word(open_word *word)
{
    if (word->chars > MAX_WORD || (word->chars && !cut_word(word, 0)))
        put_unknown(word);
    else if (word->chars)
        cut_word(word, 1);
    word->size = LC_WORD_MARK_SIZE;
    word->chars = 0;
}

static void add_char(open_word *word, uint32_t cp)
{
    if (++word->chars <= MAX_WORD)
        word->size += lc_utf8_encode(cp, word->text + word->size);
}

/* ---- Normalising ----------------------------------------------------------------- */

static int is_space(uint32_t cp)
{
    return cp == ' ' || cp == '\t' || cp == '\n' || cp == '\r' || cp == 0xa0 ||
           cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) || cp == 0x2028 ||
           cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

static int is_dropped(uint32_t cp)
{
    if (cp == 0 || cp == 0xfffd)
        return 1;
    if (cp >= 0x20 && cp < 0x7f)
        return 0;
    switch (utf8proc_category((utf8proc_int32_t)cp)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CO:
        return 1;
    default:
        return 0;
    }
}

/* The blocks that BERT writes apart; U+2B820 to 2B91F are left out as in the reference.
 */
static int is_han(uint32_t cp)
{
    return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
           (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b73f) ||
           (cp >= 0x2b740 && cp <= 0x2b81f) || (cp >= 0x2b920 && cp <= 0x2ceaf) ||
           (cp >= 0xf900 && cp <= 0xfaff) || (cp >= 0x2f800 && cp <= 0x2fa1f);
}

static int is_punctuation(uint32_t cp)
{
    if (cp < 0x80)
        return (cp >= 33 && cp <= 47) || (cp >= 58 && cp <= 64) ||
               (cp >= 91 && cp <= 96) || (cp >= 123 && cp <= 126);
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)cp);
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

static void put_part(open_word *word, uint32_t cp)
{
    const lc_tokenizer *tokenizer = word->tokenizer;
    if (tokenizer->strip &&
        utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_MN)
        return;
    if (tokenizer->lower &&
        cp == 0x130) { /* the one letter whose lower case is two code points */
        add_char(word, 'i');
        cp = 0x307;
    } else if (tokenizer->lower) {
        cp = (uint32_t)utf8proc_tolower((utf8proc_int32_t)cp);
    }
    int apart = is_punctuation(cp);
    if (apart || is_space(cp))
        end_word(word);
    if (!is_space(cp))
        add_char(word, cp);
    if (apart)
        end_word(word);
}

static void put_char(open_word *word, uint32_t cp)
{
    if (is_dropped(cp) && !is_space(cp))
        return;
    if (cp < 0x80 || !word->tokenizer->strip) {
        put_part(word, cp);
        return;
    }
    utf8proc_int32_t parts[MAX_PARTS];
    utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)cp, parts, MAX_PARTS,
                                UTF8PROC_DECOMPOSE | UTF8PROC_STABLE, NULL);
    for (utf8proc_ssize_t i = 0; i < count && i < MAX_PARTS; i++)
        put_part(word, (uint32_t)parts[i]);
}

void lc_wordpiece_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                         lc_span text, lc_token_sink *sink)
{
    open_word word = {tokenizer, sink, scratch->window, LC_WORD_MARK_SIZE, 0};
    memcpy(word.text, LC_WORD_MARK, LC_WORD_MARK_SIZE);
    for (size_t at = 0, length; at < text.size && !sink->info.cut; at += length) {
        uint32_t cp = lc_utf8_decode(text.data + at, text.size - at, &length);
        int apart = is_han(cp);
        if (apart)
            end_word(&word);
        put_char(&word, cp);
        if (apart)
            end_word(&word);
    }
    end_word(&word);
}
