#include "shown_observation.h"

#include "shown_json.h"

#include <stdio.h>
#include <string.h>

/* ---- Writing -------------------------------------------------------------------- */

static json_t *hex_json(const unsigned char *bytes, size_t size)
{
    char text[2 * LLMCACHE_FINGERPRINT_SIZE + 1] = "";
    for (size_t i = 0; i < size; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return json_string(text);
}

static json_t *features_json(const llmcache_observation *o)
{
    json_t *object = json_object();
    for (size_t i = 0; i < o->feature_count; i++)
        json_object_set_new(object, o->feature_names[i], json_real(o->features[i]));
    return object;
}

static void add_text(json_t *object, const char *name, const char *text)
{
    if (*text)
        json_object_set_new(object, name, shown_string(text));
}

static void add_numbers(json_t *object, const llmcache_observation *o)
{
    json_object_set_new(object, "similarity", json_real(o->similarity));
    if (o->scored) {
        json_object_set_new(object, "score", json_real(o->score));
        json_object_set_new(object, "features", features_json(o));
    }
    json_object_set_new(object, "time_ms", json_integer((json_int_t)o->time_ms));
    json_object_set_new(object, "expires_ms", json_integer((json_int_t)o->expires_ms));
}

json_t *shown_observation(const llmcache_observation *o)
{
    json_t *object = json_object();
    add_text(object, "a", o->asked);
    add_text(object, "b", o->candidate);
    if (o->verdict != LLMCACHE_UNJUDGED)
        json_object_set_new(object, "label", json_integer(o->verdict == LLMCACHE_RIGHT));
    add_text(object, "verdict", llmcache_verdict_name(o->verdict));
    add_text(object, "source", llmcache_observer_name(o->observer));
    if (o->doubtful)
        json_object_set_new(object, "doubtful", json_true());
    add_numbers(object, o);
    add_text(object, "language", o->language);
    add_text(object, "namespace", o->space);
    add_text(object, "embedder", o->embedder);
    add_text(object, "model", o->model);
    add_text(object, "protocol", o->protocol);
    json_object_set_new(object, "partition", hex_json(o->partition, sizeof o->partition));
    add_text(object, "candidate_id", o->candidate_id);
    json_object_set_new(object, "a_digest",
                        hex_json(o->asked_digest, sizeof o->asked_digest));
    json_object_set_new(object, "b_digest",
                        hex_json(o->candidate_digest, sizeof o->candidate_digest));
    add_text(object, "id", o->id);
    return object;
}

/* ---- Reading -------------------------------------------------------------------- */

int shown_verdict(const char *name)
{
    for (int verdict = LLMCACHE_UNJUDGED; verdict <= LLMCACHE_WRONG; verdict++)
        if (strcmp(name, llmcache_verdict_name(verdict)) == 0)
            return verdict;
    return -1;
}

static const char *text_of(const json_t *row, const char *name)
{
    const char *text = json_string_value(json_object_get(row, name));
    return text ? text : "";
}

static int digit(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* 0 also when there is none; -1 for what is no digest. */
static int read_hex(const json_t *row, const char *name,
                    unsigned char out[LLMCACHE_FINGERPRINT_SIZE])
{
    const char *text = text_of(row, name);
    if (!*text)
        return 0;
    if (strlen(text) != 2 * LLMCACHE_FINGERPRINT_SIZE)
        return -1;
    for (size_t i = 0; i < LLMCACHE_FINGERPRINT_SIZE; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return -1;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

/* By the verdict, or by the label that other lists have. */
static int read_verdict(const json_t *row, llmcache_observation *o)
{
    const json_t *label = json_object_get(row, "label");
    const char *verdict = text_of(row, "verdict");
    if (*verdict)
        o->verdict = shown_verdict(verdict);
    else if (json_is_boolean(label))
        o->verdict = json_is_true(label) ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
    else if (json_is_integer(label) && json_integer_value(label) >> 1 == 0)
        o->verdict = json_integer_value(label) ? LLMCACHE_RIGHT : LLMCACHE_WRONG;
    else
        o->verdict = -1;
    return o->verdict < 0 ? -1 : 0;
}

/* Names of data sets are no observers of ours. */
static void read_observer(const json_t *row, llmcache_observation *o)
{
    const char *source = text_of(row, "source");
    o->observer =
        o->verdict == LLMCACHE_UNJUDGED ? LLMCACHE_BY_HIT : LLMCACHE_BY_IMPORT;
    for (int by = LLMCACHE_BY_FEEDBACK; by < LLMCACHE_BY_IMPORT; by++)
        if (o->verdict != LLMCACHE_UNJUDGED &&
            strcmp(source, llmcache_observer_name(by)) == 0)
            o->observer = by;
}

static void read_features(const json_t *row, llmcache_observation *o,
                          shown_features *features)
{
    const char *name;
    json_t *value;
    json_t *object = json_object_get(row, "features");
    o->score = json_number_value(json_object_get(row, "score"));
    o->scored = json_is_object(object) && json_is_number(json_object_get(row, "score"));
    if (!o->scored)
        return;
    json_object_foreach (object, name, value) {
        if (o->feature_count == LLMCACHE_FEATURES_MAX || !json_is_number(value))
            continue;
        features->names[o->feature_count] = name;
        o->features[o->feature_count++] = json_number_value(value);
    }
    o->feature_names = features->names;
}

const char *shown_observation_read(const json_t *row, const char *space,
                                   llmcache_observation *o, shown_features *features)
{
    *o = (llmcache_observation){.struct_size = sizeof *o,
                                .space = text_of(row, "namespace"),
                                .asked = text_of(row, "a"),
                                .candidate = text_of(row, "b"),
                                .language = text_of(row, "language"),
                                .model = text_of(row, "model"),
                                .protocol = text_of(row, "protocol")};
    const char *embedder = text_of(row, "embedder"), *id = text_of(row, "candidate_id");
    if (!json_is_object(row))
        return "not a JSON object";
    if (read_verdict(row, o))
        return "label (0 or 1) or verdict (right, wrong, unjudged) is missing";
    if (read_hex(row, "partition", o->partition) ||
        read_hex(row, "a_digest", o->asked_digest) ||
        read_hex(row, "b_digest", o->candidate_digest))
        return "a digest is not 64 hexadecimal digits";
    if (!*o->space)
        o->space = space;
    o->embedder = *embedder ? embedder : NULL;
    if (strlen(id) < sizeof o->candidate_id)
        memcpy(o->candidate_id, id, strlen(id) + 1);
    read_observer(row, o);
    read_features(row, o, features);
    o->similarity = json_number_value(json_object_get(row, "similarity"));
    o->doubtful = json_is_true(json_object_get(row, "doubtful"));
    o->time_ms = (int64_t)json_integer_value(json_object_get(row, "time_ms"));
    o->expires_ms = (int64_t)json_integer_value(json_object_get(row, "expires_ms"));
    return NULL;
}
