/*
 * An observation as an entry: what was asked is the question, the verdict is the tag, the rest is one JSON object for
 * a body. Read strictly: a store's value is outside data, and a wrong reading would forbid or allow the wrong pair.
 */
#include "ask/observations.h"

#include "base/error.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/sha256.h"

#include <string.h>

const char *const lc_feature_names[] = {
#define LC_FEATURE(name, text, weight, meaning) text,
#include "decide/features.def"
#undef LC_FEATURE
};

_Static_assert(LC_FEATURE_COUNT <= LLMCACHE_FEATURES_MAX, "all features fit");

static const char *const verdicts[] = {"unjudged", "right", "wrong"};
static const char *const observers[] = {"hit", "feedback", "judge", "exploration", "shadow", "import"};
enum { VERDICTS = 3, OBSERVERS = 6 };

const char *llmcache_verdict_name(int verdict)
{
    return verdict >= 0 && verdict < VERDICTS ? verdicts[verdict] : "unknown";
}

const char *llmcache_observer_name(int observer)
{
    return observer >= 0 && observer < OBSERVERS ? observers[observer] : "unknown";
}

/* ---- Writing -------------------------------------------------------------------------------------- */

static void text_member(lc_buffer *out, const char *name, const char *value)
{
    lc_buffer_format(out, ",\"%s\":", name);
    lc_buffer_json_text(out, value);
}

static void digest_member(lc_buffer *out, const char *name, const unsigned char digest[32])
{
    char hex[2 * LLMCACHE_FINGERPRINT_SIZE + 1];
    lc_hex(digest, LLMCACHE_FINGERPRINT_SIZE, hex);
    lc_buffer_format(out, ",\"%s\":\"%s\"", name, hex);
}

static void write_score(const lc_observation *o, lc_buffer *out)
{
    const char *comma = "";
    lc_buffer_format(out, ",\"score\":%.17g,\"features\":{", o->score);
    for (size_t i = 0; i < o->feature_count && i < LLMCACHE_FEATURES_MAX; i++) {
        lc_buffer_text(out, comma);
        lc_buffer_json_text(out, o->feature_names[i]);
        lc_buffer_format(out, ":%.17g", o->features[i]);
        comma = ",";
    }
    lc_buffer_byte(out, '}');
}

static void write_body(const lc_observation *o, int with_text, lc_buffer *out)
{
    lc_buffer_format(out, "{\"version\":1,\"verdict\":\"%s\",\"source\":\"%s\"",
                     llmcache_verdict_name(o->verdict), llmcache_observer_name(o->observer));
    if (with_text && *o->candidate)
        text_member(out, "candidate", o->candidate);
    if (*o->candidate_id)
        text_member(out, "candidate_id", o->candidate_id);
    if (o->doubtful)
        lc_buffer_text(out, ",\"doubtful\":true");
    lc_buffer_format(out, ",\"similarity\":%.9g", o->similarity);
    if (o->scored)
        write_score(o, out);
    text_member(out, "language", o->language);
    text_member(out, "embedder", o->embedder);
    text_member(out, "compared_as", LC_PAIR_VERSION);
    digest_member(out, "asked_digest", o->asked_digest);
    digest_member(out, "candidate_digest", o->candidate_digest);
    lc_buffer_byte(out, '}');
}

lc_entry *lc_observation_write(const lc_observation *o, int with_text)
{
    lc_buffer body;
    llmcache_entry entry = {.struct_size = sizeof entry,
                            .space = o->space,
                            .protocol = o->protocol,
                            .model = o->model,
                            .question = with_text ? o->asked : "",
                            .tags = llmcache_verdict_name(o->verdict),
                            .created_ms = o->time_ms,
                            .expires_ms = o->expires_ms};
    lc_entry *made = NULL;
    lc_observation_fingerprint(o, entry.fingerprint);
    memcpy(entry.partition, o->partition, sizeof entry.partition);
    lc_buffer_init(&body, 0);
    write_body(o, with_text, &body);
    if (!body.broken) {
        entry.body = body.data;
        entry.body_size = body.size;
        made = lc_entry_new(&entry);
    }
    lc_buffer_done(&body);
    return made;
}

/* ---- Reading -------------------------------------------------------------------------------------- */

static int one_of(const char *const *words, int count, const char *word)
{
    int at = 0;
    while (at < count && (!word || strcmp(words[at], word) != 0))
        at++;
    return at;
}

/* "" when it is not there. */
static const char *text_of(const lc_json *object, const char *name)
{
    const char *text = lc_json_text(lc_json_get(object, name), NULL);
    return text ? text : "";
}

static int read_digest(const lc_json *object, const char *name, unsigned char digest[32])
{
    return lc_unhex(text_of(object, name), digest, LLMCACHE_FINGERPRINT_SIZE) ? LLMCACHE_CORRUPT : 0;
}

/* Digests made by other rules are made again, where the texts are there; where they are not, the pair is known only as
 * it was. */
static int read_digests(const lc_json *root, lc_observation *o)
{
    int code = read_digest(root, "asked_digest", o->asked_digest);
    if (!code)
        code = read_digest(root, "candidate_digest", o->candidate_digest);
    if (code || strcmp(text_of(root, "compared_as"), LC_PAIR_VERSION) == 0)
        return code;
    if (*o->asked)
        code = lc_question_digest(o->asked, strlen(o->asked), o->asked_digest);
    if (!code && *o->candidate)
        code = lc_question_digest(o->candidate, strlen(o->candidate), o->candidate_digest);
    return code;
}

static void read_numbers(const lc_json *root, lc_observation *o)
{
    const lc_json *features = lc_json_get(root, "features");
    lc_json_number(lc_json_get(root, "similarity"), &o->similarity);
    o->scored = features && lc_json_number(lc_json_get(root, "score"), &o->score);
    if (!o->scored)
        return;
    o->feature_names = lc_feature_names;
    o->feature_count = LC_FEATURE_COUNT;
    /* With one missing it was another version's score: no feature may be taken for zero. */
    for (int i = 0; i < LC_FEATURE_COUNT; i++)
        o->scored &= lc_json_number(lc_json_get(features, lc_feature_names[i]), &o->features[i]) != 0;
}

/* Texts of the facts are never NULL from a store; a brought one may be careless. */
static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int read_object(const llmcache_entry *entry, const lc_json *root, lc_observation *o)
{
    *o = (lc_observation){.struct_size = sizeof *o,
                          .space = or_empty(entry->space),
                          .asked = or_empty(entry->question),
                          .candidate = text_of(root, "candidate"),
                          .language = text_of(root, "language"),
                          .embedder = text_of(root, "embedder"),
                          .model = or_empty(entry->model),
                          .protocol = or_empty(entry->protocol),
                          .time_ms = entry->created_ms,
                          .expires_ms = entry->expires_ms,
                          .feature_names = lc_feature_names};
    lc_entry_id(entry->fingerprint, o->id);
    memcpy(o->partition, entry->partition, sizeof o->partition);
    o->verdict = one_of(verdicts, VERDICTS, text_of(root, "verdict"));
    o->observer = one_of(observers, OBSERVERS, text_of(root, "source"));
    o->doubtful = lc_json_is_true(lc_json_get(root, "doubtful"));
    const char *id = text_of(root, "candidate_id");
    if (strlen(id) < sizeof o->candidate_id)
        memcpy(o->candidate_id, id, strlen(id) + 1);
    if (o->verdict == VERDICTS || o->observer == OBSERVERS)
        return LLMCACHE_CORRUPT;
    read_numbers(root, o);
    return read_digests(root, o);
}

int lc_observation_read(const llmcache_entry *entry, lc_observation *o, lc_json **out)
{
    llmcache_error err;
    lc_json *root;
    int code = lc_json_parse(entry->body, entry->body_size, &root, &err);
    if (!code)
        code = read_object(entry, root, o);
    else
        root = NULL;
    if (code) {
        lc_json_free(root);
        return code == LLMCACHE_MEMORY ? code : LLMCACHE_CORRUPT;
    }
    *out = root;
    return 0;
}
