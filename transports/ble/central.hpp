#pragma once
// The gateway's side: hears PNEs, and links to as many of them at a time as the adapter is allowed.

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

/// All of it runs in the loop's thread but the constructor.
class central {
 public:
  central(loop& in, sdk::host out, const settings& s, links& l);
  /// Throws sdk::unavailable.
  void open();
  void start();
  void scan(bool on);
  /// The host's wish for a link to a peer that it was told of.
  void want(const std::string& peer);
  void unwant(const std::string& peer);
  /// Ends its link, and bluetoothd forgets it with what pairing left.
  void forget(const std::string& peer);
  void save_power(bool on);
  /// [any-thread]
  struct counters {
    std::atomic<std::uint64_t> scans{0}, attempts{0}, failed{0};
    std::atomic<std::uint64_t> given_up{0};  ///< links, for others that waited
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
  /// What is under way or up with one peer.
  struct contact {
    std::string path;  ///< BlueZ's object
    fd dialling;
    std::unique_ptr<gatt_client> gatt;
    std::uint64_t timeout = 0;  ///< the timer of the attempt; 0 when that is over
    std::uint64_t link = 0;
    std::uint16_t tag = 0;   ///< what it advertised when the link was made
    bool forgotten = false;  ///< the host wants nothing to be left of it
    bool shared = false;     ///< it was connected before: somebody else uses it too
  };
  void adapter_changed();
  void discover();
  void look();
  void take_rest();
  void stop_looking();
  void heard(const std::string& path, const bluez::device& d);
  void tell(const std::string& peer, const sighting& s);
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
  void clear_away(const std::string& peer, bool in_vain);
  void clear_old(const std::string& path, const bluez::device& d);
  void cleared(const std::string& peer, loop::clock::time_point ended);
  enum class whom : std::uint8_t { unpaired, paired_too };
  /// Ends the connection and has bluetoothd forget the peer; `done` comes once, whatever happens.
  void remove(const std::string& path, whom of, std::function<void()> done);

  loop& loop_;
  sdk::host out_;
  sdk::seldom unfit_said_;
  const settings& settings_;
  links& links_;
  std::unique_ptr<bluez> bluez_;
  slots slots_;
  std::map<std::string, contact> contacts_;
  std::map<std::string, sighting> sightings_;  ///< the last of each peer
  bool scanning_ = false, asked_ = false, powered_ = false;
  bool asking_ = false;    ///< bluetoothd has not answered whether it looks or stopped
  bool dialling_ = false;  ///< an attempt is under way
  std::string to_begin_;   ///< its peer, until discovery pauses
  bool saving_ = false;    ///< power
  bool resting_ = false;   ///< from looking, to save it
  std::uint64_t scan_timer_ = 0, slot_timer_ = 0, rest_timer_ = 0;
  counters counters_;
  std::mt19937 dice_{std::random_device{}()};
};

}  // namespace cpns::ble
