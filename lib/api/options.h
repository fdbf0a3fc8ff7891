/* What llmcache_options holds: settings, and what the program brought along. */
#ifndef LC_API_OPTIONS_H
#define LC_API_OPTIONS_H

#include "ask/cache.h"

struct llmcache_options {
    lc_settings settings;
    lc_brought brought;
};

#endif
