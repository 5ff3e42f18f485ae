#include "transports/ble/gatt_server.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

namespace cpns::ble {
namespace {

constexpr const char* gatt_manager = "org.bluez.GattManager1";
constexpr const char* service_interface = "org.bluez.GattService1";
constexpr int messages_at_once = 64;

std::vector<std::string> write_flags(security level) {
  std::vector<std::string> out{"write-without-response"};
  if (level == security::medium) out.emplace_back("encrypt-write");
  if (level == security::high) out.emplace_back("encrypt-authenticated-write");
  return out;
}

}  // namespace

gatt_server::gatt_server(loop& in, sdk::host out, bluez& b, std::string adapter, const std::string& path,
                         const settings& s, events e)
    : loop_(in), out_(out), bluez_(b), adapter_(std::move(adapter)), path_(path), settings_(s),
      events_(std::move(e)) {
  auto root = std::make_unique<dbus::object>(bluez_.connection(), path_);
  root->manage_others();
  root->show();
  objects_.push_back(std::move(root));
  auto service = std::make_unique<dbus::object>(bluez_.connection(), path_ + "/service");
  service->property(service_interface, "UUID", [] { return std::string{service_uuid}; });
  service->property(service_interface, "Primary", [] { return true; });
  service->show();
  objects_.push_back(std::move(service));
  add_characteristic("write", write_uuid, write_flags(s.level));
  add_characteristic("notify", notify_uuid, {"notify"});
  bluez_.call(
      adapter_path(adapter_), gatt_manager, "RegisterApplication",
      [this, alive = std::weak_ptr{alive_}](sdbus::MethodReply&, const sdbus::Error* wrong) {
        if (alive.expired()) return;
        if (wrong == nullptr) {
          ready_ = true;
          return events_.ready();
        }
        const auto failed = events_.failed;  // the callback destroys this
        failed(bluez::explain(*wrong));
      },
      sdbus::ObjectPath{path_}, bluez::properties{});
}

gatt_server::~gatt_server() {
  close_end(&chunk_pipe::in);
  close_end(&chunk_pipe::out);
  bluez_.call(adapter_path(adapter_), gatt_manager, "UnregisterApplication", nullptr,
              sdbus::ObjectPath{path_});
}

void gatt_server::add_characteristic(const char* name, const char* uuid,
                                     const std::vector<std::string>& flags) {
  auto o = std::make_unique<dbus::object>(bluez_.connection(), path_ + "/service/" + name);
  const auto show = [&](const char* what, auto getter) {
    o->property(characteristic_interface, what, std::move(getter));
  };
  show("UUID", [uuid] { return std::string{uuid}; });
  show("Service", [path = path_ + "/service"] { return sdbus::ObjectPath{path}; });
  show("Flags", [flags] { return flags; });
  const bool writes = std::string_view{uuid} == write_uuid;
  // These properties show bluetoothd that it can acquire the descriptors.
  show(writes ? "WriteAcquired" : "NotifyAcquired", [] { return false; });
  o->method(characteristic_interface, writes ? "AcquireWrite" : "AcquireNotify",
            [this, writes](const bluez::properties& options) {
              return acquire(options, writes ? &chunk_pipe::in : &chunk_pipe::out);
            });
  // bluetoothd calls it if the descriptor is closed before the last subscribed gateway is gone.
  if (!writes) o->method(characteristic_interface, "StopNotify", [] {});
  o->show();
  objects_.push_back(std::move(o));
}

gatt_server::given gatt_server::acquire(const bluez::properties& options, fd chunk_pipe::*into) {
  int two[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two) != 0)
    throw dbus::error("org.bluez.Error.Failed", std::strerror(errno));
  fd mine{two[0]};
  sdbus::UnixFd theirs{two[1], sdbus::adopt_fd};
  const auto number = [&](const char* name) -> std::uint16_t {
    const auto it = options.find(name);
    return it == options.end() ? std::uint16_t{23} : it->second.get<std::uint16_t>();
  };
  const auto mtu = number("mtu");
  if (into == &chunk_pipe::out) {
    mtu_ = mtu;
    from_.clear();
    if (const auto it = options.find("device"); it != options.end())
      if (const auto* d = bluez_.find_device(it->second.get<sdbus::ObjectPath>())) from_ = d->at.text();
  }
  close_end(into);
  pipe_.*into = std::move(mine);
  // Later, because the reply to this call must be sent first.
  loop_.post([this, alive = std::weak_ptr{alive_}] {
    if (!alive.expired()) watch_pipe();
  });
  return {std::move(theirs), mtu};
}

void gatt_server::close_end(fd chunk_pipe::*which) {
  if (!(pipe_.*which)) return;
  loop_.unwatch((pipe_.*which).get());
  (pipe_.*which).reset();
}

void gatt_server::watch_pipe() {
  if (pipe_.in) loop_.watch(pipe_.in.get(), POLLIN, [this](short) { read(); });
  if (pipe_.out) loop_.watch(pipe_.out.get(), 0, [this](short) { close_end(&chunk_pipe::out); });
  if (const auto hello = std::exchange(waiting_, std::nullopt)) welcome(*hello);
}

/// Ignores everything except a hello: it comes from a gateway without a session, or after its session.
void gatt_server::read() {
  std::array<std::uint8_t, chunk_max> buffer{};
  for (int i = 0; i < messages_at_once && pipe_.in; ++i) {
    const auto n = ::recv(pipe_.in.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) return close_end(&chunk_pipe::in);
    const auto g = decode_greeting({buffer.data(), static_cast<std::size_t>(n)});
    if (g && !g->welcome) return welcome(*g);
  }
}

void gatt_server::welcome(const greeting& hello) {
  if (!pipe_.in || !pipe_.out) {
    waiting_ = hello;  // bluetoothd acquires the descriptors in any order
    return;
  }
  auto own = hello;
  own.welcome = true;
  own.window = receive_window;
  own.chunk = chunk_size(mtu_);
  own.mtu = static_cast<std::uint16_t>(settings_.mtu);
  if (!send_now(pipe_.out.get(), encode(own))) return;
  if (hello.mtu < settings_.mtu) {
    if (unfit_logged_.due())
      out_.log(CPNS_LOG_WARN, "ble:" + from_ + ": the peer accepts frames of at most " +
                                  std::to_string(hello.mtu) +
                                  " bytes; set the parameter mtu to that or less");
    return;
  }
  loop_.unwatch(pipe_.in.get());
  loop_.unwatch(pipe_.out.get());
  events_.up(std::make_unique<gatt_channel>(std::move(pipe_), own, hello), from_);
}

void gatt_server::take_back(gatt_channel& from) {
  auto back = from.take_pipe();
  // Keeps a descriptor that bluetoothd acquired meanwhile: it is newer.
  if (!pipe_.in) pipe_.in = std::move(back.in);
  if (!pipe_.out) pipe_.out = std::move(back.out);
  if (from.another()) waiting_ = from.another();
  watch_pipe();
}

}  // namespace cpns::ble
