/* What a body says to the cache itself, and which of its fields shape no answer. */
#ifndef LC_PROTOCOL_CONTROLS_H
#define LC_PROTOCOL_CONTROLS_H

#include "protocol/json_tree.h"
#include "protocol/protocol.h"

/* The body's `cache` when it is LiteLLM's object, NULL otherwise (then it is the
 * service's business). */
lc_tree *lc_controls_find(const lc_tree *body);

/* LLMCACHE_MEMORY. A control that makes no sense is ignored; one that says "no" in any
 * way is obeyed. */
int lc_controls_read(const lc_tree *cache, lc_body_controls *controls);

/* Does this member of the body belong into the key? */
int lc_member_counts(const lc_tree *member, unsigned key_fields);

#endif
