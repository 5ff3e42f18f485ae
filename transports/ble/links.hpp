#pragma once
// The links of an instance by their ids.

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
  /// Who ended a link.
  enum class end : std::uint8_t { host, peer, lost };
  using gone_fn = std::function<void(end, channel&)>;

  links(loop& in, sdk::host out, std::uint32_t mtu) : loop_(in), out_(out), in_(mtu + 1) {}

  /// [any-thread]
  cpns_status send(std::uint64_t link, std::span<const std::uint8_t> data);
  /// [any-thread] The host's wish.
  void disconnect(std::uint64_t link);
  /// [any-thread] dBm, as it was noted last.
  [[nodiscard]] std::int32_t rssi(std::uint64_t link) const;
  /// [any-thread] Of the channel, or as it was noted.
  [[nodiscard]] cpns_pairing pairing(std::uint64_t link) const;
  /// [any-thread] Frames since the instance was opened.
  [[nodiscard]] std::uint64_t sent() const { return sent_; }
  [[nodiscard]] std::uint64_t received() const { return received_; }

  // The rest is for the loop's thread.
  /// Brings a link up in the host. `gone` is called once, after the host was told; the channel goes then.
  std::uint64_t up(std::unique_ptr<channel> over, std::uint64_t endpoint, const std::string& address,
                   gone_fn gone);
  /// Ids that are gone are ignored.
  void close(std::uint64_t link, cpns_down_reason why, const std::string& detail, end by);
  void close_all(const std::string& detail);
  void note_rssi(std::uint64_t link, std::int32_t dbm);
  /// When a frame went either way last.
  [[nodiscard]] loop::clock::time_point busy(std::uint64_t link) const;

 private:
  struct link {
    std::unique_ptr<channel> over;
    gone_fn gone;
    std::atomic<loop::clock::time_point> busy;
    std::atomic<std::int32_t> rssi = CPNS_RSSI_UNKNOWN;
    int in = -1, out = -1;
    std::uint64_t gap = 0;  ///< that was there when it was read last; of the loop's thread
    std::mutex guard;       // of the channel, and of the flags
    bool ended = false;     ///< nothing is sent any more
    bool blocked = false;   ///< a send was refused; the host waits for `writable`
    bool awaits_writable = false;
  };
  using link_ptr = std::shared_ptr<link>;
  [[nodiscard]] link_ptr find(std::uint64_t id) const;
  void ready(std::uint64_t id, bool readable, bool writable, bool broken);
  bool read(std::uint64_t id, link& l);
  void flush(std::uint64_t id, link& l, bool writable);
  void mind_gap(std::uint64_t id, link& l);
  void await(std::uint64_t id);

  loop& loop_;
  sdk::host out_;
  std::vector<std::uint8_t> in_;
  mutable std::mutex guard_;  // of the map
  std::unordered_map<std::uint64_t, link_ptr> links_;
  std::uint64_t next_ = 0;
  std::atomic<std::uint64_t> sent_{0}, received_{0};
};

}  // namespace cpns::ble
