// A load of key assignments on one server, from a process of its own. bench/operations runs it.
//
//   bench_assigners fill  HOME DEVICES                       creates a user, certificates of gateways, and the devices
//   bench_assigners drive HOME HOST PORT FIRST RATE SECONDS  asks for the first keys of the devices from number FIRST on
//
// HOME is a folder of `cpns init`; its server must be stopped for `fill`. RATE is in requests per second; 0 asks as fast
// as 256 requests in flight allow. Proofs and presence tags are computed in the timed run. `drive` prints a line of JSON
// per second with each latency (in units of 10 us, from the moment at which the request was due), and a last one with
// the totals; SIGTERM ends it early. Exit codes: 0 every request was granted, 1 not every one, or another error, 2 usage.

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
constexpr milliseconds period{1};
constexpr seconds last_answers{30};

person user() { return person{"load@example.org"}; }

/// What all connections count.
struct totals {
  std::uint64_t next_device = 0, granted = 0;
  std::map<std::string, std::uint64_t> refused;
  std::uint64_t lost = 0;
  std::vector<std::uint32_t> latencies;  ///< of the running second, in units of 10 us
};

/// One gateway with its connection. Used on one thread.
class gateway {
 public:
  gateway(asio::io_context& io, crypto::tls_context tls, int number, totals& t)
      : link_(io, std::move(tls),
              {[this](protocol::link_answer& a) { answered(a); }, [this] { pump(); }, [this] { lose(); }}),
        gw_(testing_people::gateway_named(uri_of(number))), totals_(t) {}

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
      auto h = device(totals_.next_device++);
      auto body = make_request(user_, h, protocol::assignment_reason::first, h.answer(gw_, nonce_));
      prove(body, user_, exporter_);
      const auto due = due_.front();
      due_.pop_front();
      send(std::move(body), due);
    }
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
  const person user_ = user();
  totals& totals_;
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
    if (!ended_ && now - begun_ >= time_) end();
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

result<bool> drive(const std::filesystem::path& home, const tcp::endpoint& to, std::uint64_t first,
                   double rate, seconds time) {
  asio::io_context io{1};
  totals t;
  t.next_device = first;
  load l{io, rate, time, t};
  for (int g = 0; g < gateways; ++g) {
    CPNS_TRY(auto tls, client_of(home, g));
    auto made = std::make_unique<gateway>(io, std::move(tls), g, t);
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
  json::object refused;
  std::uint64_t refusals = 0;
  for (const auto& [name, n] : t.refused) {
    refused[name] = n;
    refusals += n;
  }
  std::cout << json::object{{"granted", t.granted},
                            {"refused", std::move(refused)},
                            {"lost", t.lost},
                            {"unanswered", l.pending()},
                            {"next_device", t.next_device}}
            << std::endl;
  return refusals + t.lost + l.pending() == 0;
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  const std::vector<std::string> args(argv + 1, argv + argc);
  cpns::result<bool> done = true;
  if (args.size() == 3 && args[0] == "fill") {
    using namespace cpns::bench;
    return exit_code("bench_assigners", fill_store(args[1], gateways, {user()}, std::stoull(args[2])));
  } else if (args.size() == 7 && args[0] == "drive") {
    done = cpns::bench::drive(
        args[1], {boost::asio::ip::make_address(args[2]), static_cast<std::uint16_t>(std::stoi(args[3]))},
        std::stoull(args[4]), std::stod(args[5]), cpns::seconds{std::stoi(args[6])});
  } else {
    return cpns::bench::usage("usage: bench_assigners fill HOME DEVICES\n"
                              "       bench_assigners drive HOME HOST PORT FIRST RATE SECONDS\n");
  }
  if (!done) return cpns::bench::exit_code("bench_assigners", cpns::fail(done.error()));
  return *done ? 0 : 1;
}
