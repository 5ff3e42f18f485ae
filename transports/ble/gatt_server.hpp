#pragma once
// A PNE's characteristics at one adapter: the service that bluetoothd shows, and the sessions over it.
// bluetoothd has one pair of descriptors for all gateways, so there is one session at a time.

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "plugins/sdk/seldom.hpp"
#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_channel.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// All of it runs in the loop's thread.
class gatt_server {
 public:
  struct events {
    std::function<void()> ready;  ///< bluetoothd shows it
    /// A gateway greeted and was welcomed. `from`: its address; empty: unknown.
    std::function<void(std::unique_ptr<gatt_channel>, const std::string& from)> up;
    std::function<void(const std::string& why)> failed;  ///< bluetoothd does not take it
  };
  /// Registers at once. `path` is an object path of its own for this one.
  gatt_server(loop& in, sdk::host out, bluez& b, std::string adapter, const std::string& path,
              const settings& s, events e);
  ~gatt_server();
  [[nodiscard]] bool ready() const { return ready_; }
  /// The session is over: its descriptors serve the next.
  void take_back(gatt_channel& from);

 private:
  using given = std::tuple<sdbus::UnixFd, std::uint16_t>;
  void add_characteristic(const char* name, const char* uuid, std::vector<std::string> flags);
  given acquire(const bluez::properties& options, fd chunk_pipe::*into);
  void attend();
  void read();
  void welcome(const greeting& hello);
  void put_away(fd chunk_pipe::*which);

  loop& loop_;
  sdk::host out_;
  sdk::seldom unfit_said_;
  bluez& bluez_;
  const std::string adapter_, path_;
  const settings& settings_;
  const events events_;
  std::vector<std::unique_ptr<dbus::object>> objects_;
  chunk_pipe pipe_;  ///< while there is no session
  bool ready_ = false;
  std::uint16_t mtu_ = 23;
  std::string from_;
  std::optional<greeting> waiting_;  ///< a hello that came before its gateway could be answered
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);
};

}  // namespace cpns::ble
