// Many PNEs in one process, over the radio of bench/bundle, for the load of a gateway. bench/gateway runs it.
//
//   bench_pnes PLUGIN SOCKET DEVICES    DEVICES: a list of devices, in the form that `cpns device import` reads
//
// Each PNE is the machine of a real one with real cryptography; its record is in memory alone, so nothing here waits for
// a disk. Commands are lines on standard input, and each is answered with one line of JSON when it is done:
//
//   key AT_ONCE SECONDS [RATE]   brings up the links of PNEs, as many as AT_ONCE until their first exchange is over, until all are keyed;
//                           with RATE no more than so many per second
//   updated SECONDS [DUE]   waits until each PNE has a newer key than when the last command was answered; with DUE the times are those
//                           from DUE seconds after the last confirmation of a PNE to the next one
//   sleep SECONDS           puts all PNEs to sleep: each says so, and its link goes down
//   wake AT_ONCE SECONDS    wakes all up, as many as AT_ONCE until their exchange is over
//   idle SECONDS            waits, and answers what the gateway asks
//
// An exchange is over when the PNE has erased the older key (KRET). The times p50_ms, p99_ms and most_ms are from the begin of a
// PNE (its link is offered) to its confirmation. SECONDS: after that the command ends, whatever is missing. Exit codes: 0
// standard input has ended, 1 an error, 2 usage.

#include <algorithm>
#include <boost/json.hpp>
#include <condition_variable>
#include <deque>
#include <iostream>
#include <memory>
#include <mutex>
#include <sstream>
#include <thread>
#include <unordered_map>

#include "bench/link_frames.hpp"
#include "bench/program.hpp"
#include "crypto/suite.hpp"
#include "plugins/host/loader.hpp"
#include "protocol/pne/pne_machine.hpp"
#include "server/device_rows.hpp"

namespace cpns::bench {
namespace {

namespace json = boost::json;
using protocol::pne_event;
using protocol::pne_machine;

/// What the threads of the radio and of standard input tell the thread of the PNEs.
struct input {
  enum class kind_t : std::uint8_t { up, down, message, command, end };
  kind_t kind = kind_t::end;
  plugins::link_id link = 0;
  plugins::endpoint_id endpoint = 0;
  bytes message;
  std::string line;
};

/// [thread-safe]
class inbox final : public plugins::transport_listener {
 public:
  void link_up(plugins::link_id link, plugins::endpoint_id endpoint, std::string) override {
    put({input::kind_t::up, link, endpoint, {}, {}});
  }
  void link_down(plugins::link_id link, std::string) override { put({input::kind_t::down, link, 0, {}, {}}); }
  void message(plugins::link_id link, bytes data) override {
    put({input::kind_t::message, link, 0, std::move(data), {}});
  }
  void peer_found(std::string, std::int32_t) override {}
  void connect_failed(std::string, std::string) override {}
  void woke(std::string) override {}
  void failed(error why) override {
    std::fprintf(stderr, "bench_pnes: %s\n", why.message().c_str());
    put({});
  }
  void put(input i) {
    const std::lock_guard lock{guard_};
    all_.push_back(std::move(i));
    if (all_.size() == 1) wake_.notify_one();
  }
  /// What came since the last call; waits for something, at most until `until`.
  std::deque<input> take(clock::time_point until) {
    std::unique_lock lock{guard_};
    wake_.wait_until(lock, until, [this] { return !all_.empty(); });
    return std::exchange(all_, {});
  }

 private:
  std::mutex guard_;
  std::condition_variable wake_;
  std::deque<input> all_;
};

struct one_pne {
  pne_machine machine;
  plugins::link_id link = 0;
  clock::time_point begun{}, keyed{};    ///< keyed: its last confirmation
  bool awaited = false;                  ///< the command that runs waits for its exchange
  bool confirmed = false, over = false;  ///< since that command began
};

class pnes {
 public:
  pnes(inbox& in, std::unique_ptr<plugins::transport> radio, std::vector<protocol::pne_settings> all)
      : in_(in), radio_(std::move(radio)) {
    all_.reserve(all.size());
    for (auto& s : all)
      all_.push_back(
          {pne_machine{std::move(s), {}, crypto::openssl_suite(), crypto::system_entropy(), now_anchored()}});
  }
  ~pnes() { radio_->close(); }
  pnes(const pnes&) = delete;
  pnes& operator=(const pnes&) = delete;

  void run() {
    while (!ended_) {
      for (auto& i : in_.take(clock::now() + milliseconds{running_.empty() ? 100 : 10})) hear(i);
      if (clock::now() >= next_sweep_) sweep();
      if (!running_.empty()) go_on();
    }
  }

 private:
  void hear(input& i) {
    switch (i.kind) {
    case input::kind_t::up:
      of_link_[i.link] = static_cast<std::uint32_t>(i.endpoint - 1);
      all_[i.endpoint - 1].link = i.link;
      return;
    case input::kind_t::down:
      if (const auto at = of_link_.find(i.link); at != of_link_.end()) {
        auto& p = all_[at->second];
        if (p.link == i.link) p.link = 0;
        p.machine.handle_link_down(now_anchored(), {0, i.link});
        of_link_.erase(at);
        apply(p);
      }
      return;
    case input::kind_t::message:
      if (const auto at = of_link_.find(i.link); at != of_link_.end()) {
        auto& p = all_[at->second];
        p.machine.handle_frame(now_anchored(), {0, i.link}, i.message);
        apply(p);
      }
      return;
    case input::kind_t::command: return begin(i.line);
    case input::kind_t::end: ended_ = true; return;
    }
  }

  void apply(one_pne& p) {
    while (auto output = p.machine.poll_output()) {
      if (const auto* send = std::get_if<protocol::pne_send>(&*output)) {
        if (p.link != 0 && !radio_->send(p.link, send->message)) ++unsent_;
      } else if (const auto* event = std::get_if<pne_event>(&*output)) {
        heard(p, *event);
      }
    }
  }
  void heard(one_pne& p, const pne_event& e) {
    if (e.kind == pne_event::kind_t::rejected && rejected_++ == 0)
      std::fprintf(stderr, "bench_pnes: a message was dropped: %s\n", e.why.c_str());
    if (e.kind == pne_event::kind_t::confirmed) confirmed(p);
    if (e.kind != pne_event::kind_t::retired || std::exchange(p.over, true)) return;
    ++over_;
    if (std::exchange(p.awaited, false)) --awaited_;
  }
  void confirmed(one_pne& p) {
    using ms = std::chrono::duration<double, std::milli>;
    const auto now = clock::now();
    ++confirmations_;
    last_ = now;
    if (!std::exchange(p.confirmed, true)) {
      if (p.awaited) latencies_.push_back(ms(now - p.begun).count());
      if (running_ == "updated" && due_ > seconds{0}) latencies_.push_back(ms(now - p.keyed - due_).count());
    }
    p.keyed = now;
  }
  void sweep() {
    const auto now = now_anchored();
    next_sweep_ = clock::now() + seconds{1};
    for (auto& p : all_)
      if (p.machine.next_deadline() <= now) {
        p.machine.handle_timeout(now);
        apply(p);
      }
  }

  void begin(const std::string& line) {
    std::istringstream words{line};
    int most = 0;
    words >> running_;
    if (running_ == "key" || running_ == "wake") words >> at_once_;
    words >> most;
    const bool read = !words.fail();
    int more = 0;
    if (!(words >> more)) more = 0;
    rate_ = running_ == "key" ? more : 0;
    due_ = seconds{running_ == "updated" ? more : 0};
    first_due_ = clock::time_point::max();
    for (const auto& p : all_) first_due_ = std::min(first_due_, p.keyed + due_);
    began_ = clock::now();
    until_ = began_ + seconds{most};
    next_ = 0;
    if (!read || most <= 0) fail_command("cannot read the command " + line);
  }
  void fail_command(const std::string& why) {
    running_.clear();
    std::cout << json::object{{"error", why}} << std::endl;
  }

  void go_on() {
    if (running_ == "key" || running_ == "wake") {
      while (next_ < all_.size() && awaited_ < at_once_ && (rate_ == 0 || is_due(rate_))) wake(next_++);
    } else if (running_ == "sleep") {
      // The notes of all at once would be more than the radio takes.
      while (next_ < all_.size() && is_due(sleep_rate)) put_to_sleep(next_++);
      if (next_ == all_.size()) over_ = all_.size();
    } else if (running_ != "updated" && running_ != "idle") {
      return fail_command("unknown command " + running_);
    }
    if ((over_ == all_.size() && running_ != "idle") || clock::now() >= until_) end_command();
  }
  /// Whether the next PNE may begin, if that many begin per second.
  [[nodiscard]] bool is_due(double rate) const {
    return static_cast<double>(next_) < std::chrono::duration<double>(clock::now() - began_).count() * rate;
  }
  void wake(std::size_t n) {
    auto& p = all_[n];
    p.begun = clock::now();
    p.awaited = true;
    ++awaited_;
    if (running_ == "wake") p.machine.handle_wake(now_anchored());
    apply(p);
    if (!radio_->add_endpoint(n + 1, "pne")) ++unsent_;
  }
  void put_to_sleep(std::size_t n) {
    auto& p = all_[n];
    p.machine.handle_sleep(now_anchored());
    apply(p);
    (void)radio_->remove_endpoint(n + 1);
  }

  void end_command() {
    std::sort(latencies_.begin(), latencies_.end());
    std::cout << json::object{{"done", over_},
                              {"missing", all_.size() - over_},
                              {"confirmations", confirmations_},
                              {"seconds", std::chrono::duration<double>(clock::now() - began_).count()},
                              {"p50_ms", percentile(0.5)},
                              {"p99_ms", percentile(0.99)},
                              {"most_ms", percentile(1)},
                              {"last_after_due_s", std::chrono::duration<double>(last_ - first_due_).count()},
                              {"unsent", unsent_},
                              {"rejected", rejected_}}
              << std::endl;
    for (auto& p : all_) p.awaited = p.confirmed = p.over = false;
    over_ = awaited_ = confirmations_ = 0;
    latencies_.clear();
    running_.clear();
  }
  [[nodiscard]] json::value percentile(double share) const {
    if (latencies_.empty()) return nullptr;
    return latencies_[std::min(latencies_.size() - 1,
                               static_cast<std::size_t>(static_cast<double>(latencies_.size()) * share))];
  }

  static constexpr double sleep_rate = 20'000;  ///< per second

  inbox& in_;
  std::unique_ptr<plugins::transport> radio_;
  std::vector<one_pne> all_;
  std::unordered_map<plugins::link_id, std::uint32_t> of_link_;
  std::string running_;  ///< the command; empty: none
  std::size_t at_once_ = 0, next_ = 0, awaited_ = 0, over_ = 0, confirmations_ = 0, unsent_ = 0,
              rejected_ = 0;
  double rate_ = 0;
  seconds due_{};
  clock::time_point began_{}, until_{}, next_sweep_{}, first_due_{}, last_{};
  std::vector<double> latencies_;
  bool ended_ = false;
};

result<std::vector<protocol::pne_settings>> settings_from(const std::string& file) {
  CPNS_TRY(const auto rows, server::load_device_rows(file));
  if (!rows.bad.empty()) return fail(errc::config_syntax, rows.bad.front().in(file));
  std::vector<protocol::pne_settings> out;
  for (const auto& row : rows.good) {
    protocol::pne_settings s;
    s.entity = row.entity;
    s.temporary_key = server::kept_key(crypto::openssl_suite(), row);
    out.push_back(std::move(s));
  }
  return out;
}

status run(const std::string& plugin, const std::string& socket, const std::string& devices) {
  CPNS_TRY(auto settings, settings_from(devices));
  const auto in = std::make_shared<inbox>();
  auto radio =
      plugins::load_transport({plugin, plugins::transport_role::peripheral, {{"socket", socket}}, {}}, *in);
  if (!radio) return fail(radio.error().code, radio.error().detail);
  pnes all{*in, std::move(*radio), std::move(settings)};
  std::thread reader{[in] {
    for (std::string line; std::getline(std::cin, line);) in->put({input::kind_t::command, 0, 0, {}, line});
    in->put({});
  }};
  all.run();
  reader.detach();  // it may wait for input that nobody sends
  return {};
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  if (argc != 4) return cpns::bench::usage("usage: bench_pnes PLUGIN SOCKET DEVICES\n");
  const auto code = cpns::bench::exit_code("bench_pnes", cpns::bench::run(argv[1], argv[2], argv[3]));
  std::cout.flush();
  std::_Exit(code);  // a thread may still read standard input
}
