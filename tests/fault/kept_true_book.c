/* Lists that only grow, under one lock. */
#include "kept_true_book.h"

#include "support.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct known_answer {
    int topic, wording; /* of the question it was made for */
    int known;
    double kept_us;       /* known to be kept from here on, INFINITY: not known */
    double gone_us[2];    /* exact, semantic: acknowledged to be removed */
    const char *how[2];
} known_answer;

/* A time in which what is known of pairs was removed, or the engine may undo things. */
typedef struct span {
    double begun_us, acked_us;
} span;

typedef struct wrong_pair {
    span when;
    size_t next; /* of the same topic, counted from 1; 0: none */
} wrong_pair;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static known_answer *answers;
static book_serve *serves;
static book_removal *removals;
static book_one_look *looks;
static size_t serve_count, serve_room, removal_count, removal_room, look_count, look_room;
static wrong_pair *wrong;
static size_t wrong_of[BOOK_TOPICS], wrong_count, wrong_room;
static span *goners, *unsure;
static size_t goner_count, goner_room, unsure_count, unsure_room;
static int unsure_removals;

static void *grown(void *list, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return list;
    *room = *room ? *room * 2 : 1024;
    list = realloc(list, *room * size);
    if (!list)
        test_give_up("no memory");
    return list;
}

void book_open(void)
{
    answers = calloc(BOOK_ANSWERS, sizeof *answers);
    if (!answers)
        test_give_up("no memory");
}

/* Lock held. */
static known_answer *find(int number, int topic, int wording)
{
    if (number <= 0 || number >= BOOK_ANSWERS)
        test_give_up("an answer with the number %d", number);
    known_answer *answer = &answers[number];
    if (!answer->known)
        *answer = (known_answer){.topic = topic, .wording = wording, .known = 1, .kept_us = INFINITY,
                                 .gone_us = {INFINITY, INFINITY}, .how = {"", ""}};
    return answer;
}

static void goes(known_answer *answer, int part, double when_us, const char *how)
{
    if (when_us < answer->gone_us[part]) {
        answer->gone_us[part] = when_us;
        answer->how[part] = how;
    }
}

void book_served(const book_serve *serve, double kept_us, double expires_us)
{
    pthread_mutex_lock(&lock);
    known_answer *answer = find(serve->answer, serve->topic, serve->made_for);
    if (kept_us > 0 && kept_us < answer->kept_us)
        answer->kept_us = kept_us;
    for (int part = 0; part < 2 && expires_us > 0; part++)
        goes(answer, part, expires_us, "expired");
    serves = grown(serves, serve_count, &serve_room, sizeof *serves);
    serves[serve_count++] = *serve;
    pthread_mutex_unlock(&lock);
}

void book_written(int number, int topic, int wording, double kept_us)
{
    pthread_mutex_lock(&lock);
    find(number, topic, wording)->kept_us = kept_us;
    pthread_mutex_unlock(&lock);
}

void book_removed(const book_removal *removal)
{
    pthread_mutex_lock(&lock);
    removals = grown(removals, removal_count, &removal_room, sizeof *removals);
    removals[removal_count++] = *removal;
    pthread_mutex_unlock(&lock);
}

void book_wrong_pair(int topic, double begun_us, double acked_us)
{
    pthread_mutex_lock(&lock);
    wrong = grown(wrong, wrong_count, &wrong_room, sizeof *wrong);
    wrong[wrong_count++] = (wrong_pair){{begun_us, acked_us}, wrong_of[topic]};
    wrong_of[topic] = wrong_count;
    pthread_mutex_unlock(&lock);
}

void book_pairs_gone(double begun_us, double acked_us)
{
    pthread_mutex_lock(&lock);
    goners = grown(goners, goner_count, &goner_room, sizeof *goners);
    goners[goner_count++] = (span){begun_us, acked_us};
    pthread_mutex_unlock(&lock);
}

void book_unsure_from(double from_us)
{
    pthread_mutex_lock(&lock);
    unsure = grown(unsure, unsure_count, &unsure_room, sizeof *unsure);
    unsure[unsure_count++] = (span){from_us, INFINITY};
    pthread_mutex_unlock(&lock);
}

void book_unsure_until(double until_us)
{
    pthread_mutex_lock(&lock);
    unsure[unsure_count - 1].acked_us = until_us;
    pthread_mutex_unlock(&lock);
}

/* Lock held. */
static int is_unsure(double begun_us, double acked_us)
{
    for (size_t i = 0; i < unsure_count; i++)
        if (begun_us <= unsure[i].acked_us && acked_us >= unsure[i].begun_us)
            return 1;
    return 0;
}

int book_is_unsure(double begun_us, double acked_us)
{
    pthread_mutex_lock(&lock);
    int is = is_unsure(begun_us, acked_us);
    pthread_mutex_unlock(&lock);
    return is;
}

void book_look(const book_one_look *look)
{
    pthread_mutex_lock(&lock);
    looks = grown(looks, look_count, &look_room, sizeof *looks);
    looks[look_count++] = *look;
    pthread_mutex_unlock(&lock);
}

/* ---- Judging ---------------------------------------------------------------------------------------- */

/* What the engine may have undone counts for nothing, from now on. */
static void drop_unsure(void)
{
    size_t kept = 0;
    for (size_t i = 0; i < removal_count; i++)
        if (!is_unsure(removals[i].begun_us, removals[i].acked_us))
            removals[kept++] = removals[i];
    unsure_removals += (int)(removal_count - kept);
    removal_count = kept;
}

static void apply_removals(void)
{
    for (int number = 1; number < BOOK_ANSWERS; number++) {
        known_answer *answer = &answers[number];
        for (size_t i = 0; answer->known && i < removal_count; i++) {
            const book_removal *r = &removals[i];
            int meant = (r->topic < 0 || r->topic == answer->topic) &&
                        (r->wording < 0 || r->wording == answer->wording);
            if (!meant || answer->kept_us >= r->begun_us)
                continue;
            for (int part = 0; part < 2; part++)
                if (r->parts & 1 << part)
                    goes(answer, part, r->acked_us, r->how);
        }
    }
}

static int is_gone(const span *known, const book_serve *s)
{
    for (size_t i = 0; i < goner_count; i++)
        if (goners[i].acked_us >= known->acked_us && goners[i].begun_us <= s->ended_us)
            return 1;
    return 0;
}

/* Since when the topic's pair was wrong as this was asked; INFINITY: it was not. */
static double wrong_since(const book_serve *s)
{
    double since_us = INFINITY;
    for (size_t at = wrong_of[s->topic]; at; at = wrong[at - 1].next) {
        const span *when = &wrong[at - 1].when;
        if (when->acked_us < since_us && !is_unsure(when->begun_us, when->acked_us) && !is_gone(when, s))
            since_us = when->acked_us;
    }
    return since_us;
}

static const char wrong_pair_how[] = "a wrong pair";

/* How late this was served, in microseconds; 0 or less: in time. */
static double lateness(const book_serve *s, const char **how)
{
    const known_answer *answer = &answers[s->answer];
    if (s->from == BOOK_FROM_MODEL || s->from == BOOK_FROM_SHARED) {
        /* Whoever shares a call that is under way may get what was found for it. */
        int part = answer->gone_us[0] > answer->gone_us[1] ? 0 : 1;
        *how = answer->how[part];
        return s->begun_us - answer->gone_us[part];
    }
    int part = s->from == BOOK_FROM_SEMANTIC;
    double late_us = s->begun_us - answer->gone_us[part];
    *how = answer->how[part];
    if (answer->wording != s->wording && s->begun_us - wrong_since(s) > fmax(late_us, 0)) {
        late_us = s->begun_us - wrong_since(s);
        *how = wrong_pair_how;
    }
    return late_us;
}

static void judge_one(const book_serve *s, double bound_ms, book_verdict *v)
{
    static const char *const sources[] = {"model", "exact", "semantic", "shared"};
    const char *how = "";
    double late_ms = lateness(s, &how) / 1000;
    v->hits += s->from == BOOK_FROM_EXACT;
    v->semantic += s->from == BOOK_FROM_SEMANTIC;
    if (late_ms <= 0)
        return;
    v->late++;
    v->over_a_second += late_ms > 1000;
    v->over_bound += late_ms > bound_ms;
    /* Words about pairs are taken in behind the changes of answers, by another thread, and within that second. */
    int too_late = s->calm && (how != wrong_pair_how || late_ms > 1000);
    v->calm_late += too_late;
    if (late_ms > v->latest_ms || (too_late && v->calm_late == 1)) {
        v->latest_ms = fmax(v->latest_ms, late_ms);
        snprintf(v->worst, sizeof v->worst,
                 "answer %d (topic %d, wording %d, kept %.1f ms before) was served %.1f ms after it was gone (%s), by server "
                 "%d as %s to wording %d, asked at %.1f ms, answered in %.1f ms%s",
                 s->answer, s->topic, answers[s->answer].wording,
                 (s->begun_us - answers[s->answer].kept_us) / 1000, late_ms, how, s->server,
                 sources[s->from], s->wording, s->begun_us / 1000, (s->ended_us - s->begun_us) / 1000,
                 s->calm ? ", after all had taken in a later change" : "");
    }
    if (getenv("LLMCACHE_KEPT_VERBOSE"))
        fprintf(stderr, "late: answer %d topic %d %.1f ms, %s, server %d as %s, at %.1f%s\n", s->answer, s->topic,
                late_ms, how, s->server, sources[s->from], s->begun_us / 1000, s->calm ? ", calm" : "");
}

void book_judge(double bound_ms, book_verdict *verdict)
{
    pthread_mutex_lock(&lock);
    drop_unsure();
    *verdict = (book_verdict){.serves = (int)serve_count, .removals = (int)removal_count, .unsure = unsure_removals};
    apply_removals();
    for (size_t i = 0; i < serve_count; i++)
        judge_one(&serves[i], bound_ms, verdict);
    pthread_mutex_unlock(&lock);
}

static int by_size(const void *a, const void *b)
{
    double x = ((const book_one_look *)a)->late_ms, y = ((const book_one_look *)b)->late_ms;
    return (x > y) - (x < y);
}

void book_looks_read(book_looks *out)
{
    size_t kept = 0;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < look_count; i++)
        if (!is_unsure(looks[i].begun_us, looks[i].acked_us))
            looks[kept++] = looks[i];
    look_count = kept;
    *out = (book_looks){.count = (int)look_count};
    if (look_count)
        qsort(looks, look_count, sizeof *looks, by_size);
    for (size_t i = 0; i < look_count; i++) {
        out->late += looks[i].late_ms > 0;
        out->over_a_second += looks[i].late_ms > 1000;
    }
    if (look_count) {
        out->p50_ms = looks[look_count / 2].late_ms;
        out->p99_ms = looks[look_count * 99 / 100].late_ms;
        out->max_ms = looks[look_count - 1].late_ms;
    }
    pthread_mutex_unlock(&lock);
}
