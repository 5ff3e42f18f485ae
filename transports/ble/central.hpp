#pragma once
// The gateway's side: scans for PNEs and links to as many at a time as max_links allows.

#include <atomic>
#include <map>
#include <random>
#include <string>

#include "plugins/sdk/seldom.hpp"
#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_client.hpp"
#include "transports/ble/l2cap.hpp"
#include "transports/ble/links.hpp"
#include "transports/ble/slots.hpp"

namespace cpns::ble {

/// Everything except the constructor runs in the loop's thread.
class central {
 public:
  central(loop& in, sdk::host out, const settings& s, links& l);
  /// Throws sdk::unavailable.
  void open();
  void start();
  void scan(bool on);
  /// The host requests, or cancels, a link to a found peer.
  void want(const std::string& peer);
  void unwant(const std::string& peer);
  /// Closes its link and removes the peer with its pairing from bluetoothd.
  void forget(const std::string& peer);
  void save_power(bool on);
  /// [any-thread]
  struct counters {
    std::atomic<std::uint64_t> scans{0}, attempts{0}, failed{0};
    std::atomic<std::uint64_t> given_up{0};  ///< links closed because other PNEs waited
  };
  [[nodiscard]] const counters& counted() const { return counters_; }
  void shut();

 private:
  struct sighting {
    std::string path;  ///< BlueZ's object
    address at;
    advert what;
    std::int32_t rssi = 0;
    loop::clock::time_point when;
  };
  /// An attempt to link to a peer, or its link.
  struct contact {
    std::string path;  ///< BlueZ's object
    fd dialling;
    std::unique_ptr<gatt_client> gatt;
    std::uint64_t timeout = 0;  ///< timer of the attempt; 0: the attempt has ended
    std::uint64_t link = 0;
    std::uint16_t tag = 0;   ///< the peer's tag when the link came up
    bool forgotten = false;  ///< remove its pairing, too
    bool shared = false;     ///< was connected before the attempt: another program uses it too
  };
  void adapter_changed();
  void update_discovery();
  void start_discovery();
  void rest_from_discovery();
  void stop_discovery();
  void heard(const std::string& path, const bluez::device& d);
  void report(const std::string& peer, const sighting& s);
  void schedule();
  void dial(const std::string& peer);
  void begin(const std::string& peer);
  [[nodiscard]] bool can_be_dialled(const sighting& s) const;
  void dial_l2cap(const std::string& peer, const sighting& s);
  void dialled(const std::string& peer);
  void greet(const std::string& peer, const sighting& s);
  void linked(const std::string& peer, std::unique_ptr<channel> over);
  void set_timeout(const std::string& peer, contact& c);
  void failed(const std::string& peer, const std::string& why);
  void clear_away(const std::string& peer, bool back_off);
  void clear_old(const std::string& path, const bluez::device& d);
  void cleared(const std::string& peer, loop::clock::time_point ended);
  enum class whom : std::uint8_t { unpaired, paired_too };
  /// Ends the connection and removes the peer from bluetoothd; `done` is called once in any case.
  void remove(const std::string& path, whom of, std::function<void()> done);

  loop& loop_;
  sdk::host out_;
  sdk::seldom unfit_logged_;
  const settings& settings_;
  links& links_;
  std::unique_ptr<bluez> bluez_;
  slots slots_;
  std::map<std::string, contact> contacts_;
  std::map<std::string, sighting> sightings_;  ///< the last of each peer
  bool scanning_ = false, asked_ = false, powered_ = false;
  bool asking_ = false;    ///< bluetoothd has not replied to the last start or stop of discovery
  bool dialling_ = false;  ///< an attempt is pending
  std::string to_begin_;   ///< its peer, until discovery has stopped
  bool saving_ = false;    ///< power is saved
  bool resting_ = false;   ///< discovery pauses to save power
  std::uint64_t scan_timer_ = 0, slot_timer_ = 0, rest_timer_ = 0;
  counters counters_;
  std::mt19937 dice_{std::random_device{}()};
};

}  // namespace cpns::ble
