#pragma once
// The file descriptors that connections may use. The limit on open files (RLIMIT_NOFILE) is that of the whole process,
// so all instances in it share one account.

#include <cstdint>

namespace cpns::tcp {

/// How many connections this process may hold: its limit on open files, less a reserve of 128 (at most half of the
/// limit) for stores and other sockets, so that peers cannot exhaust them merely by connecting.
std::uint64_t connections_that_fit();

/// One connection of the account, from its socket to its end. [any-thread]
class counted_connection {
 public:
  /// `kept`: it is of an instance with a number of links that somebody set.
  explicit counted_connection(bool kept);
  ~counted_connection();
  counted_connection(const counted_connection&) = delete;
  counted_connection& operator=(const counted_connection&) = delete;
  /// Whether connections_that_fit() has room for one more, whichever instances hold the others.
  static bool fits();

 private:
  const bool kept_;
};

/// The number of links of one instance. A number that somebody set is kept free for it until it is closed; the instances
/// without one share the rest, in whichever order they opened. Links that are up stay when another instance opens.
/// [any-thread]
class link_share {
 public:
  /// `max_links`: the parameter; 0: as many as fit. Throws sdk::bad_parameter if this process cannot hold so many beside
  /// the numbers that its other instances keep. A probe is not refused: the role may have another limit on open files.
  link_share(std::uint64_t max_links, bool probe);
  ~link_share();
  link_share(const link_share&) = delete;
  link_share& operator=(const link_share&) = delete;
  /// What links() never exceeds; at least 1. A host asks once, so without max_links it is all that fit, whatever other
  /// instances keep now or later.
  [[nodiscard]] std::uint64_t declared() const { return declared_; }
  /// How many links it may have now: without max_links, what the others keep is not part of it.
  [[nodiscard]] std::uint64_t links() const;
  /// Whether this process has room for one more connection of this instance, beside those that it has and those that
  /// others keep.
  [[nodiscard]] bool fits_one_more() const;

 private:
  const bool set_;
  std::uint64_t declared_ = 1, kept_ = 0;
};

}  // namespace cpns::tcp
