// What it costs to have a radio in a process of its own: the same plugin (tcp over 127.0.0.1) and the same
// PNE beside it, once in this process (/0) and once in a child process (/1).

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

#include "plugins/isolation/child.hpp"
#include "plugins/isolation/isolated_transport.hpp"

namespace {

using namespace cpns;
using namespace cpns::plugins;

constexpr std::size_t message_size = 200;  // about as a KeyDelivery
constexpr std::size_t messages_at_once = 1000;
constexpr std::size_t under_way = 100;  // about what a link takes before it is full
constexpr std::chrono::seconds timeout{20};

/// Counts messages; sends them back if it is told to. [thread-safe]
class ear final : public transport_listener {
 public:
  void link_up(link_id link, endpoint_id, std::string) override {
    note([&] { link_ = link; });
  }
  void link_down(link_id, std::string) override {
    note([&] { link_ = 0; });
  }
  void message(link_id link, bytes data) override {
    if (auto* back = echo_) (void)back->send(link, data);
    note([&] { ++heard_; });
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
  std::uint64_t heard() {
    std::lock_guard lock{guard_};
    return heard_;
  }
  bool wait_for(std::uint64_t messages) {
    std::unique_lock lock{guard_};
    return changed_.wait_for(lock, timeout, [&] { return heard_ >= messages; });
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
  std::uint64_t heard_ = 0;
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

/// A gateway's radio, here or isolated, and a PNE's here, with one link between them.
class line {
 public:
  explicit line(bool isolated) {
    const auto address = free_address();
    const transport_spec central{"tcp", transport_role::central, {{"listen", address}}, {}};
    const transport_spec peripheral{"tcp", transport_role::peripheral, {{"connect", address}}, {}};
    isolation::isolation_settings settings;
    settings.name = "bench";
    auto a = isolated ? isolation::open_isolated(central, settings, gateway_hears)
                      : load_transport(central, gateway_hears);
    auto b = load_transport(peripheral, pne_hears);
    if (!a || !b) return;
    gateway = std::move(*a);
    pne = std::move(*b);
    if (gateway->scan(true) && pne->add_endpoint(1, "pne")) {
      on_pne = pne_hears.link();
      on_gateway = gateway_hears.link();
    }
  }
  ~line() {
    if (pne) pne->close();
    if (gateway) gateway->close();
  }
  [[nodiscard]] bool up() const { return on_pne != 0 && on_gateway != 0; }

  ear gateway_hears, pne_hears;
  std::unique_ptr<transport> gateway, pne;
  link_id on_gateway = 0, on_pne = 0;
};

/// A full link is left alone for a moment: a sender that turns in circles would take the processor from those
/// who make room.
bool send_until_taken(transport& t, link_id link, const bytes& message) {
  for (;;) {
    const auto sent = t.send(link, message);
    if (sent) return true;
    if (sent.error().code != errc::state_overloaded) return false;
    std::this_thread::sleep_for(std::chrono::microseconds{20});
  }
}

/// KiB of the only child process: resident, and of that what it shares with nobody.
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

/// One message to the PNE and back.
void radio_round_trip(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  l.pne_hears.send_back_over(*l.pne);
  const bytes message(message_size, 1);
  std::uint64_t count = 0;
  for (auto _ : state)
    if (!l.gateway->send(l.on_gateway, message) || !l.gateway_hears.wait_for(++count))
      return state.SkipWithError("a message was lost");
  count_memory(state);
}

/// Many messages in one direction, some of them under way at any moment.
void stream(benchmark::State& state, transport& from, link_id link, ear& to) {
  const bytes message(message_size, 1);
  auto sent = to.heard();
  for (auto _ : state) {
    for (std::size_t i = 0; i < messages_at_once; ++i, ++sent)
      if (!to.wait_for(sent < under_way ? 0 : sent - under_way) || !send_until_taken(from, link, message))
        return state.SkipWithError("the link is gone");
    if (!to.wait_for(sent)) return state.SkipWithError("messages were lost");
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(messages_at_once));
}

void radio_stream_out(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  stream(state, *l.gateway, l.on_gateway, l.pne_hears);
}

void radio_stream_in(benchmark::State& state) {
  line l{state.range(0) != 0};
  if (!l.up()) return state.SkipWithError("no link came up");
  stream(state, *l.pne, l.on_pne, l.gateway_hears);
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
