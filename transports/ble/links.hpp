#pragma once
// All links of an instance, by id.

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "plugins/sdk/extensions.hpp"
#include "transports/ble/channel.hpp"
#include "transports/ble/loop.hpp"

namespace cpns::ble {

class links {
 public:
  /// The side that ended a link; lost: it broke.
  enum class end : std::uint8_t { host, peer, lost };
  using gone_fn = std::function<void(end, channel&)>;

  links(loop& in, sdk::host out, std::uint32_t mtu) : loop_(in), out_(out), in_(mtu + 1) {}

  /// [any-thread]
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> data);
  /// [any-thread] Closes a link on the host's request.
  void disconnect(std::uint64_t link);
  /// [any-thread] dBm, from the last note_rssi().
  [[nodiscard]] std::int32_t rssi(std::uint64_t link) const;
  /// [any-thread] The channel's security.
  [[nodiscard]] cpns_pairing pairing(std::uint64_t link) const;
  /// [any-thread] Frames since the instance was opened.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }

  // The rest runs in the loop's thread.
  /// Reports a new link to the host. `gone` is called once, after the host was notified of the end; then the
  /// channel is destroyed.
  std::uint64_t up(std::unique_ptr<channel> over, std::uint64_t endpoint, const std::string& address,
                   gone_fn gone);
  /// Ids of closed links are ignored.
  void close(std::uint64_t link, cpns_down_reason why, const std::string& detail, end by);
  void close_all(const std::string& detail);
  void note_rssi(std::uint64_t link, std::int32_t dbm);
  /// Time of the last frame in either direction.
  [[nodiscard]] loop::clock::time_point busy(std::uint64_t link) const;

 private:
  struct link {
    std::unique_ptr<channel> over;
    gone_fn gone;
    std::atomic<loop::clock::time_point> busy;
    std::atomic<std::int32_t> rssi = CPNS_RSSI_UNKNOWN;
    int in = -1, out = -1;
    std::uint64_t gap = 0;  ///< gap at the last read; only used in the loop's thread
    std::mutex guard;       // protects the channel and the flags
    bool ended = false;     ///< nothing may be sent anymore
    bool blocked = false;   ///< a send returned CPNS_WOULD_BLOCK; the host waits for `writable`
    bool awaits_writable = false;
  };
  using link_ptr = std::shared_ptr<link>;
  [[nodiscard]] link_ptr find(std::uint64_t id) const;
  void ready(std::uint64_t id, bool readable, bool writable, bool broken);
  bool read(std::uint64_t id, link& l);
  void flush(std::uint64_t id, link& l, bool writable);
  void watch_gap(std::uint64_t id, link& l);
  void await(std::uint64_t id);

  loop& loop_;
  sdk::host out_;
  std::vector<std::uint8_t> in_;
  mutable std::mutex guard_;  // protects the map
  std::unordered_map<std::uint64_t, link_ptr> links_;
  std::uint64_t next_ = 0;
  std::atomic<std::uint64_t> sent_{0}, received_{0};
};

}  // namespace cpns::ble
