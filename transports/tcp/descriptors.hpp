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
  counted_connection();
  ~counted_connection();
  counted_connection(const counted_connection&) = delete;
  counted_connection& operator=(const counted_connection&) = delete;
  /// Whether connections_that_fit() has room for one more, whichever instances hold the others.
  static bool fits();
};

/// The number of links of one instance. A number that somebody set is kept free for it until it is closed.
/// [any-thread]
class link_share {
 public:
  /// `max_links`: the parameter; 0: as many as fit. Throws sdk::bad_parameter if this process cannot hold so many beside
  /// the shares of its other instances. A probe is not refused: the role may have another limit on open files.
  link_share(std::uint64_t max_links, bool probe);
  ~link_share();
  link_share(const link_share&) = delete;
  link_share& operator=(const link_share&) = delete;
  /// At least 1.
  [[nodiscard]] std::uint64_t links() const { return links_; }

 private:
  std::uint64_t links_ = 1, kept_ = 0;
};

}  // namespace cpns::tcp
