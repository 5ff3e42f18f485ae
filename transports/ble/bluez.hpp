#pragma once
// BlueZ over D-Bus: which adapters there are, what they hear, and calls whose answers come in the loop.
// Survives bluetoothd ending and coming back, and the bus too. All of it runs in the loop's thread but the
// constructor.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "plugins/abi/ext/rssi.h"
#include "plugins/sdk/transport.hpp"
#include "transports/ble/address.hpp"
#include "transports/ble/advert.hpp"
#include "transports/ble/dbus.hpp"
#include "transports/ble/loop.hpp"

namespace cpns::ble {

// What bluetoothd's objects are asked by.
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
    bool ours = false;                  ///< it advertised our service, or has it
    bool resolved = false;              ///< its services are known
    std::optional<ble::advert> advert;  ///< what it advertised, if it is one of ours
    std::int32_t rssi = CPNS_RSSI_UNKNOWN;
  };
  /// What the owner is told. An adapter that went away has no entry any more.
  struct events {
    std::function<void(const std::string& adapter)> adapter_changed;
    /// An advertisement came in just now.
    std::function<void(const std::string& path, const device&)> heard;
    /// A device of ours that BlueZ knows from earlier.
    std::function<void(const std::string& path, const device&)> remembered;
    /// It was connected or not, or its services were resolved.
    std::function<void(const std::string& path, const device&)> changed;
    std::function<void(const std::string& path)> gone;
    /// What a characteristic notified.
    std::function<void(const std::string& path, const std::vector<std::uint8_t>&)> notified;
    /// The connection is about to be replaced: objects on it have to go.
    std::function<void()> bus_lost;
  };
  using properties = std::map<std::string, sdbus::Variant>;
  using objects = std::map<sdbus::ObjectPath, std::map<std::string, properties>>;
  using answer = dbus::answer;

  /// Looks for bluetoothd and the adapters named, for a second and a half at most. Throws sdk::unavailable
  /// with what a person has to do.
  bluez(loop& in, sdk::host out, const std::vector<std::string>& adapters);
  ~bluez() override;

  /// Tells of what is there already, then of what changes.
  void start(events e);
  /// nullptr if it is not there.
  [[nodiscard]] const adapter* find_adapter(const std::string& name) const;
  [[nodiscard]] const device* find_device(const std::string& path) const;

  /// Asks an object of bluetoothd; `done` comes in the loop, or not at all when the bus or bluetoothd goes.
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
  /// Waits until bluetoothd has answered all that it was asked, a second at most; meanwhile only answers and
  /// signals are heeded.
  void settle();
  /// All objects of bluetoothd: the answer holds `objects`.
  void objects_now(answer done);
  [[nodiscard]] sdbus::IConnection& connection() { return *connection_; }

  /// The text under `name`; empty if there is none.
  static std::string text(const properties& p, const char* name);

  /// In words for a person, with what to do where that is known.
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
  [[nodiscard]] bool is_ours(const std::string& adapter) const;

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
