#pragma once
// The PNE's side of GATT at one adapter: the service registered with bluetoothd, and its sessions. bluetoothd has
// one pair of descriptors for all gateways, so there is one session at a time.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugins/sdk/seldom.hpp"
#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_channel.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// Runs in the loop's thread.
class gatt_server {
 public:
  struct events {
    std::function<void()> ready;  ///< bluetoothd has registered the service
    /// Greetings were exchanged. `from`: the gateway's address; empty: unknown.
    std::function<void(std::unique_ptr<gatt_channel>, const std::string& from)> up;
    std::function<void(const std::string& why)> failed;  ///< bluetoothd refused the service
  };
  /// Registers at once. `path`: a unique object path.
  gatt_server(loop& in, sdk::host out, bluez& b, std::string adapter, const std::string& path,
              const settings& s, events e);
  ~gatt_server();
  [[nodiscard]] bool ready() const { return ready_; }
  /// Takes the descriptors of an ended session for the next one.
  void take_back(gatt_channel& from);

 private:
  using given = std::tuple<sdbus::UnixFd, std::uint16_t>;
  void add_characteristic(const char* name, const char* uuid, const std::vector<std::string>& flags);
  given acquire(const bluez::properties& options, fd chunk_pipe::*into);
  void watch_pipe();
  void read();
  void welcome(const greeting& hello);
  void close_end(fd chunk_pipe::*which);

  loop& loop_;
  sdk::host out_;
  sdk::seldom unfit_logged_;
  bluez& bluez_;
  const std::string adapter_, path_;
  const settings& settings_;
  const events events_;
  std::vector<std::unique_ptr<dbus::object>> objects_;
  chunk_pipe pipe_;  ///< while no session uses it
  bool ready_ = false;
  std::uint16_t mtu_ = 23;
  std::string from_;
  std::optional<greeting> waiting_;  ///< a hello that arrived before the gateway could be answered
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace cpns::ble
