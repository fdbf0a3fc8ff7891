/* FAISS behind plain C: see faiss_shim.h. */
#include "index/faiss_shim.h"

extern "C" {
#include "base/error.h"
}

#include <faiss/AutoTune.h>
#include <faiss/IVFlib.h>
#include <faiss/IndexHNSW.h>
#include <faiss/IndexIVF.h>
#include <faiss/index_factory.h>

#include <algorithm>
#include <exception>
#include <memory>
#include <new>
#include <omp.h>
#include <vector>

struct lc_faiss {
    std::unique_ptr<faiss::Index> index;
};

namespace {

constexpr size_t training_least = 40;   /* a centre; FAISS itself warns below 39 */
constexpr size_t training_useful = 64;  /* a centre: enough for lists, and training stays short */
constexpr size_t training_others = 10000; /* quantisers without lists */

/* FAISS's threads are for its own callers, who ask one question at a time; ours are many. */
class one_thread {
public:
    one_thread() : before(omp_get_max_threads()) { omp_set_num_threads(1); }
    ~one_thread() { omp_set_num_threads(before); }

private:
    int before;
};

/* Runs `work`; what it throws becomes an error. */
template <typename Work> int guarded(int code, llmcache_error *err, Work work)
{
    try {
        one_thread here;
        work();
        return 0;
    } catch (const std::bad_alloc &) {
        return lc_fail_memory(err);
    } catch (const std::exception &e) {
        return lc_fail(err, code, "index: FAISS: %.180s", e.what());
    } catch (...) {
        return lc_fail(err, code, "index: FAISS failed");
    }
}

faiss::IndexIVF *lists_of(faiss::Index *index)
{
    return faiss::ivflib::try_extract_index_ivf(index);
}

} // namespace

int lc_faiss_new(const char *factory, const char *search, size_t dimension, lc_faiss **faiss,
                 llmcache_error *err)
{
    return guarded(LLMCACHE_SETTING, err, [&] {
        std::unique_ptr<lc_faiss> made(new lc_faiss);
        made->index.reset(faiss::index_factory((int)dimension, factory, faiss::METRIC_INNER_PRODUCT));
        if (faiss::IndexIVF *lists = lists_of(made->index.get())) {
            lists->cp.min_points_per_centroid = 1; /* it would print a warning */
            lists->cp.max_points_per_centroid = (int)training_useful;
            lists->nprobe = std::max<size_t>(8, lists->nlist / 16);
        }
        if (*search)
            faiss::ParameterSpace().set_index_parameters(made->index.get(), search);
        *faiss = made.release();
    });
}

void lc_faiss_free(lc_faiss *faiss)
{
    delete faiss;
}

size_t lc_faiss_training(const lc_faiss *faiss, size_t *useful)
{
    *useful = 0;
    if (faiss->index->is_trained)
        return 0;
    const faiss::IndexIVF *lists = lists_of(faiss->index.get());
    *useful = lists ? std::max(lists->nlist * training_useful, training_others) : training_others;
    return lists ? lists->nlist * training_least : training_others;
}

int lc_faiss_train(lc_faiss *faiss, const float *vectors, size_t count, llmcache_error *err)
{
    return guarded(LLMCACHE_UNSUPPORTED, err, [&] { faiss->index->train((int64_t)count, vectors); });
}

int lc_faiss_add(lc_faiss *faiss, const float *vectors, size_t count, llmcache_error *err)
{
    return guarded(LLMCACHE_UNSUPPORTED, err, [&] { faiss->index->add((int64_t)count, vectors); });
}

int lc_faiss_search(const lc_faiss *faiss, const float *query, size_t k, float *similarities,
                    int64_t *labels, size_t *found, llmcache_error *err)
{
    return guarded(LLMCACHE_UNSUPPORTED, err, [&] {
        std::vector<int64_t> ids(k);
        size_t count = 0;
        faiss->index->search(1, query, (int64_t)k, similarities, ids.data());
        for (size_t i = 0; i < k; i++) {
            if (ids[i] < 0)
                continue;
            similarities[count] = similarities[i];
            labels[count++] = ids[i];
        }
        *found = count;
    });
}

size_t lc_faiss_bytes(const lc_faiss *faiss)
{
    size_t row = sizeof(float) * (size_t)faiss->index->d, count = (size_t)faiss->index->ntotal;
    if (lists_of(faiss->index.get()))
        row = lists_of(faiss->index.get())->code_size + sizeof(int64_t);
    else if (const auto *graph = dynamic_cast<const faiss::IndexHNSW *>(faiss->index.get()))
        return count * row + graph->hnsw.neighbors.size() * sizeof(graph->hnsw.neighbors[0]);
    return count * row;
}
