#pragma once
// The gateway's way to a PNE's characteristics: connects, finds them, and greets. What the PNE notifies comes
// by signals, because bluetoothd 5.66 and others crash when a connection ends whose notifications were
// acquired.

#include <functional>
#include <memory>
#include <string>

#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_channel.hpp"
#include "transports/ble/settings.hpp"

namespace cpns::ble {

/// One attempt, and the link that it led to. All of it runs in the loop's thread; it may be put away at any
/// time, which ends what it hands to the link.
class gatt_client {
 public:
  struct events {
    std::function<void()> connected;  ///< the peer is there; what follows takes its time
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
  void hear(chunk_view chunk);
  void fail(const std::string& why);
  template <class Done>
  bluez::answer guarded(Done done);

  loop& loop_;
  bluez& bluez_;
  const std::string path_;
  const settings& settings_;
  const events events_;
  chunk_pipe pipe_;
  fd notified_;         ///< what is written here comes out of `pipe_.in`, also when the link has it
  std::string notify_;  ///< the object of the characteristic
  greeting hello_;
  bool connected_ = false, finding_ = false, up_ = false;
  std::uint64_t again_ = 0;
  std::shared_ptr<int> alive_ = std::make_shared<int>(0);  ///< what bluetoothd answers later is passed over
};

}  // namespace cpns::ble
