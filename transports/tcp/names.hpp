#pragma once
// Resolves the host names of the configuration.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cpns::tcp {

namespace asio = boost::asio;

/// The system's resolver may block for half a minute where no name server answers. Each look-up therefore runs in
/// its own detached thread, so that closing a radio does not wait for it; at most one thread per name. All members
/// run in the instance's thread.
class name_book {
 public:
  /// `found` is called when a look-up returned addresses.
  name_book(asio::io_context& io, std::function<void()> found);
  ~name_book() { stop(); }
  name_book(const name_book&) = delete;
  name_book& operator=(const name_book&) = delete;

  /// The known addresses of `host`, the resolver's first choice first; empty until a look-up succeeded. Starts a
  /// look-up if the last one is too old. If `host` is an IP address, that address.
  std::vector<asio::ip::address> of(const std::string& host);
  /// The error of the last look-up of `host`; empty if it succeeded, or none has ended yet.
  [[nodiscard]] std::string why_not(const std::string& host) const;
  /// `found` is not called after this.
  void stop();

 private:
  using clock = std::chrono::steady_clock;
  struct entry {
    std::vector<asio::ip::address> known;
    std::string failure;
    clock::time_point next;  ///< earliest time of the next look-up
    bool asking = false;
  };
  /// Shared with the look-up threads; outlives the book.
  struct way_back;
  void ask(const std::string& host);
  void answered(const std::string& host, std::vector<asio::ip::address> addresses, std::string failure);

  std::function<void()> found_;
  std::map<std::string, entry> entries_;
  std::shared_ptr<way_back> back_;
};

}  // namespace cpns::tcp
