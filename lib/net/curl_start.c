/*
 * One-time start of libcurl. It is never undone: the program around us may use libcurl too, and its
 * global state is small and belongs to the process.
 *
 * OpenSSL, below it, would tear its tables down when the process exits, under the feet of threads that
 * are connecting: a program that exits without closing its cache would crash at its end. So it is told
 * not to, unless somebody started it before us.
 */
#include "net/curl_start.h"

#include "base/error.h"

#include <curl/curl.h>
#include <openssl/crypto.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static CURLcode result;

static void start(void)
{
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
    result = curl_global_init(CURL_GLOBAL_DEFAULT);
}

int lc_curl_start(llmcache_error *err)
{
    pthread_once(&once, start);
    if (result == CURLE_OK)
        return 0;
    return lc_fail(err, LLMCACHE_NETWORK, "libcurl could not start: %s",
                   curl_easy_strerror(result));
}
