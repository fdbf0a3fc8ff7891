/*
 * The header fields this server looks at, each found once per request. All others are
 * passed on unread.
 */
#ifndef FIELDS_H
#define FIELDS_H

#include <civetweb.h>

enum {
    FIELD_SINGLE =
        1, /* twice is an error: which of the two would count is anybody's guess */
    FIELD_STAYS =
        2 /* belongs to this connection, or was undone here: it does not go on */
};

/* X(NAME, "name", flags) */
#define FIELDS(X)                                                         \
    X(ACCEPT_ENCODING, "accept-encoding", FIELD_STAYS)                    \
    X(ACCESS_CONTROL_REQUEST_HEADERS, "access-control-request-headers", 0) \
    X(ACCESS_CONTROL_REQUEST_METHOD, "access-control-request-method", 0)   \
    X(API_KEY, "api-key", FIELD_SINGLE)                                   \
    X(AUTHORIZATION, "authorization", FIELD_SINGLE)                       \
    X(CONNECTION, "connection", FIELD_STAYS)                              \
    X(CONTENT_ENCODING, "content-encoding", FIELD_SINGLE | FIELD_STAYS)   \
    X(CONTENT_LENGTH, "content-length", FIELD_SINGLE | FIELD_STAYS)       \
    X(CONTENT_TYPE, "content-type", FIELD_SINGLE)                         \
    X(EXPECT, "expect", FIELD_SINGLE | FIELD_STAYS)                       \
    X(FORWARDED, "forwarded", 0)                                          \
    X(HOST, "host", FIELD_SINGLE | FIELD_STAYS)                           \
    X(HTTP2_SETTINGS, "http2-settings", FIELD_STAYS)                      \
    X(KEEP_ALIVE, "keep-alive", FIELD_STAYS)                              \
    X(ORIGIN, "origin", 0)                                                \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", FIELD_STAYS)              \
    X(PROXY_AUTHORIZATION, "proxy-authorization", FIELD_STAYS)            \
    X(PROXY_CONNECTION, "proxy-connection", FIELD_STAYS)                  \
    X(TE, "te", FIELD_STAYS)                                              \
    X(TRAILER, "trailer", FIELD_STAYS)                                    \
    X(TRANSFER_ENCODING, "transfer-encoding", FIELD_SINGLE | FIELD_STAYS) \
    X(UPGRADE, "upgrade", FIELD_STAYS)                                    \
    X(VIA, "via", 0)                                                      \
    X(X_ADMIN_KEY, "x-admin-key", FIELD_SINGLE | FIELD_STAYS)             \
    X(X_API_KEY, "x-api-key", FIELD_SINGLE)                               \
    X(X_FORWARDED_FOR, "x-forwarded-for", 0)                              \
    X(X_REAL_IP, "x-real-ip", 0)

typedef enum field_name {
#define FIELD_ENUM(name, text, flags) FIELD_##name,
    FIELDS(FIELD_ENUM)
#undef FIELD_ENUM
        FIELD_COUNT /* any other */
} field_name;

typedef struct header_fields {
    const char *value[FIELD_COUNT]; /* NULL when absent; the first when there are more */
    unsigned char kind[MG_MAX_HEADERS]; /* field_name of each header */
    int doubled;                        /* a FIELD_SINGLE one comes twice */
} header_fields;

void fields_find(header_fields *fields, const struct mg_request_info *info);
int field_stays(field_name name);

#endif
