/* The suite over the flat index: */
#include "index_fixture.h"

const index_fixture index_fixture_used = {.uri = "flat:", .recall = 1};
