#include "own_command.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

extern char** environ;

namespace carat {
namespace {

ErrorKind kind_of_exit_code(int code) {
  switch (code) {
    case 2:
      return ErrorKind::kUsage;
    case 3:
      return ErrorKind::kRefused;
    case 130:
      return ErrorKind::kInterrupted;
    default:
      return ErrorKind::kFailed;
  }
}

std::string command_text(const std::vector<std::string>& arguments) {
  std::string text = "carat";
  for (const std::string& argument : arguments) text += " " + argument;
  return text;
}

std::string read_to_end(int descriptor) {
  std::string text;
  std::array<char, 4096> piece{};
  while (true) {
    const ssize_t count = ::read(descriptor, piece.data(), piece.size());
    if (count > 0) text.append(piece.data(), static_cast<size_t>(count));
    if (count == 0 || (count < 0 && errno != EINTR)) return text;
  }
}

Result<pid_t> start(const std::vector<std::string>& arguments, int output) {
  std::vector<std::string> owned = arguments;
  std::string name = "carat";
  std::vector<char*> pointers = {name.data()};
  for (std::string& argument : owned) pointers.push_back(argument.data());
  pointers.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t child = 0;
  const int error = posix_spawn(&child, "/proc/self/exe", &actions, nullptr, pointers.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return failed(command_text(arguments) + ": cannot be started: " + std::strerror(error));
  return child;
}

}  // namespace

Result<std::string> run_own_command(const std::vector<std::string>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return failed(std::string("no pipe: ") + std::strerror(errno));
  const Result<pid_t> child = start(arguments, ends[1]);
  ::close(ends[1]);
  if (!child.ok()) {
    ::close(ends[0]);
    return child.error();
  }
  std::string output = read_to_end(ends[0]);
  ::close(ends[0]);

  int status = 0;
  while (::waitpid(*child, &status, 0) < 0 && errno == EINTR) {
  }
  const int code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
  if (code == 0) return output;
  return Error{kind_of_exit_code(code), command_text(arguments) + ": ended with exit code " + std::to_string(code)};
}

}  // namespace carat
