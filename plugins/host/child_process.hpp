#pragma once
// What the processes that run a plugin have in common.

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cpns::plugins {

/// What a plugin's libraries may need of this process's environment, and nothing else: a secret that a
/// configuration reads with ${NAME} stays here.
class child_environment {
 public:
  child_environment();
  /// For posix_spawn; owned by this.
  [[nodiscard]] char* const* get() const { return list_.data(); }

 private:
  std::vector<std::string> words_;
  std::vector<char*> list_;
};

/// "was ended by signal 9 (Killed)" or "ended with exit code 3", from the status that waitpid gave.
std::string how_it_ended(int status);

/// More memory than a radio needs, in bytes: what a plugin's process may have before it is killed.
inline constexpr std::uint64_t child_memory_max = 512ull * 1024 * 1024;

/// Bytes of memory that the process has now (its resident set); 0 if there is none.
std::uint64_t resident_bytes(pid_t pid);

/// "took more than 512 MiB of memory".
std::string took_too_much(std::uint64_t most);

}  // namespace cpns::plugins
