// A radio whose resources become available later.
#include "actors/late_radio.hpp"

#include <gmock/gmock.h>

#include <future>
#include <map>
#include <optional>

namespace cpns::actors {
namespace {

using plugins::endpoint_id;
using plugins::link_id;
using plugins::transport;

/// Calls received by the real radio.
struct calls {
  std::map<endpoint_id, std::string> endpoints;
  bool scanning = false, closed = false;
  std::optional<plugins::power_level> power;
  std::vector<link_id> sent;
};

class real_radio final : public transport {
 public:
  explicit real_radio(calls& a) : calls_(a) { info_.version = "1.2"; }
  [[nodiscard]] const plugins::transport_info& info() const override { return info_; }
  status scan(bool on) override { return calls_.scanning = on, status{}; }
  status connect(std::string_view) override { return {}; }
  void cancel(std::string_view) override {}
  status add_endpoint(endpoint_id e, std::string_view name) override {
    calls_.endpoints[e] = name;
    return {};
  }
  status remove_endpoint(endpoint_id e) override { return calls_.endpoints.erase(e), status{}; }
  status send(link_id link, byte_view) override { return calls_.sent.push_back(link), status{}; }
  void disconnect(link_id) override {}
  status set_power(plugins::power_level p) override { return calls_.power = p, status{}; }
  void forget_pairing(std::string_view) override {}
  [[nodiscard]] plugins::link_quality quality(link_id) const override { return {-42, {}}; }
  [[nodiscard]] std::vector<plugins::named_counter> counters() const override { return {{"n", 1}}; }
  void close() override { calls_.closed = true; }

 private:
  calls& calls_;
  plugins::transport_info info_;
};

TEST(late_radio, forwards_settings_made_before_it_opened_and_all_calls_after) {
  calls received;
  std::promise<void> first, may_open, opened;
  int attempts = 0;
  std::vector<std::string> refused;
  auto radio = make_late_radio(
      "tcp", "not there at the start",
      [&]() -> plugins::open_result<std::unique_ptr<transport>> {
        if (++attempts == 1) first.set_value();
        if (attempts < 4) return tl::unexpected{plugins::open_error{{errc::plugin_failed, "no address"}, {}}};
        may_open.get_future().wait();
        return std::unique_ptr<transport>{std::make_unique<real_radio>(received)};
      },
      {[&](const plugins::transport_info&) { opened.set_value(); },
       [&](const error& e) { refused.push_back(e.detail); }},
      milliseconds{1});
  first.get_future().wait();
  EXPECT_EQ(radio->info().name, "tcp");
  EXPECT_EQ(radio->state().kind, plugins::transport_state::kind_t::waiting);
  EXPECT_GT(radio->info().max_endpoints, 1'000'000u) << "unknown limits keep no role from starting";
  EXPECT_GT(radio->info().max_links, 1'000'000u);
  EXPECT_TRUE(radio->add_endpoint(1, "one"));
  EXPECT_TRUE(radio->add_endpoint(2, "two"));
  EXPECT_FALSE(radio->add_endpoint(2, "two"));
  EXPECT_TRUE(radio->remove_endpoint(1));
  EXPECT_TRUE(radio->scan(true));
  EXPECT_TRUE(radio->set_power(plugins::power_level::saving));
  EXPECT_EQ(radio->send(7, bytes{1}).error().code, errc::plugin_link);
  EXPECT_TRUE(radio->counters().empty());
  may_open.set_value();
  opened.get_future().wait();
  EXPECT_TRUE(radio->add_endpoint(3, "three"));  // waits until the earlier endpoints are added
  EXPECT_EQ(received.endpoints, (std::map<endpoint_id, std::string>{{2, "two"}, {3, "three"}}));
  EXPECT_TRUE(received.scanning);
  EXPECT_EQ(received.power, plugins::power_level::saving);
  EXPECT_TRUE(radio->send(7, bytes{1}));
  EXPECT_EQ(radio->info().version, "1.2");
  EXPECT_EQ(radio->state().kind, plugins::transport_state::kind_t::open);
  EXPECT_EQ(refused, std::vector<std::string>{"no address"}) << "three equal failures are reported once";
  radio.reset();
  EXPECT_TRUE(received.closed);
}

TEST(late_radio, closes_at_once_when_it_never_opened) {
  auto radio = make_late_radio(
      "tcp", "not there at the start",
      []() -> plugins::open_result<std::unique_ptr<transport>> {
        return tl::unexpected{plugins::open_error{{errc::plugin_failed, "never"}, {}}};
      },
      {[](const plugins::transport_info&) {}, [](const error&) {}}, std::chrono::hours{1});
  EXPECT_EQ(radio->state().why, "not there at the start");
  radio->close();
  EXPECT_EQ(radio->scan(true).error().code, errc::state_stopping);
}

}  // namespace
}  // namespace cpns::actors
