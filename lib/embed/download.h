/*
 * Fetching a file over HTTP into a file: redirects are followed (from https to https
 * only), an interrupted download goes on where it stopped, and the hash that the service
 * states is compared.
 */
#ifndef LC_EMBED_DOWNLOAD_H
#define LC_EMBED_DOWNLOAD_H

#include "embed/model_folder.h"
#include "net/http.h"

typedef struct lc_download {
    lc_http *http;
    const char *url;
    const char *path; /* of the finished file; PATH.part until then */
    uint64_t max_bytes;
    const lc_ticker *ticker;
} lc_download;

/*
 * LLMCACHE_NOT_FOUND: the service has no such file. LLMCACHE_UPSTREAM: another status.
 * LLMCACHE_NETWORK and _TIMEOUT leave what has come for the next time. LLMCACHE_CORRUPT:
 * not the bytes that the service promised; nothing is left.
 */
int lc_download_file(const lc_download *download, llmcache_error *err);

#endif
