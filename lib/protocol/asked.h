/* What a request's user asked last, and whether that may be matched by meaning. */
#ifndef LC_PROTOCOL_ASKED_H
#define LC_PROTOCOL_ASKED_H

#include "protocol/json_tree.h"
#include "protocol/protocol.h"

typedef struct lc_asked {
    /*
     * The user's last words: a string, or an array of nothing but text parts with at
     * least one; NULL when there is neither.
     */
    lc_tree *content;
    int trim;            /* white space around it says nothing */
    const char *why_not; /* not to be matched by meaning; NULL when it may be */
} lc_asked;

lc_asked lc_asked_find(lc_protocol protocol, const lc_tree *body);

/* The string of a text part (or of the content itself); NULL behind the last one. */
lc_tree *lc_asked_first(const lc_asked *asked, lc_tree **part);
lc_tree *lc_asked_next(lc_tree **part);

/* Why the exact cache must leave the request alone ("background", ...); NULL when it need
 * not. */
const char *lc_asked_uncacheable(lc_protocol protocol, const lc_tree *body);

#endif
