/* /openapi.json, made from the route table, so that it cannot say anything else than the
 * server does. */
#include "json_memory.h"
#include "routes.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A path that ends in a star: the star is the {id} of an entry, or the rest of the
 * {path}. */
static json_t *public_path(const char *path)
{
    size_t size = strlen(path);
    if (path[size - 1] != '*')
        return json_string(path);
    const char *name = strncmp(path, "/cache/", 7) == 0 ? "{id}" : "{path}";
    return json_sprintf("%.*s%s", (int)(size - 1), path, name);
}

static json_t *parameters(const route *row)
{
    if (row->path[strlen(row->path) - 1] != '*')
        return NULL;
    const char *name = strncmp(row->path, "/cache/", 7) == 0 ? "id" : "path";
    return json_pack("[{s:s, s:s, s:b, s:{s:s}}]", "name", name, "in", "path", "required",
                     1, "schema", "type", "string");
}

static json_t *operation(const route *row)
{
    json_t *value =
        json_pack("{s:s, s:{s:{s:s}, s:{s:s}}}", "summary", row->summary, "responses",
                  "200", "description", "OK", "default", "description", "an error");
    json_t *list = parameters(row);
    if (list)
        json_object_set_new(value, "parameters", list);
    if (row->body)
        json_object_set_new(value, "requestBody",
                            json_pack("{s:b, s:{s:{s:o}}}", "required", 1, "content",
                                      "application/json", "schema",
                                      json_loads(row->body, 0, NULL)));
    if (row->access == FOR_ADMIN)
        json_object_set_new(value, "security", json_pack("[{s:[]}]", "adminKey"));
    return value;
}

/* Adds the row under its path; "*" stands for each method a client might use. */
static void add_row(json_t *paths, const route *row)
{
    static const char *const any[] = {"get", "post", "put", "patch", "delete", NULL};
    const char *own[] = {strcmp(row->method, "GET") == 0      ? "get"
                         : strcmp(row->method, "DELETE") == 0 ? "delete"
                                                              : "post",
                         NULL};
    json_t *name = public_path(row->path);
    json_t *item = json_object_get(paths, json_string_value(name));
    if (!item) {
        json_object_set_new(paths, json_string_value(name), json_object());
        item = json_object_get(paths, json_string_value(name));
    }
    for (const char *const *method = strcmp(row->method, "*") == 0 ? any : own; *method;
         method++)
        json_object_set_new(item, *method, operation(row));
    json_decref(name);
}

char *openapi_document(void)
{
    json_t *paths = json_object();
    for (const route *row = routes; row->path; row++)
        add_row(paths, row);
    json_t *document = json_pack(
        "{s:s, s:{s:s, s:s, s:s}, s:{s:{s:{s:s, s:s}}}, s:o}", "openapi", "3.1.0", "info",
        "title", "llmcache-server", "version", llmcache_version(), "description",
        "A response cache for language models, as a drop-in for their services.",
        "components", "securitySchemes", "adminKey", "type", "http", "scheme", "bearer",
        "paths", paths);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (!json_memory_failed())
        return text;
    free(text);
    return NULL;
}

void handle_openapi(exchange *x)
{
    const char *text = x->server->openapi;
    reply_send(x, 200, "application/json", NULL, text, strlen(text));
}
