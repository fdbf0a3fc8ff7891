/* Explaining the exact cache: the entry that answers, or the nearest one that does not and its fields. */
#include "ask/explain.h"

#include "ask/sibling.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SAYS = 256 };

/* ---- A field in words ------------------------------------------------------------------------------ */

/* Of "messages[0].content": the role that the shape gives to messages[0]; "" when it gives none. */
static const char *role_of(const char *field, const char *shape, char role[32])
{
    char path[128];
    const char *bracket = strchr(field, ']');
    role[0] = '\0';
    if (strncmp(field, "messages[", 9) != 0 && strncmp(field, "input[", 6) != 0)
        return role;
    snprintf(path, sizeof path, "\n%.*s.role '", bracket ? (int)(bracket - field) + 1 : 0, field);
    const char *at = strstr(shape, path);
    if (at)
        snprintf(role, 32, "%.*s", (int)strcspn(at + strlen(path), "\n"), at + strlen(path));
    return role;
}

/* "messages[0].content (system)" */
static void name_field(const lc_difference *d, const char *shape, char name[160])
{
    char role[32];
    role_of(d->field, shape, role);
    snprintf(name, 160, "%s%s%s%s", d->field, *role ? " (" : "", role, *role ? ")" : "");
}

static void say_place(const lc_difference *d, char place[64])
{
    if (d->from < 0)
        place[0] = '\0';
    else if (d->from == d->to)
        snprintf(place, 64, " at character %" PRId64, d->from);
    else
        snprintf(place, 64, " from character %" PRId64 " to %" PRId64, d->from, d->to);
}

static const char *article(const char *kind)
{
    return strcmp(kind, "random") == 0 ? "a random id" : strcmp(kind, "uuid") == 0 ? "a UUID"
           : strcmp(kind, "date") == 0 ? "a date" : strcmp(kind, "time") == 0 ? "a time" : "a number";
}

static void say_difference(const lc_difference *d, const char *shape, char says[SAYS])
{
    char name[160], place[64];
    name_field(d, shape, name);
    say_place(d, place);
    if (strcmp(d->kind, "added") == 0)
        snprintf(says, SAYS, "%s%s%s is only in this request", name, *d->here ? " " : "", d->here);
    else if (strcmp(d->kind, "removed") == 0)
        snprintf(says, SAYS, "%s%s%s is only in the kept one", name, *d->there ? " " : "", d->there);
    else if (strcmp(d->kind, "order") == 0)
        snprintf(says, SAYS, "%s: the same, in another order", name);
    else if (strcmp(d->kind, "length") == 0)
        snprintf(says, SAYS, "%s: %s here, %s there", name, d->here, d->there);
    else if (strcmp(d->kind, "text") == 0)
        snprintf(says, SAYS, "%s differs%s", name, place);
    else if (strcmp(d->kind, "value") != 0)
        snprintf(says, SAYS, "%s differs in %s%s", name, article(d->kind), place);
    else if (*d->here && *d->there)
        snprintf(says, SAYS, "%s is %s here, %s there", name, d->here, d->there);
    else
        snprintf(says, SAYS, "%s differs", name);
}

/* The same for the question itself, which is kept as it is. */
static void say_question(const lc_sibling *sibling, char says[SAYS])
{
    const char *kind = sibling->question;
    if (strcmp(kind, "spelling") == 0)
        snprintf(says, SAYS, "the question differs in case, white space or punctuation at character %" PRId64,
                 sibling->question_at);
    else if (strcmp(kind, "text") == 0)
        snprintf(says, SAYS, "the question differs from character %" PRId64, sibling->question_at);
    else
        snprintf(says, SAYS, "the question differs in %s near character %" PRId64, article(kind),
                 sibling->question_at);
}

/* ---- The sibling ------------------------------------------------------------------------------------- */

static void tell_field(const lc_difference *d, const char *says, lc_buffer *out)
{
    lc_buffer_byte(out, '{');
    lc_explain_text(out, "field", d->field);
    lc_explain_text(out, "kind", d->kind);
    lc_explain_text(out, "here", d->here);
    lc_explain_text(out, "there", d->there);
    if (d->from >= 0)
        lc_buffer_format(out, "\"from\":%" PRId64 ",\"to\":%" PRId64 ",", d->from, d->to);
    lc_explain_last(out, "says", says);
    lc_buffer_byte(out, '}');
}

/* Adds to the sentence as long as there is room. */
static void enumerate(char *sentence, size_t size, const char *says)
{
    size_t used = strlen(sentence);
    if (used + strlen(says) + 3 < size)
        snprintf(sentence + used, size - used, "%s%s", used ? "; " : "", says);
}

static void tell_fields(const lc_sibling *sibling, const char *shape, lc_buffer *out,
                        lc_explained *explained)
{
    char says[SAYS];
    size_t shown = sibling->count < LC_SIBLING_FIELDS ? sibling->count : LC_SIBLING_FIELDS;
    lc_buffer_text(out, "\"differs\":[");
    if (sibling->question) {
        lc_difference d = {.field = "question", .kind = sibling->question, .from = sibling->question_at,
                           .to = sibling->question_at};
        say_question(sibling, says);
        tell_field(&d, says, out);
        enumerate(explained->exactly, sizeof explained->exactly, says);
    }
    for (size_t i = 0; i < shown; i++) {
        if (i || sibling->question)
            lc_buffer_byte(out, ',');
        say_difference(&sibling->fields[i], shape, says);
        tell_field(&sibling->fields[i], says, out);
        enumerate(explained->exactly, sizeof explained->exactly, says);
    }
    lc_buffer_format(out, "],\"more\":%zu", sibling->count - shown);
    if (!*explained->exactly)
        snprintf(explained->exactly, sizeof explained->exactly,
                 sibling->known ? "it differs in something beyond what is kept of a long request"
                                : "it was kept before llmcache noted what requests looked like");
}

static void tell_sibling(const lc_job *job, lc_buffer *out, lc_explained *explained)
{
    lc_buffer shape;
    lc_sibling sibling;
    llmcache_error err;
    lc_buffer_init(&shape, 0);
    int code = lc_request_shape(job->cache, job->protocol, job->anthropic, job->request, &shape);
    if (!code)
        code = lc_sibling_find(job, shape.data, &sibling, &err);
    if (code) {
        lc_buffer_text(out, ",\"sibling\":null");
        snprintf(explained->exactly, sizeof explained->exactly, "the store could not be looked through");
    } else {
        lc_buffer_format(out, ",\"looked_at\":%" PRIu64 ",\"complete\":%s,\"sibling\":", sibling.looked_at,
                         sibling.complete ? "true" : "false");
        if (sibling.entry) {
            lc_buffer_byte(out, '{');
            lc_explain_entry(job, &sibling.entry->facts, out);
            tell_fields(&sibling, shape.data, out, explained);
            lc_buffer_byte(out, '}');
        } else {
            lc_buffer_text(out, "null");
            snprintf(explained->exactly, sizeof explained->exactly,
                     sibling.looked_at ? "no kept answer in this namespace is to a question like it"
                                       : "nothing is kept in this namespace");
        }
        lc_sibling_done(&sibling);
    }
    lc_buffer_done(&shape);
}

/* ---- The exact cache ---------------------------------------------------------------------------------- */

/* The entry is there, but not for this request: the static word why; NULL when it is not there. */
static const char *why_unfit(lc_job *job, const char **says)
{
    const lc_controls controls = job->controls;
    const lc_question *question = &job->question;
    int stream = question->stream, usage = question->include_usage;
    const char *why = NULL;
    if (job->stale) {
        *says = "it is past its ttl";
        return "stale";
    }
    job->controls.max_age_ms = -1;
    job->controls.min_fresh_ms = 0;
    job->question.stream = 1;
    job->question.include_usage = 0;
    int found = lc_find_exact(job);
    job->controls = controls;
    job->question.stream = stream;
    job->question.include_usage = usage;
    if (found) {
        int64_t age_ms = job->now_ms - job->entry->facts.created_ms;
        why = controls.max_age_ms >= 0 && age_ms > controls.max_age_ms ? "max-age"
              : !lc_entry_is_fresh(job->entry, job->now_ms + controls.min_fresh_ms) ? "min-fresh"
                                                                                     : "no-usage";
        *says = *why == 'n' ? "it came from a stream without usage, which this request needs"
                : *why == 'm' && why[1] == 'a' ? "it is older than the request's max-age"
                                                : "it expires sooner than the request's min-fresh";
        lc_entry_unref(job->entry);
        job->entry = NULL;
    }
    return why;
}

static void tell_miss(lc_job *job, lc_buffer *out, lc_explained *explained)
{
    const char *says = "";
    const char *why = why_unfit(job, &says);
    lc_buffer_text(out, "\"exact\":{\"hit\":false,");
    lc_explain_last(out, "why", why ? why : "absent");
    if (why)
        snprintf(explained->exactly, sizeof explained->exactly, "the same request is kept, but %s", says);
    else
        tell_sibling(job, out, explained);
    lc_buffer_byte(out, ',');
    lc_explain_last(out, "says", explained->exactly);
    lc_buffer_byte(out, '}');
}

void lc_explain_exact(lc_job *job, lc_buffer *out, lc_explained *explained)
{
    explained->exact = lc_find_exact(job);
    if (!explained->exact) {
        tell_miss(job, out, explained);
        return;
    }
    const llmcache_entry *entry = &job->entry->facts;
    lc_buffer_text(out, "\"exact\":{\"hit\":true,\"entry\":{");
    lc_explain_entry(job, entry, out);
    lc_buffer_format(out, "\"expires_in_ms\":%" PRId64 "}}",
                     entry->expires_ms ? entry->expires_ms - entry->stale_ms - job->now_ms : 0);
}
