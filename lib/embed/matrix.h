/*
 * A matrix of weights made ready for the kernels: int8 by default, float as the
 * reference.
 *
 * Its memory is the caller's, so that one block can hold all matrices of a model in the
 * order of their use (the kernels fetch ahead past a matrix's end). Set-up:
 * lc_matrix_shape, then lc_matrix_place, then lc_matrix_set_row for every output;
 * afterwards it is only read, by any number of threads.
 */
#ifndef LC_EMBED_MATRIX_H
#define LC_EMBED_MATRIX_H

#include "embed/kernels.h"

#include <stddef.h>

typedef enum lc_precision { LC_INT8, LC_FLOAT } lc_precision;

typedef struct lc_matrix {
    const lc_kernels *kernels;
    lc_precision precision;
    size_t inputs, outputs; /* as the model has them */
    lc_packed
        packed; /* with padded sizes; codes and their numbers unset where LC_FLOAT */
    float
        *floats; /* LC_FLOAT: panels of kernels->float_panel outputs, inputs x outputs */
} lc_matrix;

/* Weights and all else: bytes a matrix needs of each, both multiples of 64. */
typedef struct lc_matrix_room {
    size_t weights;
    size_t numbers;
} lc_matrix_room;

lc_matrix_room lc_matrix_shape(lc_matrix *matrix, const lc_kernels *kernels,
                               lc_precision precision, size_t inputs, size_t outputs);

/* Both aligned to 64. */
void lc_matrix_place(lc_matrix *matrix, void *weights, void *numbers);

/*
 * Sets one output's weights, `inputs` of them, and its bias. -1 when they are not all
 * finite. Different outputs may be set by different threads.
 */
int lc_matrix_set_row(lc_matrix *matrix, size_t output, const float *row, float bias);

/* What lc_matrix_apply needs for `rows` rows: bytes of codes, and one range a row. */
size_t lc_matrix_code_bytes(const lc_matrix *matrix, size_t rows);

/*
 * y = x * weights + bias, row by row; a row of y is lc_matrix_stride floats, of which the
 * first `outputs` mean something. Each row's result is the same whatever the others are.
 */
void lc_matrix_apply(const lc_matrix *matrix, lc_rows x, size_t rows, void *codes,
                     lc_code_range *ranges, float *y);
size_t lc_matrix_stride(const lc_matrix *matrix);

#endif
