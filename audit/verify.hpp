#pragma once
// Whether the lines of a trail are the ones that the role wrote, all of them, in order. Only the holder of the store
// can tell: the key of the MACs lies sealed in it.

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "audit/anchor.hpp"
#include "base/result.hpp"

namespace cpns::audit {

inline constexpr std::size_t faults_max = 100;   ///< that a report lists; the others are counted
inline constexpr std::size_t remarks_max = 100;  ///< the first ones

/// When a check ends without a result, with state_overloaded; nullopt: when all files are read.
using check_until = std::optional<std::chrono::steady_clock::time_point>;

struct verify_fault {
  std::string file;
  std::uint64_t line = 0;  ///< counted from 1; 0: the file as a whole
  std::string text;
  /// "FILE:LINE: TEXT"
  [[nodiscard]] std::string message() const;
};

struct verified_file {
  std::string file;
  std::uint64_t lines = 0;            ///< genuine ones
  std::uint64_t first = 0, last = 0;  ///< their numbers
  std::string since, until;           ///< their times
};

struct verify_report {
  std::vector<verified_file> files;  ///< in the order of the chain
  std::uint64_t first = 0, last = 0, lines = 0;
  std::uint64_t head = 0;  ///< the last line that the store knows
  std::vector<verify_fault> faults;
  std::uint64_t faults_left_out = 0;
  std::vector<std::string> remarks;  ///< for people; not faults
  [[nodiscard]] bool whole() const { return faults.empty(); }
};

/// An open file of which the first `size` bytes are checked.
struct open_source {
  int fd = -1;
  std::uint64_t size = 0;
  std::filesystem::path path;
};

/// Checks `older` files, in any order, then `newest`, which must end with the head of `c`. A file that is named twice,
/// or that is `newest` too, is checked once. Reads each file once or twice, one line in memory. Errors: a file cannot
/// be read (config_file, store_unavailable). [thread-safe]
result<verify_report> verify(const std::vector<std::filesystem::path>& older, const open_source& newest,
                             const chain& c, check_until until = {});
/// The same for a file that is not open. A missing one counts as empty: a rotation may just have moved it.
result<verify_report> verify(const std::vector<std::filesystem::path>& older,
                             const std::filesystem::path& newest, const chain& c);

}  // namespace cpns::audit
