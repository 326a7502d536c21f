#include "line_editor.h"

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <unistd.h>
#include <wchar.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "terminal.h"

namespace carat {
namespace {

constexpr int kMostEntries = 1000;
constexpr size_t kLongestEntry = size_t{1} << 16;
constexpr size_t kLongestPaste = size_t{1} << 22;
constexpr int kLookMilliseconds = 100;

// A terminal that is asked to puts these around text that is pasted.
constexpr const char* kAskForPasteMarks = "\033[?2004h";
constexpr const char* kNoPasteMarks = "\033[?2004l";
constexpr std::wstring_view kPasteEnd = L"\033[201~";

/// What libedit does not bind by itself.
constexpr std::array<std::pair<const char*, const char*>, 12> kKeys = {{
    {"\\e[200~", "carat-paste"},
    {"\\e\\r", "carat-newline"},
    {"\\e\\n", "carat-newline"},
    {"\\e[3~", "ed-delete-next-char"},
    {"\\e[1~", "ed-move-to-beg"},
    {"\\e[7~", "ed-move-to-beg"},
    {"\\e[4~", "ed-move-to-end"},
    {"\\e[8~", "ed-move-to-end"},
    {"\\e[1;5D", "ed-prev-word"},
    {"\\e[1;5C", "em-next-word"},
    {"\\e[1;3D", "ed-prev-word"},
    {"\\e[1;3C", "em-next-word"},
}};

unsigned char insert_paste(EditLine* editor, int) {
  std::wstring text;
  while (!text.ends_with(kPasteEnd)) {
    wchar_t character = 0;
    if (el_wgetc(editor, &character) != 1) break;
    if (character != L'\0') text += character;
    if (text.size() > kLongestPaste + kPasteEnd.size()) text.erase(kLongestPaste, 1);
  }
  if (text.ends_with(kPasteEnd)) text.resize(text.size() - kPasteEnd.size());
  // Terminals send a carriage return for each newline of what is pasted.
  std::replace(text.begin(), text.end(), L'\r', L'\n');
  const bool inserted = text.empty() || el_winsertstr(editor, text.c_str()) == 0;
  return inserted ? CC_REFRESH : CC_REFRESH_BEEP;
}

unsigned char insert_newline(EditLine* editor, int) {
  return el_insertstr(editor, "\n") == 0 ? CC_REFRESH : CC_REFRESH_BEEP;
}

struct CloseEditor {
  void operator()(EditLine* editor) const { el_end(editor); }
};
struct CloseHistory {
  void operator()(History* history) const { history_end(history); }
};

/// Into a file of its own, which then takes the place of the old one; somebody else's eyes never reach it.
void save_history(History* history, const std::filesystem::path& path) {
  std::error_code ignored;
  const std::filesystem::path folder = path.parent_path();
  if (std::filesystem::create_directories(folder, ignored)) {
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
  }
  const std::string temporary = path.string() + "." + std::to_string(getpid());
  const int descriptor = open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) return;
  std::FILE* file = fdopen(descriptor, "w");
  HistEvent event;
  const bool written = file != nullptr && ::history(history, &event, H_SAVE_FP, file) >= 0;
  const bool closed = file != nullptr ? std::fclose(file) == 0 : close(descriptor) == 0;
  if (!written || !closed || std::rename(temporary.c_str(), path.c_str()) != 0) unlink(temporary.c_str());
}

}  // namespace

struct LineEditor::State {
  explicit State(ChatSignals chat_signals) : signals(chat_signals) {}

  ChatSignals signals;
  std::unique_ptr<History, CloseHistory> history;
  std::unique_ptr<EditLine, CloseEditor> editor;
  std::FILE* screen = nullptr;
  bool marks_pastes = false;
  std::filesystem::path history_file;
  std::string prompt;

  static State& of(EditLine* editor) {
    void* state = nullptr;
    el_get(editor, EL_CLIENTDATA, &state);
    return *static_cast<State*>(state);
  }

  static char* show_prompt(EditLine* editor) { return of(editor).prompt.data(); }

  /// Waits for a byte. A signal can come just before a wait, which it then does not end, or to another thread; so the
  /// wait ends now and then to look.
  bool wait() const {
    for (;;) {
      if (signals.interrupted || signals.ended) {
        errno = EINTR;
        return false;
      }
      pollfd input{.fd = STDIN_FILENO, .events = POLLIN, .revents = 0};
      if (poll(&input, 1, kLookMilliseconds) > 0) return true;
    }
  }

  static int read_character(EditLine* editor, wchar_t* character) {
    mbstate_t begun{};
    while (of(editor).wait()) {
      char byte = 0;
      const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) return static_cast<int>(count);
      const size_t used = mbrtowc(character, &byte, 1, &begun);
      if (used == static_cast<size_t>(-1)) begun = {};
      if (used <= 1) return 1;
    }
    return -1;
  }

  void mark_pastes(bool on) {
    if (!marks_pastes) return;
    std::fputs(on ? kAskForPasteMarks : kNoPasteMarks, screen);
    std::fflush(screen);
  }
};

LineEditor::LineEditor(std::unique_ptr<State> state) : state_(std::move(state)) {}
LineEditor::LineEditor(LineEditor&&) noexcept = default;
LineEditor::~LineEditor() = default;

Result<LineEditor> LineEditor::create(std::filesystem::path history_file, ChatSignals signals) {
  use_utf8_locale();
  auto state = std::make_unique<State>(signals);
  state->screen = isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
  state->marks_pastes = is_terminal(fileno(state->screen));
  state->history_file = std::move(history_file);
  state->history.reset(history_init());
  state->editor.reset(el_init("carat", stdin, state->screen, stderr));
  if (!state->history || !state->editor) return failed("the terminal cannot be used for typing");

  HistEvent event;
  ::history(state->history.get(), &event, H_SETSIZE, kMostEntries);
  ::history(state->history.get(), &event, H_SETUNIQUE, 1);
  if (!state->history_file.empty()) ::history(state->history.get(), &event, H_LOAD, state->history_file.c_str());

  EditLine* editor = state->editor.get();
  el_set(editor, EL_CLIENTDATA, state.get());
  el_set(editor, EL_PROMPT, State::show_prompt);
  el_set(editor, EL_EDITOR, "emacs");
  el_set(editor, EL_SIGNAL, 1);
  el_set(editor, EL_GETCFN, State::read_character);
  el_set(editor, EL_HIST, ::history, state->history.get());
  el_set(editor, EL_ADDFN, "carat-paste", "Insert what is pasted", insert_paste);
  el_set(editor, EL_ADDFN, "carat-newline", "Insert a newline", insert_newline);
  for (const auto& [key, command] : kKeys) el_set(editor, EL_BIND, key, command, nullptr);
  el_source(editor, nullptr);
  return LineEditor(std::move(state));
}

TypedLine LineEditor::read(const std::string& prompt) {
  state_->prompt = prompt;
  state_->mark_pastes(true);
  // By itself libedit does this after it has shown the prompt, and a Ctrl-D in between would be lost.
  el_set(state_->editor.get(), EL_PREP_TERM, 1);
  errno = 0;
  int count = 0;
  const char* text = el_gets(state_->editor.get(), &count);
  const bool interrupted = text == nullptr && count < 0 && errno == EINTR;
  state_->mark_pastes(false);

  if (text != nullptr && count > 0) {
    std::string line(text, static_cast<size_t>(count));
    if (line.ends_with('\n')) line.pop_back();
    return {.kind = TypedLine::Kind::kLine, .text = std::move(line)};
  }
  std::fputs("\n", state_->screen);
  if (!interrupted) return {};
  const LineInfo* typed = el_line(state_->editor.get());
  return {.kind = TypedLine::Kind::kInterrupted, .text = std::string(typed->buffer, typed->lastchar)};
}

void LineEditor::remember(const std::string& message) {
  if (message.size() > kLongestEntry) return;
  HistEvent event;
  ::history(state_->history.get(), &event, H_ENTER, message.c_str());
  if (!state_->history_file.empty()) save_history(state_->history.get(), state_->history_file);
}

std::filesystem::path chat_history_path() {
  const char* state = std::getenv("XDG_STATE_HOME");
  if (state != nullptr && *state == '/') return std::filesystem::path(state) / "carat" / "history";
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return {};
  return std::filesystem::path(home) / ".local" / "state" / "carat" / "history";
}

}  // namespace carat
