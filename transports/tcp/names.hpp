#pragma once
// Host names of the configuration and the addresses behind them.

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

/// Asks the resolver of the system. It may take half a minute where no name server answers, so each question
/// has a thread of its own that nobody waits for: closing a radio is not held up by it. One thread a name at
/// a time. Everything here runs in the instance's thread.
class name_book {
 public:
  /// `found` is called when a look-up brought addresses.
  name_book(asio::io_context& io, std::function<void()> found);
  ~name_book() { stop(); }
  name_book(const name_book&) = delete;
  name_book& operator=(const name_book&) = delete;

  /// The addresses of `host` as they are known now, the resolver's first choice first; an IP address is its
  /// own. Begins a look-up where none was made lately. Empty until one succeeded.
  std::vector<asio::ip::address> of(const std::string& host);
  /// Why the last look-up of `host` brought nothing; empty if it did, or none ended yet.
  [[nodiscard]] std::string why_not(const std::string& host) const;
  /// No call of `found` comes after this.
  void stop();

 private:
  using clock = std::chrono::steady_clock;
  struct entry {
    std::vector<asio::ip::address> known;
    std::string failure;
    clock::time_point next;  ///< when the resolver is asked again at the earliest
    bool asking = false;
  };
  /// What a thread of a look-up reaches; outlives the book.
  struct way_back;
  void ask(const std::string& host);
  void answered(const std::string& host, std::vector<asio::ip::address> addresses, std::string failure);

  std::function<void()> found_;
  std::map<std::string, entry> entries_;
  std::shared_ptr<way_back> back_;
};

}  // namespace cpns::tcp
