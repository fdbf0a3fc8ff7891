/* libcurl's own process-wide start. */
#ifndef LC_NET_CURL_START_H
#define LC_NET_CURL_START_H

#include <llmcache/llmcache.h>

/* Starts libcurl once a process, whoever comes first; cheap afterwards. */
int lc_curl_start(llmcache_error *err);

#endif
