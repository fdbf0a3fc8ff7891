/*
 * Canonical composition (NFC, Unicode Standard Annex #15) of text of any length in
 * pieces: reads code points up to one with which NFC may start afresh. Bytes that are not
 * UTF-8 become U+FFFD.
 */
#ifndef LC_EMBED_NFC_H
#define LC_EMBED_NFC_H

#include "embed/gguf.h"

#define LC_NFC_PIECE 4096 /* bytes one call may write */

/* Takes the next piece off *from and writes it composed; bytes written, 0 when nothing is
 * left. */
size_t lc_nfc_next(lc_span *from, char out[LC_NFC_PIECE]);

#endif
