#pragma once
// The gateway's side of GATT: connects to a PNE, finds its characteristics, and greets. Notifications arrive as
// signals, because bluetoothd (5.66 and others) crashes at the end of a connection whose notifications were
// acquired.

#include <functional>
#include <memory>
#include <string>

#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_channel.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// One attempt, and the link that results. Runs in the loop's thread. May be destroyed at any time, which ends the
/// notifications of the link.
class gatt_client {
 public:
  struct events {
    std::function<void()> connected;  ///< connected to the peer; the rest may take long
    std::function<void(std::unique_ptr<channel>)> up;
    std::function<void(const std::string& why)> failed;
  };
  /// `path`: BlueZ's object of the device.
  gatt_client(loop& in, bluez& b, std::string path, const settings& s, std::uint32_t nonce, events e);
  ~gatt_client();
  void begin();
  /// The device's object has changed.
  void changed(const bluez::device& d);
  /// An object of bluetoothd is gone.
  void gone(const std::string& path);
  void notified(const std::string& path, const std::vector<std::uint8_t>& chunk);

 private:
  void find_characteristics();
  void subscribe(const std::string& write);
  void acquire(const std::string& write);
  void greet();
  void receive_welcome(chunk_view chunk);
  void fail(const std::string& why);
  template <class Done>
  bluez::answer guarded(Done done);

  loop& loop_;
  bluez& bluez_;
  const std::string path_;
  const settings& settings_;
  const events events_;
  chunk_pipe pipe_;
  fd notified_;         ///< the other end of `pipe_.in`, also after the link took that
  std::string notify_;  ///< the object of the characteristic
  greeting hello_;
  bool connected_ = false, finding_ = false, up_ = false;
  std::uint64_t again_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  ///< replies after its end are ignored
};

}  // namespace cpns::ble
