/* Usage by model. Names and buckets after the OpenTelemetry semantic conventions for generative AI, v1.37. */
#include "ask/usage.h"

#include <stdio.h>
#include <string.h>

static const int64_t token_bounds[LC_TOKEN_BUCKETS] = {
    1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864};
static const double second_bounds[LC_SECOND_BUCKETS] = {0.01, 0.02, 0.04, 0.08,  0.16,  0.32,  0.64,
                                                        1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92};

static int is_row(const lc_model_usage *row, const char *model, const char *operation)
{
    return strncmp(row->model, model, sizeof row->model - 1) == 0 &&
           strncmp(row->operation, operation, sizeof row->operation - 1) == 0;
}

static void fill(lc_model_usage *row, const char *model, const char *operation, const char *provider)
{
    snprintf(row->model, sizeof row->model, "%s", model);
    snprintf(row->operation, sizeof row->operation, "%s", operation);
    snprintf(row->provider, sizeof row->provider, "%s", provider);
    atomic_store_explicit(&row->used, 1, memory_order_release);
}

/* The first rows are filled in order and never change again; only adding one needs the flag. */
static lc_model_usage *find(lc_usage *usage, const char *model, const char *operation,
                            const char *provider)
{
    lc_model_usage *found = NULL;
    int at = 0;
    for (; at < LC_USAGE_MODELS - 1 && !found; at++) {
        lc_model_usage *row = &usage->models[at];
        if (!atomic_load_explicit(&row->used, memory_order_acquire))
            break;
        if (is_row(row, model, operation))
            found = row;
    }
    if (found)
        return found;
    while (atomic_flag_test_and_set_explicit(&usage->adding, memory_order_acquire))
        ;
    for (; at < LC_USAGE_MODELS - 1 && !found; at++) {
        lc_model_usage *row = &usage->models[at];
        if (!atomic_load(&row->used))
            fill(row, model, operation, provider);
        if (is_row(row, model, operation))
            found = row;
    }
    if (!found) {
        found = &usage->models[LC_USAGE_MODELS - 1];
        if (!atomic_load(&found->used))
            fill(found, "other", "chat", "other");
    }
    atomic_flag_clear_explicit(&usage->adding, memory_order_release);
    return found;
}

void lc_usage_add(lc_usage *usage, const char *model, const char *operation, const char *provider,
                  int64_t input_tokens, int64_t output_tokens, int64_t us)
{
    lc_model_usage *row = find(usage, model, operation, provider);
    const int64_t tokens[2] = {input_tokens, output_tokens};
    int at = 0;
    for (int kind = 0; kind < 2; kind++) {
        int bucket = 0;
        while (bucket < LC_TOKEN_BUCKETS && tokens[kind] > token_bounds[bucket])
            bucket++;
        lc_count_add(&row->tokens[kind][bucket], 1);
        lc_count_add(&row->token_sum[kind], (uint64_t)tokens[kind]);
    }
    while (at < LC_SECOND_BUCKETS && (double)us > second_bounds[at] * 1e6)
        at++;
    lc_count_add(&row->seconds[at], 1);
    lc_count_add(&row->microseconds, (uint64_t)us);
}

/* ---- Exposition -------------------------------------------------------------------------------- */

/* A label's value: backslash, quote and line feed escaped, anything odd made a question mark. */
static void label(lc_buffer *out, const char *text)
{
    for (; *text; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '"' || byte == '\\')
            lc_buffer_byte(out, '\\');
        lc_buffer_byte(out, byte < 0x20 || byte > 0x7e ? '?' : (char)byte);
    }
}

static void labels(lc_buffer *out, const lc_model_usage *row, const char *kind)
{
    lc_buffer_text(out, "gen_ai_operation_name=\"");
    label(out, row->operation);
    lc_buffer_text(out, "\",gen_ai_provider_name=\"");
    label(out, row->provider);
    lc_buffer_text(out, "\",gen_ai_request_model=\"");
    label(out, row->model);
    lc_buffer_byte(out, '"');
    if (kind)
        lc_buffer_format(out, ",gen_ai_token_type=\"%s\"", kind);
}

static void line(lc_buffer *out, const char *name, const lc_model_usage *row, const char *kind,
                 const char *bound, double value)
{
    lc_buffer_format(out, "%s{", name);
    labels(out, row, kind);
    if (bound)
        lc_buffer_format(out, ",le=\"%s\"", bound);
    lc_buffer_format(out, "} %.15g\n", value);
}

static void write_tokens(lc_buffer *out, const lc_model_usage *row, int kind)
{
    static const char *const kinds[] = {"input", "output"};
    uint64_t sum = 0;
    char bound[32];
    for (int i = 0; i <= LC_TOKEN_BUCKETS; i++) {
        sum += lc_count_read(&row->tokens[kind][i]);
        if (i < LC_TOKEN_BUCKETS)
            snprintf(bound, sizeof bound, "%lld", (long long)token_bounds[i]);
        line(out, "gen_ai_client_token_usage_bucket", row, kinds[kind], i < LC_TOKEN_BUCKETS ? bound : "+Inf",
             (double)sum);
    }
    line(out, "gen_ai_client_token_usage_sum", row, kinds[kind], NULL,
         (double)lc_count_read(&row->token_sum[kind]));
    line(out, "gen_ai_client_token_usage_count", row, kinds[kind], NULL, (double)sum);
}

static void write_seconds(lc_buffer *out, const lc_model_usage *row)
{
    uint64_t sum = 0;
    char bound[32];
    for (int i = 0; i <= LC_SECOND_BUCKETS; i++) {
        sum += lc_count_read(&row->seconds[i]);
        if (i < LC_SECOND_BUCKETS)
            snprintf(bound, sizeof bound, "%g", second_bounds[i]);
        line(out, "gen_ai_client_operation_duration_seconds_bucket", row, NULL,
             i < LC_SECOND_BUCKETS ? bound : "+Inf", (double)sum);
    }
    line(out, "gen_ai_client_operation_duration_seconds_sum", row, NULL, NULL,
         (double)lc_count_read(&row->microseconds) * 1e-6);
    line(out, "gen_ai_client_operation_duration_seconds_count", row, NULL, NULL, (double)sum);
}

void lc_usage_write(const lc_usage *usage, lc_buffer *out)
{
    lc_buffer_text(out, "# HELP gen_ai_client_token_usage Tokens of calls to the model.\n"
                        "# TYPE gen_ai_client_token_usage histogram\n");
    for (int i = 0; i < LC_USAGE_MODELS; i++)
        for (int kind = 0; kind < 2 && atomic_load(&usage->models[i].used); kind++)
            write_tokens(out, &usage->models[i], kind);
    lc_buffer_text(out, "# HELP gen_ai_client_operation_duration_seconds Time of calls to the model.\n"
                        "# TYPE gen_ai_client_operation_duration_seconds histogram\n");
    for (int i = 0; i < LC_USAGE_MODELS; i++)
        if (atomic_load(&usage->models[i].used))
            write_seconds(out, &usage->models[i]);
}
