/* What the CPU says of itself. By its own word and not by ifunc: those run before the sanitizers are up, and no test can
 * override them. */
#ifndef LC_BASE_CPU_H
#define LC_BASE_CPU_H

int lc_cpu_has_avx512(void);      /* F, BW, VL and VNNI */
int lc_cpu_has_avxvnni(void);     /* VNNI of 256 bits, AVX2 and FMA */
int lc_cpu_has_avx2(void);        /* AVX2 and FMA */
int lc_cpu_has_dot_product(void); /* NEON's, of 8 bits */
int lc_cpu_always(void);          /* for what runs on any */

#endif
