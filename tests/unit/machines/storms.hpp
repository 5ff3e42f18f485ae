#pragma once
// The worst network, failing disks and crashes, by a seed.

#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <string_view>

#include "tests/unit/machines/crowd.hpp"

namespace cpns::test {

/// How often the server called an honest device stale.
inline int stale(const harness& w) { return w.real ? w.real->stale : w.server.stale; }

struct chaos_kind {
  std::string_view name;
  unsigned loss, duplicate, reorder, persist_failure, nonce_failure;
  unsigned crash_per_mille;
  bool forgets;
  std::size_t strangers = 0;
};

/// Six minutes of `kind`, then calm. `prepare` gets the harness before anything happens.
inline void storm(const chaos_kind& kind, std::uint64_t seed, bool real, harness_options o = {},
                  const std::function<void(harness&)>& prepare = nullptr) {
  o.seed = seed;
  o.real_server = real;
  o.loss = kind.loss;
  o.duplicate = kind.duplicate;
  o.reorder = kind.reorder;
  o.persist_failure = kind.persist_failure;
  o.nonce_failure = kind.nonce_failure;
  o.pne_forgets = kind.forgets;
  if (seed % 2 == 0) o.consumer_wait = seconds{2}, o.late_consumers = 20;
  o.suite = seed % 3 == 0 ? protocol::suite_symmetric : protocol::suite_x25519;
  harness w{o};
  if (prepare) prepare(w);
  w.server.rekey = seconds{40};
  w.server.set_size = 12;
  if (w.real) {
    w.real->settings.rekey = seconds{40};
    w.real->settings.set_size = 12;
    w.real->write_failures = kind.persist_failure;
    w.real->ends_per_mille = kind.crash_per_mille * 3;
    w.real->restart();
  }
  w.before_output = [&](side, int) { return w.random.next() % 1000 < kind.crash_per_mille; };
  std::optional<crowd> strangers;
  if (kind.strangers > 0) strangers.emplace(w, kind.strangers, lie::mixed);
  const auto run = [&](seconds span) { strangers ? strangers->run(span) : w.run(span); };
  w.connect();
  for (int minute = 0; minute < 6; ++minute) {
    run(seconds{50});
    if (w.random.chance(40)) w.connect();
    if (w.gw && w.random.chance(20)) w.gw->handle_update_request(w.now);
    if (w.pne && w.random.chance(20)) w.pne->handle_sleep(w.now);
    run(seconds{10});
    if (w.pne && w.random.chance(50)) w.pne->handle_wake(w.now);
    w.server_up = !w.random.chance(20);
  }
  if (strangers) strangers->leave();
  w.settle();
  ASSERT_EQ(w.disagreement(), "") << kind.name << ", seed " << seed;
  if (!kind.forgets) {
    ASSERT_EQ(stale(w), 0) << kind.name << ", seed " << seed;
  }
}

inline constexpr chaos_kind kinds[] = {
    {"a poor radio", 25, 15, 20, 0, 0, 0, false},
    {"poor disks", 5, 5, 5, 15, 10, 0, false},
    {"crashes", 10, 10, 10, 2, 5, 15, false},
    {"a forgetful device", 10, 10, 10, 2, 5, 10, true},
    {"strangers and a poor radio", 15, 10, 10, 0, 5, 0, false, 8},
    {"strangers and crashes", 5, 5, 5, 2, 5, 10, true, 8},
    {"a crowd and a poor radio", 15, 10, 10, 0, 5, 0, false, 64},
    {"a crowd and crashes", 5, 5, 5, 2, 5, 10, true, 64},
};

}  // namespace cpns::test
