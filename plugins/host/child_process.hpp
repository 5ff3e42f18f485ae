#pragma once
// Common code for starting and watching the child processes that run a plugin.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cpns::plugins {

/// The part of this process's environment that a plugin's libraries may need. Everything else is withheld: a
/// configuration may read secrets from the environment with ${NAME}.
class child_environment {
 public:
  child_environment();
  /// For posix_spawn; owned by this.
  [[nodiscard]] char* const* get() const { return list_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> list_;
};

/// "was killed by signal 9 (Killed)" or "ended with exit code 3"; `status` is from waitpid.
std::string how_it_ended(int status);

/// A plugin's process is killed above this resident memory, in bytes; far more than a radio needs.
inline constexpr std::uint64_t child_memory_max = 512ull * 1024 * 1024;

/// Resident memory of the process in bytes; 0 if the process does not exist.
std::uint64_t resident_bytes(pid_t pid);

/// "used more than 512 MiB of memory".
std::string used_too_much(std::uint64_t most);

}  // namespace cpns::plugins
