/*
 * An answer of the Responses interface repeats fields of its request that are in no key. When it was made
 * for somebody else's, the caller gets a copy with their own, for this reply only.
 */
#include "ask/cache.h"

#include "protocol/echo.h"

int lc_take_echo(lc_job *job)
{
    lc_buffer body;
    int changed = 0;
    if (job->protocol != LC_PROTOCOL_RESPONSES || !job->has_question || !job->entry)
        return 0;
    lc_buffer_init(&body, 0);
    if (lc_echo_write(job->request->body, job->request->body_size, job->entry->facts.body,
                      job->entry->facts.body_size, &body, &changed, NULL) == 0 &&
        changed) {
        llmcache_entry facts = job->entry->facts;
        facts.body = body.data;
        facts.body_size = body.size;
        lc_entry *own = lc_entry_new(&facts);
        if (own) {
            lc_entry_unref(job->entry);
            job->entry = own;
        }
    }
    lc_buffer_done(&body);
    return changed;
}
