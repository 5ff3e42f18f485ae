#pragma once
// Where a password comes from: the terminal without echo, a file, or standard input. Never the command line,
// which every user of the machine can read.

#include <filesystem>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::cli {

inline constexpr std::size_t password_min = 8;  ///< bytes
inline constexpr std::size_t password_max = 1024;

struct password_source {
  std::filesystem::path file{};  ///< empty: not from a file
  bool standard_input = false;   ///< the first line of standard input
};

/// A new password, asked for twice at a prompt. config_usage if there is no terminal to ask at, or if the two
/// differ; config_range if it is shorter than password_min; errors of read_secret_line.
result<secret_bytes> read_new_password(const password_source& from);

/// config_range if a new password is too short or too long.
status check_new_password(const secret_bytes& password);

}  // namespace cpns::cli
