#include "embed/gguf_pages.h"

#include "embed/gguf_inside.h"

#include <sys/mman.h>
#include <unistd.h>

/* Whole pages only: those at the edges belong to the neighbours too. */
static void advise(const lc_gguf *gguf, const lc_gguf_tensor *tensor, int advice)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = ((uintptr_t)tensor->data + page - 1) / page * page;
    uintptr_t to = ((uintptr_t)tensor->data + tensor->bytes) / page * page;
    if (gguf->mapped && from < to)
        (void)madvise((void *)from, to - from, advice);
}

void lc_gguf_let_go(const lc_gguf *gguf, const lc_gguf_tensor *tensor)
{
    advise(gguf, tensor, MADV_DONTNEED);
}

void lc_gguf_expect_scattered(const lc_gguf *gguf, const lc_gguf_tensor *tensor)
{
    advise(gguf, tensor, MADV_RANDOM);
}
