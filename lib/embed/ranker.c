#include "embed/ranker.h"

#include "base/error.h"
#include "base/memory.h"
#include "embed/local_model.h"

#include <string.h>

struct lc_ranker {
    lc_local_model *model;
};

int lc_ranker_open(const char *folder, const char *name, lc_ranker **ranker,
                   llmcache_error *err)
{
    lc_ranker *made = lc_zalloc(sizeof *made);
    if (!made)
        return lc_fail_memory(err);
    int rc = lc_local_model_open(folder, name, LC_INT8, &made->model, err);
    if (!rc && !lc_local_model_facts(made->model)->ranks)
        rc = lc_fail(err, LLMCACHE_UNSUPPORTED,
                     "model %s makes vectors, it judges no pairs",
                     lc_local_model_file(made->model)->name);
    if (rc)
        lc_ranker_close(made);
    else
        *ranker = made;
    return rc;
}

void lc_ranker_close(lc_ranker *ranker)
{
    if (ranker)
        lc_local_model_close(ranker->model);
    lc_free(ranker);
}

int lc_ranker_score(lc_ranker *ranker, const char *left, const char *right, float *score,
                    llmcache_error *err)
{
    lc_local_model *model = ranker->model;
    lc_workspace *workspace;
    int rc = lc_workspace_borrow(model, &workspace, err);
    if (rc)
        return rc;
    lc_workspace_read_pair(model, workspace, 0, (lc_span){left, strlen(left)},
                           (lc_span){right, strlen(right)});
    rc = lc_workspace_judge(model, workspace, 0, err);
    if (!rc)
        rc = lc_encoder_score(lc_local_model_encoder(model), workspace->encoder,
                              workspace->texts, 1, score, err);
    lc_workspace_return(model, workspace);
    return rc;
}
