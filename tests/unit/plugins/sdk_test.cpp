// The SDK for radios in C++: timers of sdk::loop, and the table that CPNS_TRANSPORT's radios get.

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <cstring>
#include <future>
#include <thread>

#include "plugins/host/event_loop.hpp"
#include "plugins/sdk/loop.hpp"

namespace cpns::sdk {
namespace {

using std::chrono::seconds;

/// A host whose timers run in real time.
struct small_host {
  plugins::event_loop loop{[] {}};
  cpns_host table{};
  small_host() {
    table.size = sizeof table;
    table.context = this;
    table.log = [](void*, std::uint32_t, const char*) {};
    table.get_extension = [](void* context, const char* id) {
      return plugins::loop_extension<of>(context, id);
    };
  }
  ~small_host() { loop.end(); }
  small_host(const small_host&) = delete;
  small_host& operator=(const small_host&) = delete;
  static plugins::event_loop& of(void* context) { return static_cast<small_host*>(context)->loop; }
};

TEST(sdk_loop, a_cancelled_timer_does_not_run) {
  small_host host;
  loop timers{sdk::host{&host.table}};
  std::atomic<bool> ran{false};
  std::promise<void> later;
  const auto first = timers.after(20, [&] { ran = true; });
  timers.after(60, [&] { later.set_value(); });
  timers.cancel(first);
  ASSERT_EQ(later.get_future().wait_for(seconds{20}), std::future_status::ready);
  EXPECT_FALSE(ran);
  timers.cancel(first);
  timers.cancel({});
}

TEST(sdk_loop, cancel_waits_for_the_callback_that_runs) {
  small_host host;
  loop timers{sdk::host{&host.table}};
  std::promise<void> begun, end;
  std::atomic<bool> ended{false};
  const auto slow = timers.after(0, [&] {
    begun.set_value();
    end.get_future().wait();
    ended = true;
  });
  ASSERT_EQ(begun.get_future().wait_for(seconds{20}), std::future_status::ready);
  std::thread helper{[&] { end.set_value(); }};
  timers.cancel(slow);
  EXPECT_TRUE(ended);
  helper.join();
}

TEST(sdk_loop, a_callback_may_cancel_its_own_timer_and_another) {
  small_host host;
  loop timers{sdk::host{&host.table}};
  std::promise<void> done;
  std::atomic<bool> other_ran{false};
  loop::timer own;
  std::promise<void> known;
  auto is_known = known.get_future();
  const auto other = timers.after(100, [&] { other_ran = true; });
  own = timers.after(0, [&] {
    is_known.wait();
    timers.cancel(own);
    timers.cancel(other);
    timers.after(200, [&] { done.set_value(); });
  });
  known.set_value();
  ASSERT_EQ(done.get_future().wait_for(seconds{20}), std::future_status::ready);
  EXPECT_FALSE(other_ran);
}

TEST(sdk_loop, now_is_the_clock_of_the_timers) {
  small_host host;
  loop timers{sdk::host{&host.table}};
  const auto begun = timers.now();
  std::promise<std::uint64_t> at;
  timers.after(30, [&] { at.set_value(timers.now()); });
  auto due = at.get_future();
  ASSERT_EQ(due.wait_for(seconds{20}), std::future_status::ready);
  EXPECT_GE(due.get(), begun + 30);
}

/// Its limits() assigns the whole struct, so `size` is 0 afterwards, or too large.
struct careless final : radio {
  static inline std::uint32_t size = 0;
  void limits(cpns_limits& out) override { out = {size, 23, 1, 1, 0, 7}; }
  cpns_status send(std::uint64_t, std::span<const std::uint8_t>) override { return CPNS_OK; }
  void disconnect(std::uint64_t) override {}
  void stop() override {}
};

std::unique_ptr<radio> make_careless(host, cpns_role, const parameters&, bool) {
  return std::make_unique<careless>();
}
constexpr std::array<cpns_parameter_spec, 0> no_specs{};

TEST(sdk_radio, limits_never_write_past_the_struct_of_the_host) {
  small_host host;
  cpns_open_args args{};
  args.size = sizeof args;
  args.role = CPNS_ROLE_CENTRAL;
  const cpns_transport* t = nullptr;
  ASSERT_EQ((open<make_careless, no_specs>(&host.table, &args, &t)), CPNS_OK);
  for (const std::uint32_t claimed : {0u, 4096u})
    for (const std::uint32_t fits : {std::uint32_t{sizeof(cpns_limits)}, std::uint32_t{20}}) {
      careless::size = claimed;
      struct {
        cpns_limits limits;
        char after[64];
      } memory;
      std::memset(&memory, 0x5a, sizeof memory);
      memory.limits.size = fits;
      t->get_limits(t->context, &memory.limits);
      EXPECT_EQ(memory.limits.size, fits);
      EXPECT_EQ(memory.limits.mtu, 23u);
      EXPECT_EQ(memory.limits.duty_permille, fits == sizeof(cpns_limits) ? 7u : 0x5a5a5a5au);
      for (const char c : memory.after) EXPECT_EQ(c, 0x5a);
    }
  t->close(t->context);
}

}  // namespace
}  // namespace cpns::sdk
