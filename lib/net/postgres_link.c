/*
 * libpq without its blocking half. Results are always fetched to the end of a statement, so that a link that
 * returns 0 or LLMCACHE_STORE is ready for the next; a link whose deadline passed in the middle is not, and
 * its owner closes it.
 */
#include "net/postgres_link.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { KEYWORDS = 64, ADDRESS_SIZE = 64, SLOTS = 64, CODE_SIZE = 6 };

struct lc_pg_place {
    PQconninfoOption *options;
    const char *host; /* among the options; NULL where no name has to be looked up */
    char name[160];
    char *ca_file;
    pthread_mutex_t lock;       /* guards address */
    char address[ADDRESS_SIZE]; /* "" while not known */
};

struct lc_pg_link {
    PGconn *conn;
    const char *name; /* the place's */
    int cancel_fd;
    uint64_t prepared[SLOTS]; /* a sum of the text, 0 for none */
    char refusal[CODE_SIZE];
    int tag; /* the owner's */
};

/* ---- The place ------------------------------------------------------------------------------------- */

static const char *option(const lc_pg_place *place, const char *keyword)
{
    for (const PQconninfoOption *o = place->options; o->keyword; o++)
        if (strcmp(o->keyword, keyword) == 0)
            return o->val && *o->val ? o->val : NULL;
    return NULL;
}

/* A single host name, not an address, not a socket's folder, not a list: libpq would look it up while we wait. */
static int needs_look_up(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];
    return host && *host != '/' && *host != '@' && !strchr(host, ',') &&
           inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
}

int lc_pg_place_new(const char *uri, const char *ca_file, lc_pg_place **out, llmcache_error *err)
{
    char *why = NULL;
    lc_pg_place *place = lc_zalloc(sizeof *place);
    if (!place)
        return lc_fail_memory(err);
    pthread_mutex_init(&place->lock, NULL);
    place->options = PQconninfoParse(uri, &why); /* its message may quote the URI, so it stays here */
    PQfreemem(why);
    if (!place->options) {
        lc_pg_place_free(place);
        return lc_fail(err, LLMCACHE_SETTING,
                       "store: not a URI that PostgreSQL takes: postgresql://user:password@host:port/database");
    }
    const char *host = option(place, "host"), *port = option(place, "port");
    const char *database = option(place, "dbname");
    snprintf(place->name, sizeof place->name, "postgresql://%.60s:%.8s/%.60s", host ? host : "",
             port ? port : "5432", database ? database : "");
    place->host = needs_look_up(host) && !option(place, "hostaddr") ? host : NULL;
    if (ca_file && *ca_file && !(place->ca_file = lc_strdup(ca_file))) {
        lc_pg_place_free(place);
        return lc_fail_memory(err);
    }
    *out = place;
    return 0;
}

void lc_pg_place_free(lc_pg_place *place)
{
    if (!place)
        return;
    PQconninfoFree(place->options);
    pthread_mutex_destroy(&place->lock);
    lc_free(place->ca_file);
    lc_free(place);
}

const char *lc_pg_place_name(const lc_pg_place *place)
{
    return place->name;
}

int lc_pg_place_resolve(lc_pg_place *place, llmcache_error *err)
{
    struct addrinfo *found = NULL;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    char address[ADDRESS_SIZE];
    if (!place->host)
        return 0;
    int rc = getaddrinfo(place->host, NULL, &hints, &found);
    if (!rc)
        rc = getnameinfo(found->ai_addr, found->ai_addrlen, address, sizeof address, NULL, 0, NI_NUMERICHOST);
    if (found)
        freeaddrinfo(found);
    if (rc)
        return lc_fail(err, LLMCACHE_NETWORK, "%s: its host has no address (%s)", place->name,
                       gai_strerror(rc));
    pthread_mutex_lock(&place->lock);
    memcpy(place->address, address, sizeof address);
    pthread_mutex_unlock(&place->lock);
    return 0;
}

/* ---- Waiting --------------------------------------------------------------------------------------- */

static int broken(const lc_pg_link *link, llmcache_error *err)
{
    char line[120];
    const char *text = PQerrorMessage(link->conn);
    snprintf(line, sizeof line, "%.*s", (int)strcspn(text, "\n"), text);
    return lc_fail(err, LLMCACHE_NETWORK, "%s: %s", link->name, *line ? line : "the connection ended");
}

static int wait_for(lc_pg_link *link, short events, int64_t until_ms, llmcache_error *err)
{
    struct pollfd fds[2] = {{PQsocket(link->conn), events, 0}, {link->cancel_fd, POLLIN, 0}};
    int ready;
    if (fds[0].fd < 0)
        return broken(link, err);
    do {
        int64_t left = until_ms - lc_mono_ms();
        ready = left > 0 ? poll(fds, link->cancel_fd >= 0 ? 2 : 1, (int)(left < 3600000 ? left : 3600000)) : 0;
    } while (ready < 0 && errno == EINTR); /* a signal of the program's */
    if (ready <= 0)
        return lc_fail(err, LLMCACHE_TIMEOUT, "%s did not answer in time", link->name);
    if (fds[1].revents)
        return lc_fail(err, LLMCACHE_NETWORK, "%s: the store is closing", link->name);
    return 0;
}

static int flush(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    int left;
    while ((left = PQflush(link->conn)) > 0) {
        int rc = wait_for(link, POLLIN | POLLOUT, until_ms, err);
        if (rc)
            return rc;
        if (!PQconsumeInput(link->conn)) /* the server may be waiting for us to read */
            return broken(link, err);
    }
    return left < 0 ? broken(link, err) : 0;
}

/* The next result, NULL at a statement's end. */
static int next(lc_pg_link *link, int64_t until_ms, PGresult **result, llmcache_error *err)
{
    while (PQisBusy(link->conn)) {
        int rc = wait_for(link, POLLIN, until_ms, err);
        if (rc)
            return rc;
        if (!PQconsumeInput(link->conn))
            return broken(link, err);
    }
    *result = PQgetResult(link->conn);
    return 0;
}

/* What a result says of its statement. The server's message can hold values, its code can not. */
static int complaint(lc_pg_link *link, const PGresult *result, llmcache_error *err)
{
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_PIPELINE_SYNC)
        return 0;
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (PQstatus(link->conn) == CONNECTION_BAD)
        return broken(link, err);
    if (status != PGRES_PIPELINE_ABORTED) /* that is what follows a complaint */
        snprintf(link->refusal, sizeof link->refusal, "%s", code ? code : "");
    return lc_fail(err, LLMCACHE_STORE, "%s refused a statement (SQLSTATE %s)", link->name,
                   code ? code : "unknown");
}

/* ---- Connecting ------------------------------------------------------------------------------------ */

static PGconn *start(lc_pg_place *place, const char *address)
{
    const char *keywords[KEYWORDS + 4], *values[KEYWORDS + 4];
    int n = 0;
    for (const PQconninfoOption *o = place->options; o->keyword && n < KEYWORDS; o++)
        if (o->val && *o->val) {
            keywords[n] = o->keyword;
            values[n++] = o->val;
        }
    if (*address) {
        keywords[n] = "hostaddr";
        values[n++] = address;
    }
    if (place->ca_file && !option(place, "sslrootcert")) {
        keywords[n] = "sslrootcert";
        values[n++] = place->ca_file;
    }
    if (!option(place, "application_name")) {
        keywords[n] = "application_name";
        values[n++] = "llmcache";
    }
    keywords[n] = values[n] = NULL;
    return PQconnectStartParams(keywords, values, 0);
}

static int finish(lc_pg_link *link, int64_t until_ms, llmcache_error *err)
{
    PostgresPollingStatusType wants = PGRES_POLLING_WRITING;
    int rc = 0;
    while (!rc && wants != PGRES_POLLING_OK) {
        if (PQstatus(link->conn) == CONNECTION_BAD || wants == PGRES_POLLING_FAILED)
            return broken(link, err);
        rc = wait_for(link, wants == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms, err);
        if (!rc)
            wants = PQconnectPoll(link->conn);
    }
    return rc;
}

/* A connection that was refused has no result to look into: its code stands in the text, see PQERRORS_VERBOSE. */
static int is_full(const lc_pg_link *link)
{
    return strstr(PQerrorMessage(link->conn), " 53300: ") != NULL;
}

static void stay_silent(void *user, const PGresult *result)
{
}

int lc_pg_connect(lc_pg_place *place, int64_t until_ms, int cancel_fd, lc_pg_link **out,
                  llmcache_error *err)
{
    char address[ADDRESS_SIZE];
    pthread_mutex_lock(&place->lock);
    memcpy(address, place->address, sizeof address);
    pthread_mutex_unlock(&place->lock);
    if (place->host && !*address)
        return lc_fail(err, LLMCACHE_STORE, "%s: its host has not been looked up yet", place->name);
    lc_pg_link *link = lc_zalloc(sizeof *link);
    if (!link || !(link->conn = start(place, address))) {
        lc_free(link);
        return lc_fail_memory(err);
    }
    PQsetNoticeReceiver(link->conn, stay_silent, NULL); /* libpq prints notices otherwise */
    PQsetErrorVerbosity(link->conn, PQERRORS_VERBOSE);
    link->name = place->name;
    link->cancel_fd = cancel_fd;
    int rc = finish(link, until_ms, err);
    if (!rc && PQsetnonblocking(link->conn, 1))
        rc = broken(link, err);
    if (rc == LLMCACHE_NETWORK && is_full(link))
        rc = lc_fail(err, LLMCACHE_BUSY, "%s has no room for another connection (SQLSTATE 53300)", link->name);
    if (rc) {
        lc_pg_disconnect(link);
        return rc;
    }
    link->cancel_fd = -1;
    *out = link;
    return 0;
}

void lc_pg_disconnect(lc_pg_link *link)
{
    if (!link)
        return;
    PQfinish(link->conn);
    lc_free(link);
}

int lc_pg_pid(const lc_pg_link *link)
{
    return PQbackendPID(link->conn);
}

int lc_pg_server(const lc_pg_link *link)
{
    return PQserverVersion(link->conn);
}

int lc_pg_tag(const lc_pg_link *link)
{
    return link->tag;
}

void lc_pg_set_tag(lc_pg_link *link, int tag)
{
    link->tag = tag;
}

const char *lc_pg_refusal(const lc_pg_link *link)
{
    return link->refusal;
}

/* ---- Values ---------------------------------------------------------------------------------------- */

void lc_pg_add(lc_pg_values *values, const void *bytes, size_t size)
{
    values->values[values->count] = bytes;
    values->sizes[values->count++] = (int)size;
}

void lc_pg_add_number(lc_pg_values *values, int64_t number, unsigned char room[8])
{
    for (int i = 0; i < 8; i++)
        room[i] = (unsigned char)((uint64_t)number >> (56 - 8 * i));
    lc_pg_add(values, room, 8);
}

/* ---- Running --------------------------------------------------------------------------------------- */

static void name_slot(int slot, char name[16])
{
    snprintf(name, 16, "s%d", slot);
}

/* The result of one statement that was sent, to its end. */
static int collect(lc_pg_link *link, int64_t until_ms, PGresult **result, llmcache_error *err)
{
    PGresult *one = NULL, *end = NULL;
    int rc = next(link, until_ms, &one, err);
    if (!rc && !one)
        rc = broken(link, err);
    if (!rc)
        rc = next(link, until_ms, &end, err);
    PQclear(end);
    if (!rc)
        rc = complaint(link, one, err);
    if (rc || !result)
        PQclear(one);
    else
        *result = one;
    return rc;
}

/* FNV-1a, and never 0: tells the texts of a slot apart. */
static uint64_t sum_of(const char *text)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (; *text; text++)
        sum = (sum ^ (unsigned char)*text) * 0x100000001b3u;
    return sum ? sum : 1;
}

static int prepare(lc_pg_link *link, const lc_pg_statement *statement, int64_t until_ms,
                   llmcache_error *err)
{
    char name[16], drop[32];
    uint64_t sum = sum_of(statement->sql), *prepared = &link->prepared[statement->slot];
    if (*prepared == sum)
        return 0;
    name_slot(statement->slot, name);
    snprintf(drop, sizeof drop, "DEALLOCATE %s", name);
    int rc = *prepared ? lc_pg_script(link, drop, until_ms, err) : 0;
    if (rc)
        return rc;
    *prepared = 0;
    if (!PQsendPrepare(link->conn, name, statement->sql, 0, NULL))
        return broken(link, err);
    rc = flush(link, until_ms, err);
    if (!rc)
        rc = collect(link, until_ms, NULL, err);
    if (!rc)
        *prepared = sum;
    return rc;
}

static int send_one(lc_pg_link *link, const lc_pg_statement *statement, const lc_pg_values *values,
                    llmcache_error *err)
{
    static const int binary[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    char name[16];
    name_slot(statement->slot, name);
    return PQsendQueryPrepared(link->conn, name, values->count, values->values, values->sizes, binary, 1)
               ? 0
               : broken(link, err);
}

int lc_pg_run(lc_pg_link *link, const lc_pg_statement *statement, const lc_pg_values *values,
              int64_t until_ms, PGresult **result, llmcache_error *err)
{
    int rc = prepare(link, statement, until_ms, err);
    if (!rc)
        rc = send_one(link, statement, values, err);
    if (!rc)
        rc = flush(link, until_ms, err);
    return rc ? rc : collect(link, until_ms, result, err);
}

/* All results of a pipeline up to its sync; the first complaint is kept, the rest is read all the same. */
static int collect_many(lc_pg_link *link, size_t count, int64_t until_ms, PGresult **results,
                        llmcache_error *err)
{
    int refused = 0, rc = 0;
    for (size_t i = 0; i < count && !rc; i++) {
        rc = collect(link, until_ms, &results[i], refused ? NULL : err);
        if (rc == LLMCACHE_STORE) {
            refused = rc;
            rc = 0;
        }
    }
    PGresult *sync = NULL;
    if (!rc)
        rc = next(link, until_ms, &sync, err);
    PQclear(sync);
    return rc ? rc : refused;
}

int lc_pg_run_many(lc_pg_link *link, const lc_pg_statement *const *statements, const lc_pg_values *values,
                   size_t count, int64_t until_ms, PGresult **results, llmcache_error *err)
{
    int rc = 0;
    memset(results, 0, count * sizeof *results);
    for (size_t i = 0; i < count && !rc; i++)
        rc = prepare(link, statements[i], until_ms, err);
    if (rc)
        return rc;
    if (!PQenterPipelineMode(link->conn))
        return broken(link, err);
    for (size_t i = 0; i < count && !rc; i++)
        rc = send_one(link, statements[i], &values[i], err);
    if (!rc && !PQpipelineSync(link->conn))
        rc = broken(link, err);
    if (!rc)
        rc = flush(link, until_ms, err);
    if (!rc)
        rc = collect_many(link, count, until_ms, results, err);
    if ((!rc || rc == LLMCACHE_STORE) && !PQexitPipelineMode(link->conn))
        rc = broken(link, err);
    for (size_t i = 0; rc && i < count; i++) {
        PQclear(results[i]);
        results[i] = NULL;
    }
    return rc;
}

int lc_pg_script(lc_pg_link *link, const char *sql, int64_t until_ms, llmcache_error *err)
{
    PGresult *result = NULL;
    int refused = 0;
    if (!PQsendQuery(link->conn, sql))
        return broken(link, err);
    int rc = flush(link, until_ms, err);
    while (!rc && !(rc = next(link, until_ms, &result, err)) && result) {
        if (!refused)
            refused = complaint(link, result, err);
        PQclear(result);
    }
    return rc ? rc : refused;
}

int lc_pg_await(lc_pg_link *link, int64_t until_ms, PGnotify **notify, llmcache_error *err)
{
    while (!(*notify = PQnotifies(link->conn))) {
        int rc = wait_for(link, POLLIN, until_ms, err);
        if (rc)
            return rc;
        if (!PQconsumeInput(link->conn))
            return broken(link, err);
    }
    return 0;
}
