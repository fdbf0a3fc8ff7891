/* Closing, the same for every kind. */
#include "provider/provider.h"

void lc_provider_close(lc_provider *provider)
{
    if (provider->ops.close)
        provider->ops.close(provider->self);
    *provider = (lc_provider){0};
}
