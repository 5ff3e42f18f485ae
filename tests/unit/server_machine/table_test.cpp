// Every event in every state: the machine follows its table.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

/// Brings a new machine into a state by real calls.
void bring_to(harness& w, assignment_state s) {
  key_assignment_request r = w.ask(assignment_reason::first);
  prove(r, w.alice, w.exporter);
  if (s == assignment_state::idle) return;
  w.machine->handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), r));
  if (s == assignment_state::authenticating) return;
  w.machine->handle_user(w.now, w.alice.record);
  if (s == assignment_state::fetching_temporary_key) return;
  w.machine->handle_device(w.now, w.imported);
  if (s == assignment_state::storing) return;
  w.machine->handle_persist_failed(w.now);
}

const assignment_state all_states[] = {assignment_state::idle, assignment_state::authenticating,
                                       assignment_state::fetching_temporary_key, assignment_state::storing,
                                       assignment_state::answered};

TEST(assignment_table, every_state_is_reached_by_calls) {
  for (const auto s : all_states) {
    harness w;
    bring_to(w, s);
    EXPECT_EQ(w.machine->state(), s);
  }
}

/// The calls of the driver; trigger_of[which] is the trigger of an accepted call.
void call(harness& w, int which) {
  key_assignment_request r = w.ask(assignment_reason::first);
  prove(r, w.alice, w.exporter);
  const auto id = w.random.draw_id<request_id>();
  switch (which) {
  case 0: w.machine->handle_request(w.now, received({w.gw, w.exporter}, id, r)); break;
  case 1:
    r.drsp = bytes{0x80};
    w.machine->handle_request(w.now, received({w.gw, w.exporter}, id, r));
    break;
  case 2: w.machine->handle_user(w.now, w.alice.record); break;
  case 3: w.machine->handle_user(w.now, std::nullopt); break;
  case 4: w.machine->handle_device(w.now, w.imported); break;
  case 5: w.machine->handle_device(w.now, std::optional<device_secret_record>{}); break;
  case 6: w.machine->handle_device(w.now, fail(errc::store_unavailable, "down")); break;
  case 7: w.machine->handle_persist_failed(w.now); break;
  case 8: w.machine->handle_conflict(w.now, w.record()); break;
  default: w.machine->handle_report(w.now, w.gw, {1, 0}); break;
  }
}

constexpr assignment_trigger trigger_of[] = {
    assignment_trigger::request_received, assignment_trigger::request_malformed,
    assignment_trigger::user_verified,    assignment_trigger::user_refused,
    assignment_trigger::keys_granted,     assignment_trigger::request_refused,
    assignment_trigger::request_refused,  assignment_trigger::store_failed,
    assignment_trigger::conflicted};

TEST(assignment_table, every_call_in_every_state_follows_the_table) {
  for (const auto s : all_states)
    for (int which = 0; which < 9; ++which) {
      harness w;
      bring_to(w, s);
      const auto& row = fsm::find(assignment_table, s, trigger_of[which]);
      call(w, which);
      EXPECT_EQ(name_of(w.machine->state()), name_of(row.to)) << "from " << name_of(s) << ", call " << which;
      EXPECT_EQ(row.what == fsm::verdict::reject, row.to == s);
    }
}

TEST(assignment_table, a_call_at_the_wrong_time_changes_no_record_and_ends_no_request) {
  for (const auto s : all_states)
    for (int which = 0; which < 9; ++which) {
      if (fsm::find(assignment_table, s, trigger_of[which]).what == fsm::verdict::accept) continue;
      harness w;
      bring_to(w, s);
      const auto before = encode(w.record());
      call(w, which);
      EXPECT_EQ(encode(w.record()), before);
      w.drive();
      EXPECT_EQ(w.machine->state(), assignment_state::idle) << name_of(s) << ", call " << which;
      EXPECT_TRUE(w.saw("assignment-rejected"));
    }
}

TEST(assignment_table, a_report_is_accepted_only_when_idle) {
  harness w;
  const auto keys = w.first();
  bring_to(w, assignment_state::authenticating);
  EXPECT_EQ(w.machine->handle_report(w.now, w.gw, {keys.generation, 0}), report_outcome::resync);
  EXPECT_EQ(w.machine->state(), assignment_state::authenticating);
  w.drive();
  EXPECT_FALSE(w.record().last_report.has_value());
  EXPECT_EQ(w.machine->handle_report(w.now, w.gw, {keys.generation, 0}), report_outcome::ok);
  EXPECT_EQ(w.machine->state(), assignment_state::storing);
  EXPECT_FALSE(w.record().last_report.has_value()) << "it is not durable yet";
  w.drive();
  EXPECT_EQ(w.record().last_report, (epoch{keys.generation, 0}));
}

TEST(assignment_table, a_release_is_accepted_only_when_idle_and_counts_when_it_is_durable) {
  harness w;
  EXPECT_FALSE(w.machine->handle_release(w.now)) << "nobody holds the entity";
  EXPECT_EQ(w.machine->state(), assignment_state::idle);
  w.first();
  bring_to(w, assignment_state::authenticating);
  EXPECT_FALSE(w.machine->handle_release(w.now));
  EXPECT_EQ(w.machine->state(), assignment_state::authenticating);
  w.drive();
  EXPECT_TRUE(w.saw("assignment-rejected"));
  ASSERT_TRUE(w.record().holder.has_value());
  EXPECT_TRUE(w.machine->handle_release(w.now));
  EXPECT_EQ(w.machine->state(), assignment_state::storing);
  EXPECT_TRUE(w.record().holder.has_value()) << "it is not durable yet";
  w.machine->handle_persist_failed(w.now);
  EXPECT_EQ(w.machine->state(), assignment_state::idle);
  EXPECT_TRUE(w.record().holder.has_value());
  EXPECT_TRUE(w.machine->handle_release(w.now));
  w.drive();
  EXPECT_FALSE(w.record().holder.has_value());
  EXPECT_TRUE(w.saw("released"));
}

TEST(assignment_table, a_release_from_one_holder_leaves_another_one) {
  harness w;
  w.first();
  w.drive();
  const auto holder = w.record().holder;
  ASSERT_TRUE(holder.has_value());
  EXPECT_FALSE(w.machine->handle_release(w.now, gateway_named("urn:cpns:gw:of-before")));
  EXPECT_EQ(w.machine->state(), assignment_state::idle);
  EXPECT_EQ(w.record().holder, holder);
  EXPECT_TRUE(w.machine->handle_release(w.now, holder));
  w.drive();
  EXPECT_FALSE(w.record().holder.has_value());
}

TEST(assignment_table, names_are_those_of_the_enums) {
  EXPECT_EQ(name_of(assignment_state::fetching_temporary_key), "fetching_temporary_key");
  EXPECT_EQ(name_of(assignment_trigger::answer_taken), "answer_taken");
  EXPECT_EQ(name_of(assignment_action::drop_change), "drop_change");
}

}  // namespace
}  // namespace cpns::testing_people
