/*
 * Both tokenizers over any text: ids are known ones, text never gives a special token,
 * what is cut agrees with what is not, folding never makes anything unknown that was
 * known, and nothing is allocated.
 */
#include "base/memory.h"
#include "embed/fold_han.h"
#include "embed/import.h"
#include "embed/tokenizer.h"
#include "fuzz.h"
#include "tiny_files.h"

#include <string.h>

const char *const fuzz_corpora[] = {"tests/fuzz/corpus/tokenizer", NULL};

enum { MAX_IDS = 4096, FEW_IDS = 8 };

/* These live as long as the program. */
typedef struct fuzz_subject {
    lc_gguf *gguf;
    lc_tokenizer *tokenizer;
    lc_token_scratch *scratch;
} fuzz_subject;

static fuzz_subject subjects[3];

static lc_span packed(void)
{
    lc_gguf_writer writer;
    lc_gguf_writer_init(&writer);
    FUZZ_CHECK(lc_import_e5s1(tiny_pack(), &writer, NULL) == 0);
    lc_span file = tiny_written(&writer);
    lc_gguf_writer_done(&writer);
    return file;
}

static void make(fuzz_subject *subject, lc_span file)
{
    FUZZ_CHECK(lc_gguf_open_memory(file.data, file.size, &subject->gguf, NULL) == 0);
    FUZZ_CHECK(lc_tokenizer_new(subject->gguf, &subject->tokenizer, NULL) == 0);
    FUZZ_CHECK(
        lc_token_scratch_new(subject->tokenizer, MAX_IDS, &subject->scratch, NULL) == 0);
}

static void check(const fuzz_subject *subject, const char *text, size_t size)
{
    static uint32_t ids[MAX_IDS];
    uint32_t few[FEW_IDS], unknown = 0;
    size_t count, few_count;
    lc_token_info info, few_info;
    const lc_tokenizer *tokenizer = subject->tokenizer;
    lc_memory_fail_at(1);
    lc_tokenizer_encode(tokenizer, subject->scratch, text, size, ids, MAX_IDS, &count,
                        &info);
    lc_tokenizer_encode(tokenizer, subject->scratch, text, size, few, FEW_IDS, &few_count,
                        &few_info);
    lc_memory_fail_at(0);
    FUZZ_CHECK(!lc_memory_failed());
    FUZZ_CHECK(count >= 2 && count <= MAX_IDS && few_count <= FEW_IDS &&
               few_count <= count);
    for (size_t i = 1; i + 1 < count; i++) {
        FUZZ_CHECK(ids[i] < lc_tokenizer_count(tokenizer));
        unknown += lc_tokenizer_is_special(tokenizer, ids[i]) != 0;
    }
    FUZZ_CHECK(unknown == info.unknown); /* the only special that text may become */
    FUZZ_CHECK(few_info.cut == (count > FEW_IDS || info.cut));
    if (!info.cut)
        FUZZ_CHECK(memcmp(ids, few, (few_count - 1) * sizeof *ids) == 0);
    FUZZ_CHECK(few[few_count - 1] == ids[count - 1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char folded[1 << 20];
    const char *text = (const char *)data;
    if (!subjects[0].tokenizer) {
        make(&subjects[0], tiny_gguf(TINY_WORDPIECE));
        make(&subjects[1], tiny_gguf(TINY_UNIGRAM));
        make(&subjects[2], packed());
    }
    if (LC_FOLD_HAN_ROOM(size) > sizeof folded)
        return 0;
    for (int i = 0; i < 3; i++)
        check(&subjects[i], text, size);
    size_t folded_size = lc_fold_han(NULL, text, size, folded);
    FUZZ_CHECK(folded_size <= LC_FOLD_HAN_ROOM(size));
    return 0;
}
