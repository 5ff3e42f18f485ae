// A load of key assignments on one server, from a process of its own. bench/operations, bench/engines and bench/server run it.
//
//   bench_assigners fill  HOME DEVICES              creates a user, certificates of gateways, and the devices
//   bench_assigners more  HOME FIRST DEVICES        creates more devices, from number FIRST on
//   bench_assigners known HOME ENTITIES SET_SIZE    creates entities that the gateways hold, each with a set of SET_SIZE keys
//   bench_assigners drive HOME HOST PORT FIRST RATE SECONDS [DEVICES [ENTITIES SET_SIZE]]
//                         asks for the first keys of the devices from number FIRST on
//
// HOME is a folder of `cpns init`; its server must be stopped for all but `drive`. RATE is in requests per second; 0 asks as
// fast as 256 requests in flight allow. DEVICES ends the load as soon as so many were asked for. With ENTITIES every second
// request, at random, is a refill of one of those of `known` instead, at random. Proofs and presence tags are computed in the
// timed run. `drive` prints a line of JSON per second, and for the rest of one, with each latency (in units of 10 us, from the
// moment at which the request was due), and a last line with the totals; SIGTERM ends it early. Exit codes: 0 every request
// was granted, 1 not every one, or another error, 2 usage.

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <csignal>
#include <cstdio>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <unordered_map>

#include "bench/gateway_files.hpp"
#include "bench/gateway_link.hpp"
#include "bench/load_rows.hpp"
#include "bench/program.hpp"
#include "tests/unit/server_machine/people.hpp"

namespace cpns::bench {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using asio::ip::tcp;
using boost::system::error_code;
using testing_people::person;

constexpr int gateways = 8;
constexpr std::size_t in_flight_max = 256 / gateways;
constexpr std::chrono::microseconds period{250};  // the most that an open loop is late
constexpr seconds last_answers{30};

person user() { return person{"load@example.org"}; }

/// Of which devices and entities keys are asked for.
struct asked_for {
  std::uint64_t first = 0, devices = UINT64_MAX;
  std::uint64_t entities = 0;  ///< of add_entities(); 0: none
  std::uint16_t set_size = 0;
};

/// What all connections count.
struct totals {
  std::uint64_t next_device = 0, granted = 0;
  std::uint64_t devices_end = UINT64_MAX;  ///< the first device that must not be asked for
  [[nodiscard]] bool used_up() const { return next_device == devices_end; }
  std::map<std::string, std::uint64_t> refused;
  std::uint64_t lost = 0;
  std::vector<std::uint32_t> latencies;  ///< of the running second, in units of 10 us
};

/// One gateway with its connection. Used on one thread.
class gateway {
 public:
  gateway(asio::io_context& io, crypto::tls_context tls, int number, const asked_for& what, totals& t)
      : link_(io, std::move(tls),
              {[this](protocol::link_answer& a) { answered(a); }, [this] { pump(); }, [this] { lose(); }}),
        gw_(testing_people::gateway_named(uri_of(number))), number_(number), what_(what), totals_(t),
        random_(what.first + static_cast<std::uint64_t>(number)) {}

  status connect(const tcp::endpoint& to) {
    CPNS_TRY(exporter_, link_.connect(to));
    send(protocol::issuer_nonce_request{}, clock::now());
    return {};
  }

  /// Asks for the keys of one more device as soon as fewer than in_flight_max requests are pending.
  void offer(clock::time_point due) {
    due_.push_back(due);
    pump();
  }
  /// From now on each answer is followed by the next request.
  void never_wait() { closed_loop_ = true; }
  void ask_no_more() {
    closed_loop_ = false;
    due_.clear();
  }
  [[nodiscard]] std::size_t pending() const { return asked_.size() + due_.size(); }
  [[nodiscard]] bool ready() const { return nonce_.has_value(); }

 private:
  template <class Body>
  void send(Body body, clock::time_point due) {
    protocol::link_request r;
    r.id = crypto::system_entropy().draw_id<request_id>();
    r.body = std::move(body);
    asked_.emplace(r.id, due);
    link_.send(r);
  }

  void pump() {
    while (nonce_ && !due_.empty() && asked_.size() < in_flight_max) {
      if (totals_.used_up()) return ask_no_more();
      auto body = what_.entities > 0 && (random_() & 1) != 0 ? refill() : first_keys();
      prove(body, user_, exporter_);
      const auto due = due_.front();
      due_.pop_front();
      send(std::move(body), due);
    }
  }

  protocol::key_assignment_request first_keys() {
    auto h = device(totals_.next_device++);
    return make_request(user_, h, protocol::assignment_reason::first, h.answer(gw_, nonce_));
  }
  /// Of an entity that this gateway holds. It always names the same key as its last one, so that a record does not grow.
  protocol::key_assignment_request refill() {
    const auto held = what_.entities / gateways;
    const auto number = std::uniform_int_distribution<std::uint64_t>{0, held - 1}(random_);
    protocol::key_assignment_request r;
    r.user = user_.user;
    r.entity = known_name(number * gateways + static_cast<std::uint64_t>(number_));
    r.reason = protocol::assignment_reason::refill;
    r.known_epoch = known_epoch(what_.set_size);
    r.set = known_set;
    return r;
  }

  void answered(protocol::link_answer& a) {
    nonce_ = a.issuer_nonce;
    const auto at = asked_.find(a.id);
    if (at == asked_.end()) return;
    const auto due = at->second;
    asked_.erase(at);
    if (std::holds_alternative<protocol::issuer_nonce_answer>(a.body)) return;
    if (closed_loop_) due_.push_back(clock::now());
    if (const auto* no = std::get_if<protocol::refusal>(&a.body)) {
      ++totals_.refused[std::string{name_of(no->status)}];
      return;
    }
    ++totals_.granted;
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - due).count();
    totals_.latencies.push_back(static_cast<std::uint32_t>(took / 10));
  }

  void lose() {
    totals_.lost += asked_.size();
    asked_.clear();
    ask_no_more();
  }

  gateway_link link_;
  const gateway_id gw_;
  const int number_;
  const asked_for& what_;
  const person user_ = user();
  totals& totals_;
  std::mt19937_64 random_;
  secret32 exporter_;
  std::optional<protocol::nonce16> nonce_;
  std::unordered_map<request_id, clock::time_point> asked_;
  std::deque<clock::time_point> due_;
  bool closed_loop_ = false;
};

/// Gives requests to the gateways at a constant rate, or as fast as they are answered.
class load {
 public:
  load(asio::io_context& io, double rate, seconds time, totals& t)
      : timer_(io), rate_(rate), time_(time), totals_(t) {}
  std::vector<std::unique_ptr<gateway>> gateways_in_turn;

  void begin() {
    begun_ = second_began_ = clock::now();
    if (rate_ == 0)
      for (const auto& g : gateways_in_turn) {
        g->never_wait();
        for (std::size_t i = 0; i < in_flight_max; ++i) g->offer(begun_);
      }
    wait();
  }
  /// Asks for nothing that is not due yet.
  void end() {
    ended_ = true;
    if (rate_ == 0)
      for (const auto& g : gateways_in_turn) g->ask_no_more();
  }
  [[nodiscard]] bool done() const { return ended_ && pending() == 0; }
  /// From the first request to the last answer.
  [[nodiscard]] double took_s() const { return std::chrono::duration<double>(clock::now() - begun_).count(); }
  /// The latencies of the last, shorter second.
  void print_rest() {
    if (!totals_.latencies.empty()) print_second(clock::now());
  }
  [[nodiscard]] std::size_t pending() const {
    std::size_t n = 0;
    for (const auto& g : gateways_in_turn) n += g->pending();
    return n;
  }

 private:
  void wait() {
    timer_.expires_after(period);
    timer_.async_wait([this](const error_code& ec) {
      if (!ec) turn();
    });
  }
  void turn() {
    const auto now = clock::now();
    if (now - second_began_ >= seconds{1}) print_second(now);
    if (!ended_ && (now - begun_ >= time_ || totals_.used_up())) end();
    if (!ended_ && rate_ > 0) offer_until(now);
    if (!done()) wait();
  }
  void offer_until(clock::time_point now) {
    const auto wanted =
        static_cast<std::uint64_t>(std::chrono::duration<double>(now - begun_).count() * rate_);
    for (; offered_ < wanted; ++offered_) {
      const std::chrono::duration<double> at{static_cast<double>(offered_) / rate_};
      gateways_in_turn[offered_ % gateways_in_turn.size()]->offer(
          begun_ + std::chrono::duration_cast<clock::duration>(at));
    }
  }
  void print_second(clock::time_point now) {
    json::array all;
    for (const auto n : totals_.latencies) all.emplace_back(n);
    totals_.latencies.clear();
    std::cout << json::object{{"at", static_cast<double>(unix_millis()) / 1000},
                              {"latencies", std::move(all)}}
              << std::endl;
    second_began_ = now;
  }
  static std::int64_t unix_millis() {
    return std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }

  asio::steady_timer timer_;
  const double rate_;
  const seconds time_;
  totals& totals_;
  clock::time_point begun_, second_began_;
  std::uint64_t offered_ = 0;
  bool ended_ = false;
};

void run_until(asio::io_context& io, seconds most, const std::function<bool()>& done) {
  const auto until = clock::now() + most;
  while (!done() && clock::now() < until) io.run_one_for(milliseconds{100});
}

result<bool> drive(const std::filesystem::path& home, const tcp::endpoint& to, double rate, seconds time,
                   const asked_for& what) {
  asio::io_context io{1};
  totals t;
  t.next_device = what.first;
  if (what.devices < UINT64_MAX - what.first) t.devices_end = what.first + what.devices;
  load l{io, rate, time, t};
  for (int g = 0; g < gateways; ++g) {
    CPNS_TRY(auto tls, client_of(home, g));
    auto made = std::make_unique<gateway>(io, std::move(tls), g, what, t);
    CPNS_CHECK(made->connect(to));
    run_until(io, seconds{5}, [&] { return made->ready(); });
    if (!made->ready()) return fail(errc::peer_timeout, "the server does not answer");
    l.gateways_in_turn.push_back(std::move(made));
  }
  asio::signal_set stop{io, SIGTERM, SIGINT};
  stop.async_wait([&l](const error_code& ec, int) {
    if (!ec) l.end();
  });
  l.begin();
  run_until(io, time + last_answers, [&l] { return l.done(); });
  const auto took = l.took_s();
  l.print_rest();
  json::object refused;
  std::uint64_t refusals = 0;
  for (const auto& [name, n] : t.refused) {
    refused[name] = n;
    refusals += n;
  }
  std::cout << json::object{{"granted", t.granted},          {"seconds", took},
                            {"refused", std::move(refused)}, {"lost", t.lost},
                            {"unanswered", l.pending()},     {"next_device", t.next_device}}
            << std::endl;
  return refusals + t.lost + l.pending() == 0;
}

status change(const std::vector<std::string>& args) {
  CPNS_TRY(auto opened, cli::open_server_store(std::filesystem::path{args[1]} / "server.yaml"));
  if (args[0] == "more") return add_devices(opened.sealed(), std::stoull(args[2]), std::stoull(args[3]));
  return add_entities(opened.sealed(), std::stoull(args[2]), user().user, gateways,
                      static_cast<std::uint16_t>(std::stoi(args[3])));
}

/// Of the words after SECONDS.
asked_for asked_for_by(const std::vector<std::string>& args) {
  asked_for a;
  a.first = std::stoull(args[4]);
  if (args.size() > 7) a.devices = std::stoull(args[7]);
  if (args.size() > 8) a.entities = std::stoull(args[8]);
  if (args.size() > 9) a.set_size = static_cast<std::uint16_t>(std::stoi(args[9]));
  return a;
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  const auto n = args.size();
  if (n == 3 && args[0] == "fill")
    return exit_code("bench_assigners", fill_store(args[1], gateways, {user()}, std::stoull(args[2])));
  if (n == 4 && (args[0] == "more" || args[0] == "known")) return exit_code("bench_assigners", change(args));
  if ((n == 7 || n == 8 || n == 10) && args[0] == "drive") {
    const tcp::endpoint to{asio::ip::make_address(args[2]), static_cast<std::uint16_t>(std::stoi(args[3]))};
    const auto done =
        drive(args[1], to, std::stod(args[5]), cpns::seconds{std::stoi(args[6])}, asked_for_by(args));
    if (!done) return exit_code("bench_assigners", cpns::fail(done.error()));
    return *done ? 0 : 1;
  }
  return usage(
      "usage: bench_assigners fill HOME DEVICES\n"
      "       bench_assigners more HOME FIRST DEVICES\n"
      "       bench_assigners known HOME ENTITIES SET_SIZE\n"
      "       bench_assigners drive HOME HOST PORT FIRST RATE SECONDS [DEVICES [ENTITIES SET_SIZE]]\n");
}
