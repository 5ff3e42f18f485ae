// An open loop of key assignments on one server, from a process of its own. bench/overload runs it.
//
//   bench_overload fill  HOME GATEWAYS DEVICES       creates certificates and users of the gateways, and the devices
//   bench_overload drive HOME GATEWAYS HOST PORT     connects the gateways, then reads commands, one a line:
//       FIRST RATE SECONDS SEED    asks for the first keys of the devices from number FIRST on, at a rate per second
//
// HOME is a folder of `cpns init`; its server must be stopped for `fill`. Requests become due as a Poisson process and
// each belongs to a random gateway, whatever the server answers; a gateway repeats a refused or unanswered request as a
// real one does. A command ends with its time; what is pending then is waited for at the beginning of the next one, up to
// request_age_max, and is not counted. `drive` answers each command with a line of JSON. Exit codes: 0 done, 1 an error, 2 usage.

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/json.hpp>
#include <iostream>
#include <memory>
#include <random>

#include "bench/load_rows.hpp"
#include "bench/patient_gateway.hpp"
#include "bench/program.hpp"

namespace cpns::bench {
namespace {

namespace asio = boost::asio;
namespace json = boost::json;
using tcp = gateway_link::tcp;

constexpr milliseconds period{1};

double percentile_ms(std::vector<std::uint32_t>& of, double share) {
  if (of.empty()) return 0;
  const auto at = std::min(of.size() - 1, static_cast<std::size_t>(static_cast<double>(of.size()) * share));
  std::nth_element(of.begin(), of.begin() + static_cast<std::ptrdiff_t>(at), of.end());
  return of[at] / 100.0;
}

struct command {
  std::uint64_t first = 0;
  double rate = 0;
  int time_s = 0;
  std::uint64_t seed = 0;
};

/// One load after the other over the same connections.
class fleet {
 public:
  status connect(const std::filesystem::path& home, int gateways, const tcp::endpoint& to) {
    std::mt19937_64 phase{1};
    for (int g = 0; g < gateways; ++g) {
      CPNS_TRY(auto tls, client_of(home, g));
      all_.push_back(std::make_unique<patient_gateway>(io_, std::move(tls), g, totals_));
      CPNS_CHECK(all_.back()->connect(to));
      all_.back()->first_look(clock::now() + milliseconds{phase() % 1000});
    }
    const auto until = clock::now() + seconds{10};
    const auto is_ready = [](const auto& g) { return g->ready(); };
    while (!std::all_of(all_.begin(), all_.end(), is_ready)) {
      if (clock::now() > until) return fail(errc::peer_timeout, "the server does not answer");
      io_.run_one_for(milliseconds{100});
    }
    return {};
  }

  json::object run(const command& c) {
    settle();
    totals_ = {};
    std::mt19937_64 random{c.seed};
    std::exponential_distribution<double> gap{c.rate};
    std::uniform_int_distribution<std::size_t> which{0, all_.size() - 1};
    const auto begun = clock::now();
    const auto ends = begun + seconds{c.time_s};
    json::array granted;
    auto next = begun;
    auto device = c.first;
    auto second = begun + seconds{1};
    clock::duration late{};
    for (auto now = begun; now < ends; now = clock::now()) {
      late = std::max(late, now - next);
      for (; next <= now; next += since(gap(random))) all_[which(random)]->offer(next, device++);
      for (const auto& g : all_) g->look(now);
      for (; second <= now; second += seconds{1}) granted.emplace_back(totals_.granted);
      turn(now + period);
    }
    auto result = said(c, std::chrono::duration_cast<milliseconds>(late), granted);
    result["next_device"] = device;
    return result;
  }

 private:
  static clock::duration since(double s) {
    return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(s));
  }
  /// Handles what is here, and what comes until then.
  void turn(clock::time_point until) { io_.run_until(until); }

  [[nodiscard]] std::size_t pending() const {
    std::size_t n = 0;
    for (const auto& g : all_) n += g->pending();
    return n;
  }
  void settle() {
    while (pending() > 0 && totals_.lost == 0) {
      const auto now = clock::now();
      for (const auto& g : all_) g->look(now);
      turn(now + milliseconds{10});
    }
  }
  json::object said(const command& c, milliseconds late, const json::array& granted) {
    auto& t = totals_;
    return {{"rate", c.rate},
            {"seconds", c.time_s},
            {"seed", c.seed},
            {"offered", t.offered},
            {"sent", t.sent},
            {"granted", t.granted},
            {"refused", t.refused},
            {"retry_after_mean",
             t.refused == 0 ? 0 : static_cast<double>(t.asked_for) / static_cast<double>(t.refused)},
            {"faults", t.faults},
            {"gave_up", t.gave_up},
            {"timeouts", t.timeouts},
            {"lost", t.lost},
            {"pending", pending()},
            {"late_ms", late.count()},
            {"accepted_p50_ms", percentile_ms(t.accepted, 0.5)},
            {"accepted_p99_ms", percentile_ms(t.accepted, 0.99)},
            {"whole_p50_ms", percentile_ms(t.whole, 0.5)},
            {"whole_p99_ms", percentile_ms(t.whole, 0.99)},
            {"refusal_p50_ms", percentile_ms(t.refusals, 0.5)},
            {"refusal_p99_ms", percentile_ms(t.refusals, 0.99)},
            {"granted_by_second", granted}};
  }

  asio::io_context io_{1};
  overload_totals totals_;
  std::vector<std::unique_ptr<patient_gateway>> all_;
};

status drive(const std::filesystem::path& home, int gateways, const tcp::endpoint& to) {
  fleet f;
  CPNS_CHECK(f.connect(home, gateways, to));
  std::cout << "{}" << std::endl;  // connected
  command c;
  while (std::cin >> c.first >> c.rate >> c.time_s >> c.seed) std::cout << f.run(c) << std::endl;
  return {};
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "fill") {
    const int gateways = std::stoi(args[2]);
    return exit_code("bench_overload",
                     fill_store(args[1], gateways, users_of(gateways), std::stoull(args[3])));
  }
  if (args.size() == 5 && args[0] == "drive")
    return exit_code("bench_overload", drive(args[1], std::stoi(args[2]),
                                             {boost::asio::ip::make_address(args[3]),
                                              static_cast<std::uint16_t>(std::stoi(args[4]))}));
  return usage("usage: bench_overload fill HOME GATEWAYS DEVICES\n"
               "       bench_overload drive HOME GATEWAYS HOST PORT\n");
}
