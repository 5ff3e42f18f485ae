// A machine that rests and goes on behaves as one that never rested.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/machines/keyed_harness.hpp"
#include "tests/unit/machines/storms.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;
using kind_t = gw_event::kind_t;

/// What an output says, as text.
std::string text_of(const gw_output& out) {
  const auto on = [](gw_link l) { return std::to_string(l.transport) + "." + std::to_string(l.link); };
  const auto bytes_of = [](byte_view b) { return std::string{as_text(b)}; };
  if (const auto* p = std::get_if<gw_persist>(&out))
    return "persist " + bytes_of(encode(*p->record).expose());
  if (const auto* m = std::get_if<gw_send>(&out)) return "send " + on(m->to) + " " + bytes_of(m->message);
  if (const auto* n = std::get_if<gw_publish>(&out)) return "publish " + n->which.text();
  if (const auto* r = std::get_if<gw_request>(&out)) return "request " + r->id.hex();
  if (const auto* r = std::get_if<gw_report>(&out)) return "report " + r->which.text();
  if (const auto* c = std::get_if<gw_close_link>(&out)) return "close " + on(c->link) + " " + c->why;
  if (const auto* p = std::get_if<gw_link_proven>(&out)) return "proven " + on(p->link);
  if (const auto* e = std::get_if<gw_event>(&out))
    return "event " + std::string{describe_event(e->kind).id} + (e->which ? " " + e->which->text() : "") +
           " " + e->why + (e->unproven ? " unproven" : "");
  return std::to_string(out.index());
}

struct trace {
  std::vector<std::string> outputs;
  int rests = 0;
};

trace storm_of(const chaos_kind& kind, std::uint64_t seed, bool real, bool rests) {
  trace out;
  harness* seen = nullptr;
  harness_options o;
  o.gw_rests = rests;
  storm(kind, seed, real, o, [&](harness& w) {
    seen = &w;
    w.on_gw_output = [&out, seen](const gw_output& one) {
      out.outputs.push_back(std::to_string(unix_milliseconds(seen->now)) + " " + text_of(one));
      out.rests = seen->rests;
    };
  });
  return out;
}

void compare(bool real, std::uint64_t first_seed) {
  for (const auto& kind : kinds) {
    int rests = 0;
    for (auto seed = first_seed; seed < first_seed + 8; ++seed) {
      const auto awake = storm_of(kind, seed, real, false);
      const auto rested = storm_of(kind, seed, real, true);
      rests += rested.rests;
      ASSERT_EQ(awake.rests, 0);
      for (std::size_t i = 0; i < std::min(awake.outputs.size(), rested.outputs.size()); ++i)
        ASSERT_TRUE(awake.outputs[i] == rested.outputs[i])
            << kind.name << ", seed " << seed << ", output " << i << ": " << awake.outputs[i].substr(0, 120)
            << "\n but after a rest: " << rested.outputs[i].substr(0, 120);
      ASSERT_EQ(awake.outputs.size(), rested.outputs.size()) << kind.name << ", seed " << seed;
    }
    EXPECT_GT(rests, 50) << kind.name;
  }
}

TEST(rest, changes_no_output_when_the_machine_rests_between_any_two_steps) { compare(false, 1); }
TEST(rest, changes_no_output_with_the_real_server_when_the_machine_rests_between_any_two_steps) {
  compare(true, 101);
}

struct at_rest : keyed_harness {
  using keyed_harness::keyed_harness;
  /// The machine is put away, and goes on at `now` with the stored record.
  void rest() {
    const auto rested = gw->rest(now);
    ASSERT_TRUE(rested);
    pn_gw_settings settings;
    settings.gw = o.gw;
    settings.user = gw_disk.user;
    gw.emplace(settings, std::move(*decode_device_record(encode(gw_disk).expose())), *rested,
               gw_place{"air", "there"}, crypto::openssl_suite(), gw_random, now, gw_dates{now}, &book);
  }
  bytes note_of(pne_notice::kind_t kind) const { return encode(pne_notice{kind}); }
};

TEST(rest, is_possible_once_the_report_is_answered_and_until_the_update_is_due) {
  harness w;
  w.connect();
  ASSERT_TRUE(w.run_until([&] { return w.keyed(); }, 20s));
  EXPECT_FALSE(w.gw->rest(w.now)) << "the report is owed to the server";
  w.run(2s);
  const auto rested = w.gw->rest(w.now);
  ASSERT_TRUE(rested);
  EXPECT_EQ(rested->link, w.link);
  EXPECT_FALSE(rested->asleep);
  EXPECT_EQ(rested->next_deadline(), w.gw->next_deadline());
  EXPECT_FALSE(w.gw->rest(rested->update_due)) << "the next key is due";
}

TEST(rest, is_not_possible_before_the_first_key_and_during_an_exchange) {
  harness w;
  EXPECT_FALSE(w.gw->rest(w.now));
  w.connect();
  EXPECT_FALSE(w.run_until([&] { return w.gw->rest(w.now).has_value() && !w.keyed(); }, 20s));
  w.run(2s);
  w.gw->handle_update_request(w.now);
  EXPECT_FALSE(w.gw->rest(w.now)) << "its DREQ is not polled yet";
  int steps = 0;
  w.on_gw_output = [&](const gw_output&) { steps += w.gw->rest(w.now) ? 0 : 1; };
  w.run(2s);
  EXPECT_GT(steps, 3);
  EXPECT_TRUE(w.gw->rest(w.now));
}

TEST(rest, is_not_possible_while_a_stranger_has_a_link) {
  at_rest w;
  discovery_request dreq;
  dreq.gw = w.o.gw;
  dreq.suites = {suite_symmetric};
  w.gw->handle_detected(w.now, gw_link{7, 1}, encode(dreq),
                        encode(forged(dreq, w.entity, lie::mixed, w.gw->own_epoch(), w.random)));
  w.run(20s);
  EXPECT_FALSE(w.gw->rest(w.now));
  w.gw->handle_link_down(w.now, gw_link{7, 1});
  w.run(60s);
  EXPECT_TRUE(w.gw->rest(w.now));
}

TEST(rest, keeps_the_link_and_where_the_device_was_seen) {
  at_rest w;
  w.rest();
  EXPECT_EQ(w.gw->state(), pn_gw_state::keyed);
  EXPECT_EQ(w.gw->record().last_address, "there");
  w.gw->handle_link_down(w.now, *w.link);
  w.run(0s);
  const auto away = w.gw->rest(w.now);
  ASSERT_TRUE(away && away->asleep && !away->link && away->place);
  EXPECT_EQ(away->place->address, "there") << "the stored record has no address yet";
  EXPECT_EQ(away->next_deadline(), time_never);
  w.rest();
  EXPECT_EQ(w.gw->record().last_address, "there");
  EXPECT_EQ(w.gw->state(), pn_gw_state::asleep);
}

TEST(rest, keeps_the_rate_of_notices) {
  at_rest w;
  const auto wakes = [&] { return w.count(kind_t::detecting); };
  const auto before = wakes();
  w.gw->handle_frame(w.now, *w.link, w.note_of(pne_notice::kind_t::awake));
  w.run(3s);
  ASSERT_EQ(wakes(), before + 1);
  w.rest();
  w.gw->handle_frame(w.now, *w.link, w.note_of(pne_notice::kind_t::awake));
  w.run(3s);
  EXPECT_EQ(wakes(), before + 1) << "one NOTE in 10 seconds";
  w.run(10s);
  w.rest();
  w.gw->handle_frame(w.now, *w.link, w.note_of(pne_notice::kind_t::awake));
  w.run(3s);
  EXPECT_EQ(wakes(), before + 2);
}

}  // namespace
}  // namespace cpns::test
