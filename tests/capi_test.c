/* In C, which proves that the header is. Takes the path of a model; exits with 0 when all holds. */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "carat/carat.h"

static int failures = 0;

static void expect(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "does not hold: %s\n", what);
  ++failures;
}

/* Feeds a prompt and generates; returns how many ids there are. */
static int generate(carat_model* model, const carat_session_options* options, int32_t* out, int most) {
  int32_t prompt[32];
  char* error = NULL;
  const int64_t count = carat_model_encode(model, "the other", 9, prompt, 32);
  carat_session* session = carat_session_open(model, options, &error);
  int generated = 0;
  expect(session != NULL, "a session opens");
  expect(carat_session_prefill(session, prompt, count, &error) == CARAT_OK, "a prompt is taken");
  while (generated < most && carat_session_next(session, &out[generated], &error) == CARAT_OK) ++generated;
  carat_session_free(session);
  return generated;
}

static void check_errors(carat_model* model) {
  char* error = NULL;
  expect(carat_model_open("no such file.gguf", 1, &error) == NULL, "a missing file is refused");
  expect(error != NULL && strstr(error, "no such file.gguf") != NULL, "the message names the file");
  carat_string_free(error);
  expect(carat_model_open("no such file.gguf", 1, NULL) == NULL, "the message may be left out");

  carat_session* session = carat_session_open(model, NULL, NULL);
  const int32_t outside = carat_model_vocabulary_size(model);
  expect(carat_session_prefill(session, &outside, 1, NULL) == CARAT_WRONG_USAGE, "an unknown id is wrong usage");
  expect(carat_session_prefill(session, &outside, 0, NULL) == CARAT_WRONG_USAGE, "an empty prompt is wrong usage");
  carat_session_free(session);

  const carat_session_options negative = {.temperature = -1.0f, .top_p = 1.0f};
  error = NULL;
  expect(carat_session_open(model, &negative, &error) == NULL && error != NULL, "a negative temperature is refused");
  carat_string_free(error);
  const carat_session_options strange = {.top_p = 1.0f, .cache_type = "q3"};
  expect(carat_session_open(model, &strange, NULL) == NULL, "an unknown type of cache is refused");
}

static void check_sampling(carat_model* model) {
  int32_t free_ids[12], banned[12], penalized[12];
  carat_session_options options = {.context = 64, .top_p = 1.0f};
  expect(generate(model, &options, free_ids, 12) == 12, "ids are generated");
  const carat_logit_bias ban = {free_ids[0], -INFINITY};
  options.logit_bias = &ban;
  options.logit_bias_count = 1;
  expect(generate(model, &options, banned, 12) == 12, "ids are generated with a ban");
  for (int i = 0; i < 12; ++i) expect(banned[i] != free_ids[0], "a banned id does not come");
  options.logit_bias_count = 0;
  options.frequency_penalty = 2.0f;
  options.penalty_window = -1;
  options.cache_type = "f16";
  expect(generate(model, &options, penalized, 12) == 12, "ids are generated with a penalty");
}

static void check_rewind(carat_model* model) {
  int32_t prompt[32], first, again;
  const int64_t count = carat_model_encode(model, "the other", 9, prompt, 32);
  carat_session_options options = {.context = 64, .top_p = 1.0f};
  carat_session* session = carat_session_open(model, &options, NULL);
  expect(carat_session_prefill(session, prompt, count, NULL) == CARAT_OK, "a prompt is taken");
  expect(carat_session_next(session, &first, NULL) == CARAT_OK, "an id follows");
  expect(carat_session_next(session, &again, NULL) == CARAT_OK, "and another");
  expect(carat_session_position(session) == count + 1, "the id before the last one was seen");
  expect(carat_session_rewind(session, count, NULL) == CARAT_OK, "the session goes back");
  expect(carat_session_position(session) == count, "to where it was");
  expect(carat_session_next(session, &again, NULL) == CARAT_OK && again == first, "and goes on as before");
  expect(carat_session_rewind(session, count + 1, NULL) == CARAT_WRONG_USAGE, "it does not go forward");
  expect(carat_session_rewind(session, -1, NULL) == CARAT_WRONG_USAGE, "nor before the beginning");
  carat_session_free(session);
}

static void check_text(carat_model* model) {
  const char text[] = "the other hand, caf\xc3\xa9";
  int32_t ids[64], few[2];
  char back[64];
  const int64_t count = carat_model_encode(model, text, (int64_t)strlen(text), ids, 64);
  expect(count > 2 && count <= 64, "a text has ids");
  expect(carat_model_encode(model, text, (int64_t)strlen(text), few, 2) == count, "the count does not depend on the capacity");
  expect(few[0] == ids[0] && few[1] == ids[1], "what fits is written");
  const int64_t length = carat_model_decode(model, ids, count, back, 64);
  expect(length == (int64_t)strlen(text) && memcmp(back, text, (size_t)length) == 0, "the text comes back");
}

int main(int argc, char** argv) {
  char* error = NULL;
  if (argc != 2) return 2;
  carat_model* model = carat_model_open(argv[1], 1, &error);
  if (model == NULL) {
    fprintf(stderr, "%s\n", error);
    carat_string_free(error);
    return 1;
  }
  int32_t a[12], b[12];
  const carat_session_options sampled = {.context = 64, .temperature = 1.0f, .top_p = 1.0f, .seed = 7};
  expect(generate(model, &sampled, a, 12) == 12 && generate(model, &sampled, b, 12) == 12, "ids are generated");
  expect(memcmp(a, b, sizeof a) == 0, "the same seed gives the same ids");
  check_text(model);
  check_errors(model);
  check_sampling(model);
  check_rewind(model);
  carat_session_free(NULL);
  carat_model_free(model);
  carat_model_free(NULL);
  return failures == 0 ? 0 : 1;
}
