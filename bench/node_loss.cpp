// A load of first keys on a cluster, by gateways that go to another node when theirs dies or drains. bench/node_loss runs it.
//
//   bench_node_loss fill  HOME GATEWAYS DEVICES  creates certificates and users of the gateways, and the devices
//   bench_node_loss drive HOME GATEWAYS NODE...  reads commands, one a line; NODE is host:port of each node
//       connect                          new gateways; until each is connected
//       peak FIRST IN_FLIGHT SECONDS     the highest rate, in a closed loop: each gateway keeps its share of IN_FLIGHT requests open
//       load FIRST RATE SECONDS SEED     an open loop: a Poisson process, each request belongs to a random gateway
//       compare CONFIG                   whether the store of this server, which is stopped, has all keys that gateways were given
//
// HOME is a folder of `cpns init`; its servers must be stopped for `fill`. Requests are for the devices from number FIRST on.
// `drive` answers each command with a line of JSON; `load` says {"begun": ...} first. Times are seconds of the steady clock.
// Exit codes: 0 done, 1 an error, 2 usage.

#include <algorithm>
#include <boost/json.hpp>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "actors/system.hpp"
#include "base/log.hpp"
#include "bench/load_ledger.hpp"
#include "bench/program.hpp"
#include "bench/radioless_gateway.hpp"
#include "config/loader.hpp"
#include "config/values.hpp"
#include "metrics/registry.hpp"

namespace cpns::bench {
namespace {

namespace json = boost::json;

constexpr milliseconds period{1};
constexpr seconds connected_within{20}, warm_up{2};
constexpr seconds last_answers{35};  ///< longer than a gateway keeps a request

double seconds_of(clock::time_point t) { return std::chrono::duration<double>(t.time_since_epoch()).count(); }
clock::duration since(double s) {
  return std::chrono::duration_cast<clock::duration>(std::chrono::duration<double>(s));
}

class fleet {
 public:
  fleet(std::filesystem::path home, int gateways, config::gateway_config settings)
      : home_(std::move(home)), gateways_(gateways), settings_(std::move(settings)) {
    events_->granted = [this](const auto& m) { ledger_.granted(m); };
    events_->refused = [this](const auto& m) { ledger_.refused(m); };
    events_->counted = actors::server_link_metrics{counted_};
    events_->connected = [this](int g, const auto& server) { ledger_.connected(g, server); };
  }

  result<json::object> connect() {
    all_.clear();
    runtime_.reset();  // waits for the actors of former gateways
    runtime_ = std::make_unique<actors::actor_runtime>();
    for (int g = 0; g < gateways_; ++g) {
      CPNS_TRY(auto made, radioless_gateway::start(runtime_->system(), home_, settings_, g, events_));
      all_.push_back(std::move(made));
    }
    CPNS_CHECK(make_ready());
    return json::object{{"arrivals", arrivals()}};
  }

  /// Requests before the end of the warm-up do not count.
  result<json::object> peak(std::uint64_t first, std::size_t in_flight, double time_s) {
    CPNS_CHECK(make_ready());
    const auto begun = clock::now();
    const auto warm = begun + warm_up;
    const auto ends = warm + since(time_s);
    const auto share = std::max<std::size_t>(1, in_flight / all_.size());
    std::size_t before = 0;
    auto counted_from = begun;
    for (auto now = begun; now < ends; now = clock::now()) {
      if (counted_from == begun && now >= warm) {
        before = ledger_.granted();
        counted_from = now;
      }
      for (int g = 0; g < gateways_; ++g)
        for (auto open = ledger_.open(g); open < share; ++open) ask(g, first++, now);
      std::this_thread::sleep_for(period);
    }
    const auto granted = ledger_.granted() - before;
    const double took = std::chrono::duration<double>(clock::now() - counted_from).count();
    json::object out{{"rate", static_cast<double>(granted) / took}, {"refused", ledger_.refused()}};
    wait_for_answers();
    out["next_device"] = first;
    out["unanswered"] = ledger_.open();
    (void)ledger_.take();
    return out;
  }

  result<json::object> load(std::uint64_t first, double rate, double time_s, std::uint64_t seed) {
    CPNS_CHECK(make_ready());
    std::mt19937_64 random{seed};
    std::exponential_distribution<double> gap{rate};
    std::uniform_int_distribution<int> which{0, gateways_ - 1};
    const auto overloaded_before = overloaded();
    const auto begun = clock::now();
    std::cout << json::object{{"begun", seconds_of(begun)}} << std::endl;
    const auto ends = begun + since(time_s);
    clock::duration late{};
    auto next = begun;
    while (next < ends) {
      std::this_thread::sleep_until(std::max(next, clock::now() + period));
      const auto now = clock::now();
      late = std::max(late, now - next);
      for (; next <= now && next < ends; next += since(gap(random))) ask(which(random), first++, next);
    }
    wait_for_answers();
    json::array requests;
    for (const auto& r : ledger_.take()) requests.push_back(row(r));
    return json::object{{"requests", std::move(requests)},
                        {"arrivals", arrivals()},
                        {"overloaded", overloaded() - overloaded_before},
                        {"late_s", std::chrono::duration<double>(late).count()},
                        {"next_device", first}};
  }

  [[nodiscard]] result<json::object> compare(const std::string& config) const {
    CPNS_TRY(auto opened, cli::open_server_store(config));
    CPNS_TRY(const auto found, ledger_.compare(opened.sealed()));
    return json::object{{"compared", found.compared},
                        {"missing", found.missing},
                        {"different", found.different},
                        {"given_twice", found.given_twice}};
  }

 private:
  void ask(int gateway, std::uint64_t number, clock::time_point due) {
    const auto id = crypto::system_entropy().draw_id<request_id>();
    ledger_.put(id, {due, {}, gateway, device(number).entity.text(), outcome::open});
    all_[static_cast<std::size_t>(gateway)]->ask(id, number);
  }
  status make_ready() {
    const auto until = clock::now() + connected_within;
    for (const auto& g : all_)
      while (!g->ready()) {
        if (clock::now() > until) return fail(errc::peer_timeout, "a gateway finds no node that answers");
        std::this_thread::sleep_for(milliseconds{20});
      }
    return {};
  }
  /// Answers "overloaded" so far, after which a gateway asks again by itself.
  [[nodiscard]] std::uint64_t overloaded() const {
    const auto text = counted_.text();
    const std::string series = "cpns_gateway_assignments_total{outcome=\"overloaded\"} ";
    const auto at = text.find(series);
    return at == std::string::npos ? 0 : std::stoull(text.substr(at + series.size()));
  }
  void wait_for_answers() const {
    const auto until = clock::now() + last_answers;
    while (ledger_.open() > 0 && clock::now() < until) std::this_thread::sleep_for(milliseconds{10});
  }
  [[nodiscard]] json::array arrivals() const {
    json::array out;
    for (const auto& a : ledger_.arrivals())
      out.push_back(json::array{seconds_of(a.at), a.gateway, a.server});
    return out;
  }
  /// When it was due, seconds until the answer or null, gateway, whether it was refused.
  static json::array row(const load_request& r) {
    json::value took;
    if (r.became != outcome::open) took = std::chrono::duration<double>(r.ended - r.due).count();
    return {seconds_of(r.due), std::move(took), r.gateway, r.became == outcome::refused};
  }

  const std::filesystem::path home_;
  const int gateways_;
  const config::gateway_config settings_;
  load_ledger ledger_;
  metrics::registry counted_;
  const std::shared_ptr<gateway_events> events_ = std::make_shared<gateway_events>();
  std::unique_ptr<actors::actor_runtime> runtime_;
  std::vector<std::unique_ptr<radioless_gateway>> all_;
};

result<json::object> obey(fleet& f, const std::string& line) {
  std::istringstream in{line};
  std::string what, config;
  std::uint64_t first = 0, seed = 0;
  std::size_t in_flight = 0;
  double rate = 0, time_s = 0;
  in >> what;
  if (what == "connect") return f.connect();
  if (what == "peak" && in >> first >> in_flight >> time_s) return f.peak(first, in_flight, time_s);
  if (what == "load" && in >> first >> rate >> time_s >> seed) return f.load(first, rate, time_s, seed);
  if (what == "compare" && in >> config) return f.compare(config);
  return fail(errc::config_usage, "unknown command: " + line);
}

status drive(const std::filesystem::path& home, int gateways, const std::vector<std::string>& nodes) {
  log::settings quiet;
  quiet.threshold = log::level::error;
  CPNS_CHECK(log::configure(quiet));
  auto loaded = config::load_gateway(home / "gateway.yaml");
  if (!loaded) return fail(errc::config_file, "cannot read gateway.yaml");
  auto settings = std::move(*loaded);
  settings.servers.clear();
  for (const auto& n : nodes) {
    CPNS_TRY(auto where, config::parse_address(n));
    settings.servers.push_back(std::move(where));
  }
  fleet f{home, gateways, std::move(settings)};
  for (std::string line; std::getline(std::cin, line);) {
    CPNS_TRY(const auto said, obey(f, line));
    std::cout << said << std::endl;
  }
  return {};
}

}  // namespace
}  // namespace cpns::bench

int main(int argc, char** argv) {
  using namespace cpns::bench;
  const std::vector<std::string> args(argv + 1, argv + argc);
  if (args.size() == 4 && args[0] == "fill") {
    const int gateways = std::stoi(args[2]);
    return exit_code("bench_node_loss",
                     fill_store(args[1], gateways, users_of(gateways), std::stoull(args[3])));
  }
  if (args.size() >= 4 && args[0] == "drive")
    return exit_code("bench_node_loss", drive(args[1], std::stoi(args[2]), {args.begin() + 3, args.end()}));
  return usage("usage: bench_node_loss fill HOME GATEWAYS DEVICES\n"
               "       bench_node_loss drive HOME GATEWAYS NODE...\n");
}
