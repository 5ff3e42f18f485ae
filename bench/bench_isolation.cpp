// The cost of isolating a radio: the same plugin (tcp over 127.0.0.1) and the same PNE, once in this process (/0)
// and once with the gateway's radio in a child process (/1).

#include <arpa/inet.h>
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <thread>

#include "plugins/isolation/isolated_transport.hpp"
#include "plugins/isolation/process.hpp"

namespace {

using namespace cpns;
using namespace cpns::plugins;

constexpr std::size_t message_size = 200;  // about the size of a KeyDelivery
constexpr std::size_t messages_at_once = 1000;
constexpr std::size_t in_flight = 100;  // about the number of messages that fill a link
constexpr std::chrono::seconds timeout{20};

/// Counts messages, and echoes them if send_back_over() was called. [thread-safe]
class counting_listener final : public transport_listener {
 public:
  void link_up(link_id link, endpoint_id, std::string) override {
    note([&] { link_ = link; });
  }
  void link_down(link_id, std::string) override {
    note([&] { link_ = 0; });
  }
  void message(link_id link, bytes data) override {
    if (auto* back = echo_) (void)back->send(link, data);
    note([&] { ++count_; });
  }
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error) override {}

  void send_back_over(transport& t) { echo_ = &t; }
  link_id link() {
    std::unique_lock lock{guard_};
    changed_.wait_for(lock, timeout, [this] { return link_ != 0; });
    return link_;
  }
  std::uint64_t count() {
    std::lock_guard lock{guard_};
    return count_;
  }
  bool wait_for(std::uint64_t messages) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, timeout, [&] { return count_ >= messages; });
  }

 private:
  template <class Change>
  void note(Change change) {
    std::lock_guard lock{guard_};
    change();
    changed_.notify_all();
  }
  std::mutex guard_;
  std::condition_variable changed_;
  link_id link_ = 0;
  std::uint64_t count_ = 0;
  transport* echo_ = nullptr;
};

std::string free_address() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof at;
  const bool found = ::bind(fd, reinterpret_cast<sockaddr*>(&at), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &size) == 0;
  ::close(fd);
  return "127.0.0.1:" + std::to_string(found ? ntohs(at.sin_port) : 0);
}

/// The radio of a gateway, isolated or not, and the radio of a PNE in this process, with one link between them.
class line {
 public:
  explicit line(bool isolated) {
    const auto address = free_address();
    const transport_spec central{"tcp", transport_role::central, {{"listen", address}}, {}};
    const transport_spec peripheral{"tcp", transport_role::peripheral, {{"connect", address}}, {}};
    isolation::isolation_settings settings;
    settings.name = "bench";
    auto a = isolated ? isolation::open_isolated(central, settings, gateway_side)
                      : load_transport(central, gateway_side);
    auto b = load_transport(peripheral, pne_side);
    if (!a || !b) return;
    gateway = std::move(*a);
    pne = std::move(*b);
    if (gateway->scan(true) && pne->add_endpoint(1, "pne")) {
      on_pne = pne_side.link();
      on_gateway = gateway_side.link();
    }
  }
  ~line() {
    if (pne) pne->close();
    if (gateway) gateway->close();
  }
  [[nodiscard]] bool up() const { return on_pne != 0 && on_gateway != 0; }

  counting_listener gateway_side, pne_side;
  std::unique_ptr<transport> gateway, pne;
  link_id on_gateway = 0, on_pne = 0;
};

/// Pauses when the link is full: a busy loop would take the processor from the threads that empty it.
bool send_until_taken(transport& t, link_id link, const bytes& message) {
  for (;;) {
    const auto sent = t.send(link, message);
    if (sent) return true;
    if (sent.error().code != errc::state_overloaded) return false;
    std::this_thread::sleep_for(std::chrono::microseconds{20});
  }
}

/// Memory of the only child process in KiB: resident, and its unshared part.
void count_memory(benchmark::State& state) {
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/task"}) {
    std::ifstream file{entry.path() / "children"};
    pid_t child = 0;
    if (!(file >> child)) continue;
    std::uint64_t all = 0, resident = 0, shared = 0;
    std::ifstream{"/proc/" + std::to_string(child) + "/statm"} >> all >> resident >> shared;
    const auto kib = static_cast<double>(::sysconf(_SC_PAGESIZE)) / 1024;
    state.counters["resident_kib"] = static_cast<double>(resident) * kib;
    state.counters["own_kib"] = static_cast<double>(resident - shared) * kib;
  }
}

/// One message to the PNE and its echo.
void radio_round_trip(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  l.pne_side.send_back_over(*l.pne);
  const bytes message(message_size, 1);
  std::uint64_t count = 0;
  for (auto _ : state)
    if (!l.gateway->send(l.on_gateway, message) || !l.gateway_side.wait_for(++count))
      return state.SkipWithError("a message was lost");
  count_memory(state);
}

/// Many messages in one direction, with up to `in_flight` unanswered ones.
void stream(benchmark::State& state, transport& from, link_id link, counting_listener& to) {
  const bytes message(message_size, 1);
  auto sent = to.count();
  for (auto _ : state) {
    for (std::size_t i = 0; i < messages_at_once; ++i, ++sent)
      if (!to.wait_for(sent < in_flight ? 0 : sent - in_flight) || !send_until_taken(from, link, message))
        return state.SkipWithError("the link is gone");
    if (!to.wait_for(sent)) return state.SkipWithError("messages were lost");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(messages_at_once));
}

void radio_stream_out(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  stream(state, *l.gateway, l.on_gateway, l.pne_side);
}

void radio_stream_in(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  stream(state, *l.pne, l.on_pne, l.gateway_side);
}

BENCHMARK(radio_round_trip)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(radio_stream_out)->Arg(0)->Arg(1)->UseRealTime();
BENCHMARK(radio_stream_in)->Arg(0)->Arg(1)->UseRealTime();

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::strcmp(argv[1], isolation::radio_child_flag) == 0)
    return isolation::radio_child_main(argc, argv);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
