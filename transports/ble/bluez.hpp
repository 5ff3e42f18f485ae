#pragma once
// BlueZ over D-Bus: adapters, devices that they receive, and calls whose replies arrive in the loop. Survives
// restarts of bluetoothd and of the bus. Everything except the constructor runs in the loop's thread.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/abi/ext/rssi.h"
#include "plugins/sdk/transport.hpp"
#include "transports/ble/advert.hpp"
#include "transports/ble/dbus.hpp"
#include "transports/ble/loop.hpp"

namespace cpns::ble {

// D-Bus interfaces of bluetoothd's objects.
inline constexpr const char* adapter_interface = "org.bluez.Adapter1";
inline constexpr const char* device_interface = "org.bluez.Device1";
inline constexpr const char* characteristic_interface = "org.bluez.GattCharacteristic1";

/// "/org/bluez/hci0"
std::string adapter_path(const std::string& name);

class bluez final : public loop::source {
 public:
  struct adapter {
    bool powered = false, discovering = false;
    address at;
    bool operator==(const adapter&) const = default;
  };
  struct device {
    std::string adapter;  ///< its name, "hci0"
    address at;
    bool connected = false, paired = false;
    bool has_service = false;           ///< it has the CPNS service, or advertised it
    bool resolved = false;              ///< its services are known
    std::optional<ble::advert> advert;  ///< its last advertisement, if it is a PNE's
    std::int32_t rssi = CPNS_RSSI_UNKNOWN;
  };
  /// Callbacks to the owner. find_adapter() no longer finds an adapter that was removed.
  struct events {
    std::function<void(const std::string& adapter)> adapter_changed;
    /// An advertisement arrived just now.
    std::function<void(const std::string& path, const device&)> heard;
    /// A device with the CPNS service that BlueZ knows from earlier.
    std::function<void(const std::string& path, const device&)> remembered;
    /// It was connected or disconnected, or its services were resolved.
    std::function<void(const std::string& path, const device&)> changed;
    std::function<void(const std::string& path)> gone;
    /// A characteristic sent a notification.
    std::function<void(const std::string& path, const std::vector<std::uint8_t>&)> notified;
    /// The bus connection is about to be replaced: destroy all objects on it.
    std::function<void()> bus_lost;
  };
  using properties = std::map<std::string, sdbus::Variant>;
  using objects = std::map<sdbus::ObjectPath, std::map<std::string, properties>>;
  using answer = dbus::answer;

  /// Checks that bluetoothd and the named adapters exist; takes at most 1.5 s. Throws sdk::unavailable with the
  /// remedy.
  bluez(loop& in, sdk::host out, const std::vector<std::string>& adapters);
  ~bluez() override;

  /// Reports existing adapters and devices, then changes.
  void start(events e);
  /// nullptr if not found.
  [[nodiscard]] const adapter* find_adapter(const std::string& name) const;
  [[nodiscard]] const device* find_device(const std::string& path) const;

  /// Calls a method of one of bluetoothd's objects. `done` is called in the loop; never, if the bus or bluetoothd
  /// ends first.
  template <class... Args>
  void call(const std::string& path, const char* interface, const char* method, answer done,
            const Args&... args) {
    if (!connection_) return;
    try {
      auto& p = proxy_of(path);
      auto message = dbus::method_call(*p.to, interface, method);
      ((void)(message << args), ...);
      ++p.pending;
      dbus::call_later(
          *p.to, message,
          [pending = &p.pending, done = std::move(done)](sdbus::MethodReply& reply,
                                                         const sdbus::Error* wrong) {
            --*pending;
            if (done) done(reply, wrong);
          },
          call_timeout);
    } catch (const sdbus::Error& e) {
      out_.log(CPNS_LOG_DEBUG, std::string{"D-Bus: "} + method + ": " + e.getMessage());
    }
  }
  /// Waits until bluetoothd has replied to all calls, at most one second. Meanwhile only replies and signals are
  /// processed.
  void settle();
  /// Requests all objects of bluetoothd; the reply contains `objects`.
  void objects_now(answer done);
  [[nodiscard]] sdbus::IConnection& connection() { return *connection_; }

  /// The text property `name`; empty if missing.
  static std::string text(const properties& p, const char* name);

  /// The error as a sentence, with the remedy where one is known.
  static std::string explain(const sdbus::Error& wrong);

  void prepare(int& fd, short& events, int& timeout_ms) override;
  void process() override;

 private:
  static constexpr std::chrono::seconds call_timeout{20};
  struct proxy {
    std::unique_ptr<sdbus::IProxy> to;
    std::size_t pending = 0;
  };
  proxy& proxy_of(const std::string& path);
  void connect();
  void reconnect();
  objects ask_objects();
  void refresh();
  void take(const std::string& path, const std::map<std::string, properties>& interfaces, bool remembered);
  void take_adapter(const std::string& name, const properties& p);
  void take_device(const std::string& path, const properties& p, bool known);
  void drop(const std::string& path);
  void drop_all();
  [[nodiscard]] bool is_used(const std::string& adapter) const;

  loop& loop_;
  sdk::host out_;
  std::vector<std::string> names_;
  events events_;
  bool started_ = false;
  std::unique_ptr<sdbus::IConnection> connection_;
  std::map<std::string, std::unique_ptr<proxy>> proxies_;
  std::map<std::string, adapter> adapters_;
  std::map<std::string, device> devices_;
};

}  // namespace cpns::ble
