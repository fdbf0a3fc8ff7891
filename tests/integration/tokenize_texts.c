/*
 * Token ids of many texts, for compare_tokenizers.py: reads a u32 length and that many
 * bytes, again and again; answers each with a u32 count and the ids.
 *
 *   tokenize-texts MODEL.gguf | wordpiece | unigram    (the last two: the tests' small
 * ones) tokenize-texts --json wordpiece | unigram          prints their tokenizer.json
 */
#include "embed/tokenizer.h"
#include "support.h"
#include "tiny_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_IDS = 8192, MAX_TEXT = 1 << 22 };

static lc_gguf *open_model(const char *name)
{
    lc_gguf *gguf;
    llmcache_error err;
    int tiny = !strcmp(name, "wordpiece") || !strcmp(name, "unigram");
    lc_span file =
        tiny ? tiny_gguf(*name == 'w' ? TINY_WORDPIECE : TINY_UNIGRAM) : (lc_span){0};
    if (tiny ? lc_gguf_open_memory(file.data, file.size, &gguf, &err)
             : lc_gguf_open(name, &gguf, &err))
        test_give_up("%s", err.message);
    return gguf;
}

static void answer_all(const lc_tokenizer *tokenizer, lc_token_scratch *scratch)
{
    static uint32_t ids[MAX_IDS];
    char *text = malloc(MAX_TEXT);
    uint32_t size, count32;
    while (fread(&size, sizeof size, 1, stdin) == 1) {
        size_t count;
        if (size > MAX_TEXT || fread(text, 1, size, stdin) != size)
            test_give_up("a text cut short");
        lc_tokenizer_encode(tokenizer, scratch, text, size, ids, MAX_IDS, &count, NULL);
        count32 = (uint32_t)count;
        fwrite(&count32, sizeof count32, 1, stdout);
        fwrite(ids, sizeof *ids, count, stdout);
    }
    free(text);
}

int main(int argc, char **argv)
{
    lc_tokenizer *tokenizer;
    lc_token_scratch *scratch;
    llmcache_error err;
    if (argc == 3 && strcmp(argv[1], "--json") == 0) {
        puts(tiny_tokenizer_json(*argv[2] == 'w' ? TINY_WORDPIECE : TINY_UNIGRAM));
        return 0;
    }
    if (argc != 2)
        test_give_up("usage: tokenize-texts MODEL");
    lc_gguf *gguf = open_model(argv[1]);
    if (lc_tokenizer_new(gguf, &tokenizer, &err) ||
        lc_token_scratch_new(tokenizer, MAX_IDS, &scratch, &err))
        test_give_up("%s", err.message);
    answer_all(tokenizer, scratch);
    lc_token_scratch_free(scratch);
    lc_tokenizer_free(tokenizer);
    lc_gguf_close(gguf);
    return 0;
}
