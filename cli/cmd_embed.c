/* llmcache-cli embed, similarity, score: what the encoders say of texts. */
#include "cli_print.h"

#include <llmcache/model.h>
#include <stdio.h>

static int show_vectors(const cli_session *cli, const float *vectors, size_t dimension)
{
    for (int i = 0; i < cli->argument_count; i++) {
        json_t *vector = json_array();
        for (size_t j = 0; j < dimension; j++)
            json_array_append_new(vector, json_real((double)vectors[(size_t)i * dimension + j]));
        int printed = print_json(json_pack("{s:s, s:o}", "text", cli->arguments[i], "vector", vector));
        if (printed)
            return printed;
    }
    return CLI_OK;
}

/* The vectors of all arguments; free with llmcache_free. */
static int embed_arguments(cli_session *cli, float **vectors, size_t *dimension)
{
    llmcache_error err;
    int code = cli_open(cli);
    if (code)
        return code;
    if (llmcache_embed(cli->cache, (const char *const *)cli->arguments, (size_t)cli->argument_count,
                       vectors, dimension, &err))
        return cli_fail(cli, &err);
    return CLI_OK;
}

static int run_embed(cli_session *cli)
{
    float *vectors;
    size_t dimension;
    int code = embed_arguments(cli, &vectors, &dimension);
    if (code)
        return code;
    code = show_vectors(cli, vectors, dimension);
    llmcache_free(vectors);
    return code;
}

static int run_similarity(cli_session *cli)
{
    float *vectors;
    size_t dimension;
    double cosine = 0;
    int code = embed_arguments(cli, &vectors, &dimension);
    if (code)
        return code;
    for (size_t i = 0; i < dimension; i++)
        cosine += (double)vectors[i] * (double)vectors[dimension + i];
    llmcache_free(vectors);
    if (cli->json)
        return print_json(json_pack("{s:f}", "similarity", cosine));
    printf("%.4f\n", cosine);
    return CLI_OK;
}

static int run_score(cli_session *cli)
{
    llmcache_error err;
    float score;
    const char *left = cli->arguments[1], *right = cli->arguments[2];
    if (llmcache_score(cli->options, cli->arguments[0], &left, &right, 1, &score, &err))
        return cli_fail(cli, &err);
    if (cli->json)
        return print_json(json_pack("{s:f}", "score", (double)score));
    printf("%.4f\n", (double)score);
    return CLI_OK;
}

const cli_command cmd_embed = {
    .name = "embed",
    .arguments = "TEXT...",
    .summary = "Print the vectors of texts, one JSON object a line",
    .minimum = 1,
    .maximum = -1,
    .run = run_embed,
};

const cli_command cmd_similarity = {
    .name = "similarity",
    .arguments = "A B",
    .summary = "Print the cosine similarity of two texts",
    .minimum = 2,
    .maximum = 2,
    .run = run_similarity,
};

const cli_command cmd_score = {
    .name = "score",
    .arguments = "MODEL A B",
    .summary = "Print what a cross-encoder says of two texts; higher is more alike",
    .detail = "MODEL is a GGUF model with rank pooling: a name in the models folder, or a path.",
    .minimum = 3,
    .maximum = 3,
    .run = run_score,
};
