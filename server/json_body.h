/*
 * JSON bodies of our own endpoints, field by field. What is wrong is answered with 422
 * and names the field; fields nobody asks for are ignored; null counts as absent.
 */
#ifndef JSON_BODY_H
#define JSON_BODY_H

#include "exchange.h"

#include <jansson.h>

typedef struct json_body {
    exchange *x;
    json_t *root; /* an object */
    int refused;  /* the 422 has been sent; what follows asks in vain */
    char tags[512];
} json_body;

/* 0, or -1 after an error reply; then there is nothing to be done with. */
int json_body_read(exchange *x, json_body *body);
void json_body_done(json_body *body);

/* Each returns the value or, when absent or refused, `absent`. Strings live as long as
 * the body. */
const char *json_body_text(json_body *body, const char *name, const char *absent);
int json_body_flag(json_body *body, const char *name, int absent);
double json_body_number(json_body *body, const char *name, double low, double high,
                        double absent);

/* A member's bytes as they came, numbers digit by digit; NULL when there is none. */
const char *json_body_raw(const json_body *body, const char *name, size_t *size);

/* Sends the 422 unless one was sent. Returns -1. */
int json_body_refuse(json_body *body, const char *name, const char *code,
                     const char *message);

/* A question and how it is to be treated. 0, or -1 after an error reply. */
int json_body_question(json_body *body, const char **question,
                       llmcache_ask_options *options);

#endif
