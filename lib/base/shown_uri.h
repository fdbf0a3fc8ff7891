/* URIs as people may see them: with *** for their secrets. Pure. */
#ifndef LC_BASE_SHOWN_URI_H
#define LC_BASE_SHOWN_URI_H

/*
 * Hidden are the password in front of the host, and the values of password, sslpassword and sentinel_password behind the
 * question mark. NULL in *shown when there is none; else free it with lc_free. LLMCACHE_MEMORY.
 */
int lc_shown_uri(const char *uri, char **shown);

#endif
