#pragma once
// The PNEs' side: one PNE per adapter, which advertises and accepts links.

#include <map>
#include <mutex>
#include <random>
#include <set>
#include <string>

#include "plugins/sdk/seldom.hpp"
#include "transports/ble/bluez.hpp"
#include "transports/ble/gatt_server.hpp"
#include "transports/ble/l2cap.hpp"
#include "transports/ble/links.hpp"

namespace cpns::ble {

/// Runs in the loop's thread, except the constructor and members marked [any-thread].
class peripheral {
 public:
  peripheral(loop& in, sdk::host out, const settings& s, links& l);
  ~peripheral();
  /// Throws sdk::unavailable.
  void open();
  void start();
  /// [any-thread] False if the endpoint exists already, or no adapter is free.
  bool add(std::uint64_t endpoint);
  /// [any-thread]
  void remove(std::uint64_t endpoint);
  void shut();

 private:
  /// One adapter and its PNE.
  struct place {
    std::uint64_t endpoint = 0;  ///< 0: free
    std::uint16_t tag = 0;
    address at;  ///< where `listener` is bound
    fd listener;
    std::unique_ptr<gatt_server> gatt;
    std::unique_ptr<dbus::object> advert;
    std::uint16_t advert_tag = 0;
    std::uint64_t retry = 0;
    unsigned failures = 0;
    bool asking = false;  ///< bluetoothd has not replied to the last call about the advertisement
    bool warned = false;
    std::map<std::uint64_t, std::string> links;  ///< link id to the peer's address
  };
  void present(const std::string& adapter);
  void advertise(const std::string& adapter, place& p);
  void close_listener(place& p);
  void withdraw(const std::string& adapter, place& p);
  bool listen(const std::string& adapter, place& p, const address& at);
  bool serve(const std::string& adapter, place& p);
  void accept(const std::string& adapter);
  void greeted(const std::string& adapter, std::unique_ptr<gatt_channel> over, const std::string& from);
  void linked(const std::string& adapter, std::unique_ptr<channel> over, const std::string& from,
              std::function<void(channel&)> gone);
  void retry_later(const std::string& adapter, const std::string& why);
  void visited(const std::string& path, const bluez::device& d);
  void check_visitor(const std::string& path, std::uint64_t number);

  loop& loop_;
  sdk::host out_;
  sdk::seldom unfit_logged_, idle_logged_;
  const settings& settings_;
  links& links_;
  std::unique_ptr<bluez> bluez_;
  std::map<std::string, place> places_;
  std::mt19937 dice_{std::random_device{}()};
  std::uint64_t objects_ = 0;
  std::map<std::string, std::uint64_t> visitors_;  ///< connected peers: BlueZ's object to a unique number
  std::uint64_t visits_ = 0;
  std::mutex names_guard_;
  std::set<std::uint64_t> names_;
};

}  // namespace cpns::ble
