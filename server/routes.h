/* The one table of what the server answers: see routes.c. */
#ifndef ROUTES_H
#define ROUTES_H

#include "exchange.h"

typedef enum route_access { FOR_ANYONE, FOR_ADMIN } route_access;

typedef struct route {
    const char *method; /* "*" for any */
    const char *path;   /* exact, or a prefix that ends with "*" */
    void (*handle)(exchange *x);
    route_access access;
    const char *summary; /* for /openapi.json */
    const char *body;    /* JSON schema of the request's body, NULL for none */
} route;

/* Ends with a row of NULL. */
extern const route routes[];

/* Finds the handler and calls it; otherwise 404, 405 with Allow, 401 or 403. */
void routes_serve(exchange *x);

/* ---- Handlers ------------------------------------------------------------------- */

void handle_ask(exchange *x);    /* handle_ask.c */
void handle_call(exchange *x);   /* handle_call.c */
void handle_health(exchange *x); /* handle_state.c */
void handle_livez(exchange *x);
void handle_readyz(exchange *x);
void handle_metrics(exchange *x);
void handle_metrics_json(exchange *x);
void handle_entries(exchange *x); /* handle_cache.c */
void handle_lint(exchange *x);
void handle_entry(exchange *x);
void handle_remove(exchange *x);
void handle_purge(exchange *x);
void handle_feedback(exchange *x); /* handle_observations.c */
void handle_observations(exchange *x);
void handle_policy(exchange *x); /* handle_policy.c */
void handle_policy_state(exchange *x);
void handle_policy_set(exchange *x);
void handle_judge(exchange *x); /* handle_judge.c */
void handle_rebuild(exchange *x);
void handle_explain(exchange *x); /* handle_explain.c */
void handle_openapi(exchange *x); /* openapi.c */

/* The OpenAPI document of the table; free() it. NULL for want of memory. */
char *openapi_document(void);

#endif
