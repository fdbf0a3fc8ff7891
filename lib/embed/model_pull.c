/* Which source a name means, and the working folders of both. */
#include "embed/model_pull.h"

#include "base/buffer.h"
#include "base/error.h"
#include "base/memory.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define OPEN_FOLDERS 16

int lc_pull_folder(const char *setting, const char *name, char **path,
                   llmcache_error *err)
{
    lc_model_draft draft; /* for its making of the models folder */
    lc_buffer made;
    int rc = lc_model_draft_new(setting, &draft, err);
    if (rc)
        return rc;
    lc_buffer_init(&made, 0);
    if (lc_buffer_format(&made, "%s/%s", draft.folder, name))
        rc = lc_fail_memory(err);
    else if (mkdir(made.data, 0777) && errno != EEXIST)
        rc = lc_fail(err, LLMCACHE_IO, "cannot make folder %s: %s", made.data,
                     strerror(errno));
    if (rc == 0)
        *path = lc_buffer_take(&made, NULL);
    lc_buffer_done(&made);
    lc_model_draft_done(&draft);
    return rc;
}

static int remove_one(const char *path, const struct stat *about, int kind,
                      struct FTW *where)
{
    (void)about;
    (void)kind;
    (void)where;
    return remove(path);
}

void lc_pull_remove(const char *path)
{
    nftw(path, remove_one, OPEN_FOLDERS, FTW_DEPTH | FTW_PHYS);
}

static int unknown(const char *name, llmcache_error *err)
{
    lc_buffer names;
    const lc_model_row *row;
    lc_buffer_init(&names, 0);
    for (size_t i = 0; (row = lc_model_row_at(i)); i++)
        lc_buffer_format(&names, "%s%s", i ? ", " : "", row->name);
    int rc = lc_fail(
        err, LLMCACHE_NOT_FOUND,
        "no model is known as %.60s; known are %s; a repository is named owner/name",
        name, names.broken ? "others" : names.data);
    lc_buffer_done(&names);
    return rc;
}

/* The table's facts, where the caller has none of its own. */
static lc_import_options from_row(const lc_model_row *row, lc_import_options import)
{
    import.name = import.name ? import.name : row->name;
    import.source = row->source;
    import.notice = row->notice;
    import.languages = row->languages;
    import.license = import.license ? import.license : row->license;
    import.sha256 = import.sha256 ? import.sha256 : row->sha256;
    import.threshold = import.threshold > 0 ? import.threshold : row->threshold;
    return import;
}

int lc_model_pull(const char *name, const lc_pull_options *options, lc_model_file *placed,
                  llmcache_error *err)
{
    name = name ? name : "";
    if (strchr(name, '/'))
        return lc_pull_repository(name, options, placed, err);
    const lc_model_row *row = *name ? lc_model_row_of(name) : lc_model_row_at(0);
    if (!row)
        return unknown(name, err);
    lc_import_options import = from_row(row, options->import);
    if (!options->again &&
        lc_model_find(import.setting, import.name, 1, placed, NULL) == 0)
        return 0;
    return lc_pull_package(row, &import, placed, err);
}
