/*
 * The protocol room as a filter, for tests in other languages.
 *
 *     protocol-pipe assemble PROTOCOL                  a stream in, the whole answer out
 *     protocol-pipe replay PROTOCOL USAGE PIECE        the other way round
 *     protocol-pipe embeddings REQUEST                 a kept embedding in, the reply to REQUEST out
 */
#include "protocol/embeddings.h"
#include "protocol/protocol.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int assemble(lc_protocol protocol, const lc_buffer *in, lc_buffer *out, llmcache_error *err)
{
    lc_assembler *assembler = lc_assembler_new(protocol, 0);
    if (!assembler)
        return LLMCACHE_MEMORY;
    int status = lc_assembler_feed(assembler, in->data, in->size);
    status = status ? status : lc_assembler_finish(assembler, out, err);
    lc_assembler_free(assembler);
    return status;
}

static int reply(const char *request, const lc_buffer *in, lc_buffer *out, llmcache_error *err)
{
    lc_embeddings *batch;
    const lc_embedding answer = {in->data, in->size};
    int status = lc_embeddings_read(request, strlen(request), 0, &batch, err);
    if (status)
        return status;
    status = lc_embeddings_join(batch, &answer, out, NULL, err);
    lc_embeddings_free(batch);
    return status;
}

static int run(int argc, char **argv, const lc_buffer *in, lc_buffer *out, llmcache_error *err)
{
    if (argc == 3 && strcmp(argv[1], "assemble") == 0)
        return assemble(lc_protocol_by_name(argv[2]), in, out, err);
    if (argc == 5 && strcmp(argv[1], "replay") == 0)
        return lc_replay_pieces(lc_protocol_by_name(argv[2]), in->data, in->size, atoi(argv[3]),
                                (size_t)atol(argv[4]), out, err);
    if (argc == 3 && strcmp(argv[1], "embeddings") == 0)
        return reply(argv[2], in, out, err);
    snprintf(err->message, sizeof err->message, "see the head of protocol_pipe.c");
    return LLMCACHE_INVALID;
}

int main(int argc, char **argv)
{
    lc_buffer in, out;
    llmcache_error err = {0};
    char block[4096];
    lc_buffer_init(&in, 0);
    lc_buffer_init(&out, 0);
    for (size_t size; (size = fread(block, 1, sizeof block, stdin)) > 0;)
        lc_buffer_add(&in, block, size);
    lc_buffer_reserve(&in, 0);
    int status = run(argc, argv, &in, &out, &err);
    if (status)
        fprintf(stderr, "%s\n", err.message);
    else
        fwrite(out.data, 1, out.size, stdout);
    lc_buffer_done(&in);
    lc_buffer_done(&out);
    return status ? 1 : 0;
}
