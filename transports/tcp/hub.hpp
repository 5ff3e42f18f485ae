#pragma once
// What both sides of the tcp radio share: the io_context of an instance, its thread, and its links by id.

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>

#include "plugins/sdk/seldom.hpp"
#include "transports/tcp/connection.hpp"

namespace cpns::tcp {

class hub : private connection_listener {
 public:
  /// Throws sdk::bad_parameter if this process cannot hold max_links connections.
  hub(sdk::host out, settings s, bool probe);

  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> data);
  void disconnect(std::uint64_t link);
  /// Starts the instance's thread.
  void run();
  /// Closes all links and ends the thread.
  void stop();
  [[nodiscard]] const counters& counted() const { return counters_; }
  /// Links at the same time, for the host: never more, but perhaps fewer now.
  [[nodiscard]] std::uint64_t links_declared() const { return share_.declared(); }
  /// Links at the same time, as other instances of this process allow now.
  [[nodiscard]] std::uint64_t links_max() const { return share_.links(); }

 protected:
  /// Reports the connection to the host as a link and keeps it until it is closed; then calls gone().
  void adopt(const std::shared_ptr<connection>& c, std::uint64_t endpoint, const std::string& address);
  /// A link is closed, and the host knows it.
  virtual void gone(const connection& c) = 0;
  /// A connection is closed that was not adopted.
  virtual void stranger_gone(const connection& c) = 0;
  /// Whether one more connection fits beside those of this instance, which are links and `others`.
  [[nodiscard]] bool fits_one_more(std::size_t others);
  /// Counts a refused connection, and logs at most one line per minute. Runs in the instance's thread.
  void turned_away(counters::counter& which, const std::string& address, const std::string& why);
  /// Ends acceptors and timers. Runs in the instance's thread.
  virtual void shut() = 0;

  sdk::host out_;
  settings settings_;
  counters counters_;
  asio::io_context io_{1};
  connection_base base_;
  bool stopping_ = false;

 private:
  void frame_in(connection& c, std::span<const std::uint8_t> body) override;
  void closed(connection& c, cpns_down_reason why, const std::string& detail) override;
  void writable(connection& c) override;
  std::shared_ptr<connection> find(std::uint64_t link);

  link_share share_;
  sdk::seldom turned_away_logged_;
  std::mutex guard_;
  std::unordered_map<std::uint64_t, std::shared_ptr<connection>> links_;
  std::uint64_t next_link_ = 0;
  std::unique_ptr<asio::io_context::work> work_;
  std::thread thread_;
};

}  // namespace cpns::tcp
