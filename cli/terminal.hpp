#pragma once
// Between the commands and people: exit codes, errors, colours, progress, and the prompt for a password.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/secret.hpp"

namespace cpns::cli {

enum exit_code : int { exit_done = 0, exit_failed = 1, exit_usage = 2, exit_interrupted = 130 };

/// Whether the detail is the whole sentence: that of a configuration's error begins with its place, that of peer_closed names the
/// role. The sentence of the code would only repeat it.
bool says_all(const error& e);
/// Prints "cpns: ERROR" on standard error, after the log lines of before. Returns exit_usage for config_usage, else exit_failed.
int report(const error& e);
/// Prints the diagnostics of a configuration on standard error, one per line. Returns exit_failed.
int report_diagnostics(const std::vector<std::string>& lines);
/// Prints "cpns: interrupted, OUTCOME" on standard error. Returns exit_interrupted.
int interrupted(const std::string& outcome);

enum class colour : std::uint8_t { plain, bold, dim, green, yellow, red, blue };
/// `text` in a colour; unchanged if standard output is not a terminal or NO_COLOR is set.
std::string paint(colour c, std::string_view text);
/// The rows of a list. People see columns with heads on a terminal; a script, which reads a pipe or a file, gets one row
/// per line without heads, and tabs between the cells.
class table {
 public:
  explicit table(std::vector<std::string> heads) : heads_(std::move(heads)) {}
  /// As many cells as heads.
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  [[nodiscard]] std::string for_people() const;
  [[nodiscard]] std::string for_scripts() const;
  /// On standard output, for whom it is.
  void print() const;

 private:
  std::vector<std::string> heads_;
  std::vector<std::vector<std::string>> rows_;
};
/// "[#######---]", `width` characters between the brackets; full if more is done than `all`.
std::string bar(std::uint64_t done, std::uint64_t all, int width = 40);
/// Whether standard output is a terminal.
bool on_terminal();
/// Rewrites the last line of a terminal; does nothing elsewhere.
void show_status(std::string_view line);
void clear_status();

inline constexpr std::size_t password_min = 8;  ///< bytes
inline constexpr std::size_t password_max = 1024;

/// Where a password comes from; with neither set, from a prompt. Never from the command line, which every user of
/// the machine can read.
struct password_source {
  std::filesystem::path file{};  ///< its first line
  bool standard_input = false;   ///< the first line of standard input
};
/// A new password; the terminal is asked twice, without echo. config_usage without a terminal or if the two differ;
/// config_range if the length is not password_min to password_max; errors of read_secret_line.
result<secret_bytes> read_new_password(const password_source& from);

}  // namespace cpns::cli
