#include "transports/ble/gatt_client.hpp"

#include <sys/socket.h>

#include <cerrno>
#include <cstring>

namespace cpns::ble {
namespace {

// bluetoothd may lose the first chunk for an application while it requests the descriptor.
constexpr std::chrono::seconds greet_again{1};

}  // namespace

gatt_client::gatt_client(loop& in, bluez& b, std::string path, const settings& s, std::uint32_t nonce,
                         events e)
    : loop_(in), bluez_(b), path_(std::move(path)), settings_(s), events_(std::move(e)) {
  hello_.session = static_cast<std::uint8_t>(1 + nonce % 255);
  hello_.window = receive_window;
  hello_.mtu = static_cast<std::uint16_t>(s.mtu);
  hello_.nonce = nonce;
}

gatt_client::~gatt_client() { loop_.cancel(again_); }

template <class Done>
bluez::answer gatt_client::guarded(Done done) {
  return [this, alive = std::weak_ptr{alive_}, done = std::move(done)](sdbus::MethodReply& reply,
                                                                       const sdbus::Error* wrong) {
    if (alive.expired()) return;
    try {
      done(reply, wrong);
    } catch (const sdbus::Error& e) {
      fail(bluez::explain(e));
    }
  };
}

void gatt_client::begin() {
  bluez_.call(path_, device_interface, "Connect",
              guarded([this](sdbus::MethodReply&, const sdbus::Error* wrong) {
                if (wrong != nullptr) return fail(bluez::explain(*wrong));
                if (const auto* d = bluez_.find_device(path_)) changed(*d);
              }));
}

/// bluetoothd may report Connected before the object, so the state of the object alone is not conclusive.
void gatt_client::changed(const bluez::device& d) {
  if (!d.connected && !d.resolved) {
    if (finding_) gone(path_);
    return;
  }
  if (!std::exchange(connected_, true)) events_.connected();
  if (!d.resolved || std::exchange(finding_, true)) return;
  if (settings_.level != security::low && !d.paired)
    return fail("the device is not paired, but the parameter security requires it (bluetoothctl pair)");
  find_characteristics();
}

void gatt_client::gone(const std::string& path) {
  if (path != path_ && path != notify_) return;
  notified_.reset();
  if (!up_) fail("the peer is gone");
}

void gatt_client::find_characteristics() {
  bluez_.objects_now(guarded([this](sdbus::MethodReply& reply, const sdbus::Error* wrong) {
    if (wrong != nullptr) return fail(bluez::explain(*wrong));
    bluez::objects all;
    reply >> all;
    std::string write;
    for (const auto& [path, interfaces] : all) {
      const auto c = interfaces.find(characteristic_interface);
      if (c == interfaces.end() || !path.starts_with(path_ + "/")) continue;
      const auto uuid = bluez::text(c->second, "UUID");
      if (uuid == write_uuid) write = path;
      if (uuid == notify_uuid) notify_ = path;
    }
    if (write.empty() || notify_.empty()) return fail("it lacks the GATT characteristics that it advertises");
    subscribe(write);
  }));
}

void gatt_client::subscribe(const std::string& write) {
  int two[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, two) != 0)
    return fail(std::strerror(errno));
  pipe_.in = fd{two[0]};
  notified_ = fd{two[1]};
  bluez_.call(notify_, characteristic_interface, "StartNotify",
              guarded([this, write](sdbus::MethodReply&, const sdbus::Error* wrong) {
                if (wrong != nullptr) return fail(bluez::explain(*wrong));
                acquire(write);
              }));
}

void gatt_client::acquire(const std::string& write) {
  bluez_.call(write, characteristic_interface, "AcquireWrite",
              guarded([this](sdbus::MethodReply& reply, const sdbus::Error* wrong) {
                if (wrong != nullptr) return fail(bluez::explain(*wrong));
                sdbus::UnixFd given;
                std::uint16_t mtu = 0;
                reply >> given >> mtu;
                pipe_.out = fd{given.release()};
                hello_.chunk = chunk_size(mtu);
                greet();
              }),
              bluez::properties{});
}

void gatt_client::greet() {
  if (!send_now(pipe_.out.get(), encode(hello_))) return fail("the peer is gone");
  again_ = loop_.after(greet_again, [this] { greet(); });
}

void gatt_client::notified(const std::string& path, const std::vector<std::uint8_t>& chunk) {
  if (path != notify_ || !notified_) return;
  if (!up_) return receive_welcome(chunk);
  // The socket holds more than the window, so it is full only if the peer exceeds the window: close the link.
  if (chunk.empty() || !send_now(notified_.get(), chunk)) notified_.reset();
}

void gatt_client::receive_welcome(chunk_view chunk) {
  const auto g = decode_greeting(chunk);
  if (!g || !g->welcome || g->session != hello_.session || g->nonce != hello_.nonce) return;
  if (g->mtu < settings_.mtu)
    return fail("the peer accepts frames of at most " + std::to_string(g->mtu) +
                " bytes; set the parameter mtu to that or less");
  loop_.cancel(std::exchange(again_, 0));
  up_ = true;
  events_.up(std::make_unique<gatt_channel>(std::move(pipe_), hello_, *g));
}

void gatt_client::fail(const std::string& why) {
  const auto failed = events_.failed;
  failed(why);
}

}  // namespace cpns::ble
