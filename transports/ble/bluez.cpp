#include "transports/ble/bluez.hpp"

#include <poll.h>

#include <algorithm>

namespace cpns::ble {
namespace {

constexpr std::chrono::milliseconds last_replies{1000};  // close may take two seconds in total

constexpr const char* bluez_name = "org.bluez";
constexpr const char* object_manager = "org.freedesktop.DBus.ObjectManager";
constexpr std::chrono::milliseconds first_reply{1500};  // open may take two seconds in total
constexpr std::chrono::seconds bus_pause{1};
constexpr std::size_t proxies_kept = 32;

/// The value of `name` if it exists and has this type.
template <class T>
std::optional<T> value(const bluez::properties& p, const char* name) {
  const auto it = p.find(name);
  if (it == p.end()) return std::nullopt;
  try {
    return it->second.get<T>();
  } catch (const sdbus::Error&) {
    return std::nullopt;
  }
}

/// "hci0" from "/org/bluez/hci0" or "/org/bluez/hci0/dev_...".
std::string adapter_name(const std::string& path) {
  constexpr std::string_view before{"/org/bluez/"};
  if (!path.starts_with(before)) return {};
  return path.substr(before.size(), path.find('/', before.size()) - before.size());
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const auto& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

}  // namespace

std::string adapter_path(const std::string& name) { return "/org/bluez/" + name; }

std::string bluez::explain(const sdbus::Error& wrong) {
  const std::string& name = wrong.getName();
  // The bus tries to start bluetoothd; without systemd, or if it is disabled, that fails in many ways.
  if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
      name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
      name.starts_with("org.freedesktop.DBus.Error.Spawn.") || name.starts_with("org.freedesktop.systemd1."))
    return "bluetoothd does not run: install bluez and start it (systemctl start bluetooth)";
  if (name == "org.freedesktop.DBus.Error.AccessDenied")
    return "this user has no permission to use bluetoothd: add it to the group bluetooth (usermod -aG "
           "bluetooth "
           "USER), or allow send_destination=\"org.bluez\" in a policy in /etc/dbus-1/system.d";
  if (name == "org.freedesktop.DBus.Error.NoReply" || name == "org.freedesktop.DBus.Error.Timeout" ||
      name == "System.Error.ETIMEDOUT")
    return "bluetoothd does not answer";
  return wrong.getMessage().empty() ? name : wrong.getMessage() + " (" + name + ")";
}

bluez::bluez(loop& in, sdk::host out, const std::vector<std::string>& adapters)
    : loop_(in), out_(out), names_(adapters) {
  try {
    connect();
  } catch (const sdbus::Error& e) {
    throw sdk::unavailable{"cannot connect to the D-Bus system bus, which bluetoothd needs: " +
                           e.getMessage()};
  }
  objects there;
  try {
    there = ask_objects();
  } catch (const sdbus::Error& e) {
    throw sdk::unavailable{explain(e)};
  }
  std::vector<std::string> present;
  for (const auto& [path, interfaces] : there)
    if (interfaces.count(adapter_interface) != 0) present.push_back(adapter_name(path));
  for (const auto& n : names_)
    if (std::find(present.begin(), present.end(), n) == present.end())
      throw sdk::unavailable{
          "Bluetooth adapter " + n + " not found; " +
          (present.empty() ? "bluetoothd has no adapter" : "available: " + joined(present))};
}

bluez::~bluez() {
  loop_.set_source(nullptr);
  proxies_.clear();
}

void bluez::connect() {
  connection_ = sdbus::createSystemBusConnection();
  const auto on_signal = [this](const std::string& rule, void (*act)(bluez&, sdbus::Message&)) {
    dbus::listen(*connection_, rule, [this, act](sdbus::Message& m) {
      try {
        act(*this, m);
      } catch (const sdbus::Error& e) {
        out_.log(CPNS_LOG_DEBUG, "ignoring a malformed D-Bus signal: " + e.getMessage());
      }
    });
  };
  on_signal("type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager',member='"
            "InterfacesAdded'",
            [](bluez& self, sdbus::Message& m) {
              sdbus::ObjectPath path;
              std::map<std::string, properties> interfaces;
              m >> path >> interfaces;
              self.take(path, interfaces, false);
            });
  on_signal("type='signal',sender='org.bluez',interface='org.freedesktop.DBus.ObjectManager',"
            "member='InterfacesRemoved'",
            [](bluez& self, sdbus::Message& m) {
              sdbus::ObjectPath path;
              std::vector<std::string> interfaces;
              m >> path >> interfaces;
              const auto lost = [&](const char* i) {
                return std::find(interfaces.begin(), interfaces.end(), i) != interfaces.end();
              };
              if (lost(adapter_interface) || lost(device_interface)) self.drop(path);
              if (lost(characteristic_interface) && self.events_.gone) self.events_.gone(path);
            });
  on_signal("type='signal',sender='org.bluez',interface='org.freedesktop.DBus.Properties',member='"
            "PropertiesChanged'",
            [](bluez& self, sdbus::Message& m) {
              std::string interface;
              properties changed;
              m >> interface >> changed;
              const std::string path = m.getPath();
              if (interface == adapter_interface) self.take_adapter(adapter_name(path), changed);
              if (interface == device_interface && self.devices_.count(path) != 0)
                self.take_device(path, changed, true);
              if (interface == characteristic_interface && self.events_.notified)
                if (const auto data = value<std::vector<std::uint8_t>>(changed, "Value"))
                  self.events_.notified(path, *data);
            });
  on_signal("type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='"
            "NameOwnerChanged',"
            "arg0='org.bluez'",
            [](bluez& self, sdbus::Message& m) {
              std::string name, before, now;
              m >> name >> before >> now;
              if (!before.empty()) {
                self.out_.log(CPNS_LOG_WARN, "bluetoothd is gone; waiting until it is back");
                self.drop_all();
              }
              if (!now.empty()) self.refresh();
            });
}

bluez::objects bluez::ask_objects() {
  const auto root = dbus::make_proxy(*connection_, bluez_name, "/");
  auto message = dbus::method_call(*root, object_manager, "GetManagedObjects");
  auto reply = root->callMethod(message, first_reply);
  objects out;
  reply >> out;
  return out;
}

void bluez::start(events e) {
  events_ = std::move(e);
  started_ = true;
  loop_.set_source(this);
  refresh();
}

void bluez::refresh() {
  if (!started_) return;
  objects_now([this](sdbus::MethodReply& reply, const sdbus::Error* wrong) {
    if (wrong != nullptr) return out_.log(CPNS_LOG_WARN, explain(*wrong));
    objects all;
    reply >> all;
    for (const auto& [path, interfaces] : all) take(path, interfaces, true);
  });
}

void bluez::objects_now(answer done) { call("/", object_manager, "GetManagedObjects", std::move(done)); }

std::string bluez::text(const properties& p, const char* name) {
  return value<std::string>(p, name).value_or("");
}

const bluez::adapter* bluez::find_adapter(const std::string& name) const {
  const auto it = adapters_.find(name);
  return it == adapters_.end() ? nullptr : &it->second;
}

const bluez::device* bluez::find_device(const std::string& path) const {
  const auto it = devices_.find(path);
  return it == devices_.end() ? nullptr : &it->second;
}

bool bluez::is_used(const std::string& name) const {
  return std::find(names_.begin(), names_.end(), name) != names_.end();
}

void bluez::take(const std::string& path, const std::map<std::string, properties>& interfaces,
                 bool remembered) {
  const auto name = adapter_name(path);
  if (!started_ || !is_used(name)) return;
  if (const auto a = interfaces.find(adapter_interface); a != interfaces.end()) take_adapter(name, a->second);
  if (const auto d = interfaces.find(device_interface); d != interfaces.end()) {
    if (devices_.count(path) != 0 && remembered) return;
    devices_[path] = device{};
    devices_[path].adapter = name;
    take_device(path, d->second, remembered);
    if (remembered && devices_[path].has_service && events_.remembered)
      events_.remembered(path, devices_[path]);
  }
}

void bluez::take_adapter(const std::string& name, const properties& p) {
  if (!started_ || !is_used(name)) return;
  const auto before = find_adapter(name) != nullptr ? std::optional{adapters_[name]} : std::nullopt;
  auto now = before.value_or(adapter{});
  const auto text = value<std::string>(p, "Address");
  if (!before && !text) return;  // a change of an adapter whose object was not reported yet
  if (text)
    now.at = address::parse(*text, value<std::string>(p, "AddressType").value_or("public")).value_or(now.at);
  now.powered = value<bool>(p, "Powered").value_or(now.powered);
  now.discovering = value<bool>(p, "Discovering").value_or(now.discovering);
  if (before == now) return;
  adapters_[name] = now;
  if (!before || before->powered != now.powered)
    out_.log(now.powered ? CPNS_LOG_INFO : CPNS_LOG_WARN,
             "adapter " + name +
                 (now.powered ? " is on" : " is off; waiting until it is on (bluetoothctl power on)"));
  if (events_.adapter_changed) events_.adapter_changed(name);
}

/// `known`: BlueZ had the device before. BlueZ reports an advertisement as a change of RSSI or manufacturer data.
void bluez::take_device(const std::string& path, const properties& p, bool known) {
  auto& d = devices_[path];
  if (const auto text = value<std::string>(p, "Address"))
    d.at = address::parse(*text, value<std::string>(p, "AddressType").value_or("public")).value_or(d.at);
  d.connected = value<bool>(p, "Connected").value_or(d.connected);
  d.paired = value<bool>(p, "Paired").value_or(d.paired);
  d.resolved = value<bool>(p, "ServicesResolved").value_or(d.resolved);
  const auto rssi = value<std::int16_t>(p, "RSSI");
  if (rssi) d.rssi = *rssi;
  const auto made = value<std::map<std::uint16_t, sdbus::Variant>>(p, "ManufacturerData");
  if (made && made->count(company) != 0) {
    try {
      d.advert = decode(made->at(company).get<std::vector<std::uint8_t>>());
    } catch (const sdbus::Error&) {
      d.advert.reset();
    }
  }
  const auto services = value<std::vector<std::string>>(p, "UUIDs");
  d.has_service =
      d.has_service || d.advert ||
      (services && std::find(services->begin(), services->end(), service_uuid) != services->end());
  const bool fresh = rssi || (made && known);
  const auto copy = d;  // a callback may remove the device
  if (fresh && copy.advert && events_.heard) events_.heard(path, copy);
  if ((p.count("Connected") != 0 || p.count("ServicesResolved") != 0) && events_.changed)
    events_.changed(path, copy);
}

void bluez::drop(const std::string& path) {
  if (devices_.erase(path) != 0) {
    if (events_.gone) events_.gone(path);
    return;
  }
  const auto name = adapter_name(path);
  if (path != adapter_path(name) || adapters_.erase(name) == 0) return;
  out_.log(CPNS_LOG_WARN, "adapter " + name + " is gone; waiting until it is back");
  if (events_.adapter_changed) events_.adapter_changed(name);
}

void bluez::drop_all() {
  const auto adapters = std::exchange(adapters_, {});
  const auto devices = std::exchange(devices_, {});
  for (const auto& [path, d] : devices)
    if (events_.gone) events_.gone(path);
  for (const auto& [name, a] : adapters)
    if (events_.adapter_changed) events_.adapter_changed(name);
}

bluez::proxy& bluez::proxy_of(const std::string& path) {
  auto& p = proxies_[path];
  if (!p) p = std::make_unique<proxy>(proxy{dbus::make_proxy(*connection_, bluez_name, path), 0});
  return *p;
}

void bluez::prepare(int& fd, short& wanted, int& timeout_ms) {
  if (!connection_) return;
  const auto data = connection_->getEventLoopPollData();
  fd = data.fd;
  wanted = data.events;
  const int wait = data.getPollTimeout();
  if (wait >= 0 && (timeout_ms < 0 || wait < timeout_ms)) timeout_ms = wait;
}

void bluez::process() {
  if (!connection_) return;
  try {
    while (dbus::process_one(*connection_)) {
    }
  } catch (const sdbus::Error& e) {
    out_.log(CPNS_LOG_WARN, "the D-Bus connection is lost: " + e.getMessage() + "; reconnecting every " +
                                std::to_string(bus_pause.count()) + " s");
    drop_all();
    if (events_.bus_lost) events_.bus_lost();
    proxies_.clear();
    connection_.reset();
    loop_.after(bus_pause, [this] { reconnect(); });
    return;
  }
  // Each device that was called leaves a proxy behind.
  if (proxies_.size() > proxies_kept)
    std::erase_if(proxies_, [](const auto& entry) { return entry.second->pending == 0; });
}

void bluez::settle() {
  const auto open = [this] {
    return std::any_of(proxies_.begin(), proxies_.end(),
                       [](const auto& entry) { return entry.second->pending != 0; });
  };
  const auto until = loop::clock::now() + last_replies;
  while (connection_ && open() && loop::clock::now() < until) {
    pollfd one{-1, 0, 0};
    int timeout = 50;
    prepare(one.fd, one.events, timeout);
    ::poll(&one, 1, timeout);
    process();
  }
}

void bluez::reconnect() {
  try {
    connect();
    refresh();
  } catch (const sdbus::Error&) {
    connection_.reset();
    loop_.after(bus_pause, [this] { reconnect(); });
  }
}

}  // namespace cpns::ble
