#pragma once
// The environment of a process that runs a plugin.

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

}  // namespace cpns::plugins
