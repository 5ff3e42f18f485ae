#include "plugins/host/child_process.hpp"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

extern char** environ;

namespace cpns::plugins {
namespace {

constexpr std::array<std::string_view, 9> passed_names{
    "CPNS_PLUGIN_PATH", "HOME", "LANG", "PATH", "TMPDIR", "TZ", "USER", "XDG_RUNTIME_DIR", "LANGUAGE"};
// Locale, loader, D-Bus, allocator; the options of all sanitizers share a suffix.
constexpr std::array<std::string_view, 4> passed_beginnings{"LC_", "LD_", "DBUS_", "MALLOC_"};
constexpr std::string_view sanitizers = "SAN_OPTIONS";

bool is_passed_on(std::string_view name) {
  return std::find(passed_names.begin(), passed_names.end(), name) != passed_names.end() ||
         name.ends_with(sanitizers) ||
         std::any_of(passed_beginnings.begin(), passed_beginnings.end(),
                     [name](std::string_view b) { return name.starts_with(b); });
}

}  // namespace

child_environment::child_environment() {
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) {
    const std::string_view word{*at};
    if (is_passed_on(word.substr(0, word.find('=')))) words_.emplace_back(word);
  }
  for (auto& w : words_) list_.push_back(w.data());
  list_.push_back(nullptr);
}

std::string how_it_ended(int status) {
  if (WIFSIGNALED(status))
    return "was killed by signal " + std::to_string(WTERMSIG(status)) + " (" + ::strsignal(WTERMSIG(status)) +
           ")";
  return "ended with exit code " + std::to_string(WEXITSTATUS(status));
}

std::uint64_t resident_bytes(pid_t pid) {
  std::uint64_t all = 0, resident = 0;
  if (!(std::ifstream{"/proc/" + std::to_string(pid) + "/statm"} >> all >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::string used_too_much(std::uint64_t most) {
  return "used more than " + std::to_string(most / (1024 * 1024)) + " MiB of memory";
}

}  // namespace cpns::plugins
