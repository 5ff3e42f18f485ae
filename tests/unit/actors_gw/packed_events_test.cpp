#include "actors/pn_gw/packed_events.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "base/ids.hpp"

namespace cpns::actors {
namespace {

using happens = protocol::gw_event::kind_t;

constexpr time_point first_event{seconds{1'800'000'000}};

bool is_failure(const pne_event_line& e) {
  return line_of(e).level >= log::level::warn || e.kind == happens::backing_off ||
         e.kind == happens::rejected;
}

bool same(const pne_event_line& a, const pne_event_line& b) {
  return a.at == b.at && a.kind == b.kind && a.epoch == b.epoch && a.why == b.why && a.unproven == b.unproven;
}

/// What packed_events promises, without packing.
struct plain_events {
  void add(const pne_event_line& e) {
    auto out = all.end();
    const auto unproven = [](const auto& one) { return one.unproven; };
    if (e.unproven &&
        std::count_if(all.begin(), all.end(), unproven) >= std::ptrdiff_t{packed_events::unproven_max})
      out = std::find_if(all.begin(), all.end(), unproven);
    else if (all.size() >= packed_events::events_max)
      out = all.begin();
    if (out != all.end()) all.erase(out);
    all.push_back(e);
    if (is_failure(e)) failure = e;
  }
  std::vector<pne_event_line> all;
  std::optional<pne_event_line> failure;
};

void expect_same(const packed_events& packed, const plain_events& plain) {
  const auto all = packed.all();
  ASSERT_TRUE(std::equal(all.begin(), all.end(), plain.all.begin(), plain.all.end(), same));
  const auto failure = packed.failure();
  ASSERT_EQ(failure.has_value(), plain.failure.has_value());
  if (failure) {
    ASSERT_TRUE(same(*failure, *plain.failure));
  }
}

TEST(packed_events, has_any_events_as_they_were) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    std::mt19937_64 random{seed};
    packed_events packed;
    plain_events plain;
    auto now = first_event;
    for (int i = 0; i < 200; ++i) {
      // The wall clock may be set back, also to the time before 1970.
      now += milliseconds{static_cast<std::int64_t>(random() % 5000) - 1000};
      if (random() % 50 == 0)
        now = time_point{seconds{static_cast<std::int64_t>(random() % 100'000) - 50'000}};
      pne_event_line e{now, {}, 0, {}, random() % 2 == 0};
      if (random() % 20 != 0) e.kind = random() % 30 == 0 ? happens::server_refused : happens::confirmed;
      if (random() % 3 == 0)
        e.epoch = random() % 4 == 0 ? random() % epoch::max_value : 65'536 + random() % 9;
      if (random() % 4 == 0) e.why = std::string(random() % (packed_events::why_max + 1), 'w');
      packed.add(e);
      plain.add(e);
      expect_same(packed, plain);
    }
  }
}

TEST(packed_events, takes_few_bytes_for_an_exchange) {
  packed_events packed;
  for (int i = 0; i < 8; ++i)
    packed.add({first_event + milliseconds{30 * i}, happens::confirmed, 65'536, {}, false});
  EXPECT_LE(packed.bytes(), 48u);
  for (int i = 0; i < 1000; ++i)
    packed.add(
        {first_event + seconds{3600 * i}, happens::confirmed, 65'536U + static_cast<unsigned>(i), {}, false});
  EXPECT_LE(packed.bytes(), 8 + 7 * packed_events::events_max + 16);
}

}  // namespace
}  // namespace cpns::actors
