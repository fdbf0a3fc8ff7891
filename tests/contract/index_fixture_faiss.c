/* The suite over FAISS, by its own exact index, so that nothing but what is around it can be wrong: */
#include "index_fixture.h"

const index_fixture index_fixture_used = {.uri = "faiss:Flat?from=200", .recall = 1};
