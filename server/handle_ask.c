/* POST /ask: one question in JSON, one answer in JSON. */
#include "json_body.h"
#include "routes.h"

#include <llmcache/backend.h>
#include <stdio.h>
#include <string.h>

static void reply_answer(exchange *x, const llmcache_answer *answer)
{
    byte_buffer json = {0};
    reply_note(x->source, sizeof x->source, llmcache_answer_source_name(answer));
    reply_note(x->id, sizeof x->id, llmcache_answer_id(answer));

    bytes_text(&json, "{\"answer\":");
    bytes_json(&json, llmcache_answer_text(answer));
    bytes_format(&json, ",\"source\":\"%s\",\"similarity\":%.6g,\"id\":\"%s\"",
                 llmcache_answer_source_name(answer), llmcache_answer_similarity(answer),
                 llmcache_answer_id(answer));
    bytes_format(&json, ",\"cached\":%s,\"stored\":%s,\"age_ms\":%lld,\"age\":%.3f",
                 llmcache_answer_source(answer) == LLMCACHE_SOURCE_MODEL ? "false"
                                                                         : "true",
                 llmcache_answer_stored(answer) ? "true" : "false",
                 (long long)llmcache_answer_age_ms(answer),
                 (double)llmcache_answer_age_ms(answer) / 1000.0);
    bytes_text(&json, ",\"model\":");
    bytes_json(&json, llmcache_answer_model(answer));
    bytes_text(&json, ",\"question\":");
    bytes_json(&json, llmcache_answer_question(answer));
    bytes_text(&json, ",\"why\":");
    bytes_json(&json, llmcache_answer_why(answer));
    bytes_format(&json,
                 ",\"latency_ms\":%.3f,\"model_latency_ms\":%lld,"
                 "\"usage\":{\"input_tokens\":%lld,\"output_tokens\":%lld}}",
                 (double)llmcache_answer_latency_us(answer) / 1000.0,
                 (long long)llmcache_answer_model_latency_ms(answer),
                 (long long)llmcache_answer_input_tokens(answer),
                 (long long)llmcache_answer_output_tokens(answer));
    reply_json(x, 200, &json);
    bytes_free(&json);
}

/* The namespace of who asks; what the body names is a part below it. */
static int find_space(const exchange *x, llmcache_ask_options *options,
                      char space[LLMCACHE_SPACE_SIZE], llmcache_error *err)
{
    llmcache_header headers[MG_MAX_HEADERS];
    byte_buffer room = {0};
    size_t count = request_onward(x, headers, &room);
    /* Without memory a credential would be missing here, and its caller be taken for another. */
    int code = room.broken ? llmcache_error_set(err, LLMCACHE_MEMORY, NULL)
                           : llmcache_admit(x->server->cache, headers, count,
                                            options->space, space, err);
    bytes_free(&room);
    options->space = space;
    return code;
}

void handle_ask(exchange *x)
{
    char space[LLMCACHE_SPACE_SIZE];
    llmcache_ask_options options;
    llmcache_answer *answer;
    llmcache_error err;
    json_body body;
    const char *question;

    if (json_body_read(x, &body))
        return;
    if (json_body_question(&body, &question, &options) == 0) {
        if (find_space(x, &options, space, &err) == 0 &&
            llmcache_ask(x->server->cache, question, &options, &answer, &err) == 0) {
            reply_answer(x, answer);
            llmcache_answer_free(answer);
        } else {
            reply_failure(x, &err);
        }
    }
    json_body_done(&body);
}
