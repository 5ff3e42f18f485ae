#pragma once
// What the processes that run a plugin have in common.

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

}  // namespace cpns::plugins
