/*
 * Carat from C, and from every language that can call C.
 *
 *     char* error = NULL;
 *     carat_model* model = carat_model_open("opal.gguf", 2, &error);
 *     if (!model) { fprintf(stderr, "%s\n", error); carat_string_free(error); return 1; }
 *     int32_t ids[64];
 *     int64_t n = carat_model_encode(model, "Once upon a time", 16, ids, 64);
 *     carat_session* session = carat_session_open(model, NULL, &error);
 *     carat_session_prefill(session, ids, n, &error);
 *     int32_t id;
 *     while (carat_session_next(session, &id, &error) == CARAT_OK && !carat_model_ends(model, id)) { ... }
 *     carat_session_free(session);
 *     carat_model_free(model);
 *
 * Conventions:
 *   1. Structs are opaque. What a function named _open returns is freed by the function named _free; NULL may be freed.
 *   2. Text is UTF-8, a pointer with a length in bytes. A path ends with a zero byte.
 *   3. A function that can fail takes `char** error`. On failure it stores a message for people there, to be freed with
 *      carat_string_free, and returns NULL or a code; on success it leaves it alone. `error` may be NULL.
 *   4. A function that fills an array takes its capacity, writes no more than fits, and returns how many there are,
 *      or -1 when there is no memory.
 *   5. A session must not outlive its model. One model serves one session call at a time; two models are independent.
 *   6. Calls block until they are done. No call prints, exits or throws.
 */
#ifndef CARAT_CARAT_H_
#define CARAT_CARAT_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct carat_model carat_model;
typedef struct carat_session carat_session;

/* The codes are the exit codes of the program. */
enum { CARAT_OK = 0, CARAT_FAILED = 1, CARAT_WRONG_USAGE = 2, CARAT_REFUSED = 3, CARAT_INTERRUPTED = 130 };

/* Added to the logit of an id; minus infinity bans it. */
typedef struct {
  int32_t id;
  float value;
} carat_logit_bias;

/* How tokens are picked; docs/sampling.md has the order and the ranges. A session opened with NULL takes the model's
 * own defaults and seed 0. Zero turns off everything from min_p on. */
typedef struct {
  int64_t context;   /* most positions; 0: the model's own */
  float temperature; /* 0 picks the most likely token */
  int32_t top_k;     /* 0 keeps all tokens */
  float top_p;       /* 1 keeps all tokens */
  uint64_t seed;
  float min_p;
  float repetition_penalty; /* 1 or 0: off */
  float presence_penalty;
  float frequency_penalty;
  int32_t penalty_window;             /* the penalties look at that many of the last ids; 0: 64, -1: all */
  const carat_logit_bias* logit_bias; /* read when the session is opened */
  int64_t logit_bias_count;
  const char* cache_type; /* how keys and values are kept: "f32", "f16", "q8_0", "q4_0", "int8"; NULL: as the model
                           * was trained, which is "int8" in the mobile format and "f32" otherwise */
} carat_session_options;

/* Opens a GGUF file or a HuggingFace folder. `threads` of 0 takes all cores. */
carat_model* carat_model_open(const char* path, int32_t threads, char** error);
void carat_model_free(carat_model* model);

int32_t carat_model_vocabulary_size(const carat_model* model);

/* Whether `id` ends a generation. */
int32_t carat_model_ends(const carat_model* model, int32_t id);

/* Ids of a text, after the id that stands in front of every text. No text yields a control id. */
int64_t carat_model_encode(const carat_model* model, const char* text, int64_t length, int32_t* ids, int64_t capacity);

/* Text of ids, which must be of the vocabulary; bytes that make no character become U+FFFD. */
int64_t carat_model_decode(const carat_model* model, const int32_t* ids, int64_t count, char* text, int64_t capacity);

carat_session* carat_session_open(carat_model* model, const carat_session_options* options, char** error);
void carat_session_free(carat_session* session);

/* Appends ids to what the session has seen. Nothing is appended when it fails. */
int32_t carat_session_prefill(carat_session* session, const int32_t* ids, int64_t count, char** error);

/* Picks the next id and appends it. */
int32_t carat_session_next(carat_session* session, int32_t* id, char** error);

/* How many ids the session has seen; one that carat_session_next gave last is not among them yet. */
int64_t carat_session_position(const carat_session* session);

/* Forgets what the session has seen from `position` on, and the id that carat_session_next gave last. Wrong usage: a
 * position that it has not reached. */
int32_t carat_session_rewind(carat_session* session, int64_t position, char** error);

void carat_string_free(char* text);

#ifdef __cplusplus
}
#endif

#endif
