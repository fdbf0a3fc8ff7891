/* What the tokenizer's files share: tokenizer.c (the object), tokenizer_unigram.c,
 * tokenizer_wordpiece.c. */
#ifndef LC_EMBED_TOKENIZER_INSIDE_H
#define LC_EMBED_TOKENIZER_INSIDE_H

#include "embed/charsmap.h"
#include "embed/tokenizer.h"
#include "embed/vocab.h"

#define LC_WORD_MARK      "\xe2\x96\x81" /* U+2581 */
#define LC_WORD_MARK_SIZE 3

typedef enum lc_tokenizer_kind { LC_WORDPIECE, LC_UNIGRAM } lc_tokenizer_kind;

struct lc_tokenizer {
    lc_tokenizer_kind kind;
    lc_vocab vocab;
    uint32_t first, last; /* specials around a text */
    int add_first, add_last;
    uint32_t unknown;
    /* unigram */
    lc_charsmap map;
    int mark_first, collapse; /* add_space_prefix, remove_extra_whitespaces */
    int trim;                 /* no spaces at the ends of a text */
    double unknown_score;
    /* WordPiece */
    int lower, strip;
};

/* Best way to have cut the text up to some byte: where the last token starts, and which
 * it is. */
typedef struct lc_lattice_node {
    double score;
    uint32_t start;
    uint32_t id;
} lc_lattice_node;

#define LC_WINDOW 8192

struct lc_token_scratch {
    size_t max_ids;
    uint32_t *ids;          /* max_ids, for the second text of a pair */
    char window[LC_WINDOW]; /* text on its way through normalisation; a word under
                               construction */
    char *text;             /* unigram: the normalised text */
    size_t text_room;
    lc_lattice_node *nodes; /* unigram: text_room + 1 */
};

/* Where the ids of a text go; what does not fit is counted out. */
typedef struct lc_token_sink {
    uint32_t *ids;
    size_t room;
    size_t count;
    lc_token_info info;
} lc_token_sink;

/* Append the ids of a text without specials. */
void lc_unigram_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                       lc_span text, lc_token_sink *sink);
void lc_wordpiece_encode(const lc_tokenizer *tokenizer, lc_token_scratch *scratch,
                         lc_span text, lc_token_sink *sink);

#endif
