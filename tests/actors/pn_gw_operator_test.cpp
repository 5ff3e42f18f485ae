// Commands of an operator whose end the server decides.
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

/// A PNE goes back to an older state of its memory, as from a backup.
void restore(gateway_harness& p, headset_end& h, const headset& made, protocol::pne_record record) {
  p.radio.link_down(h);
  protocol::pne_settings s;
  s.entity = h.entity;
  s.temporary_key = made.temporary_key;
  h.stored = std::move(record);
  h.machine = protocol::pne_machine{std::move(s), h.stored, crypto::openssl_suite(), p.random, p.now};
  p.advance(seconds{70});  // the answer has to be newer than the last report
  p.radio.link_up(h);
}

/// The answer to an approval that the server decides on, which takes some seconds; a client of the API waits for 8.
std::string approve(gateway_harness& p, const headset_end& h) {
  caf::scoped_actor self{p.system};
  auto handle = self->request(p.supervisor, seconds{8}, actors::sup_command{h.entity.text(), "approve"});
  p.advance(seconds{9});
  std::string out;
  handle.receive([&out](const std::string& a) { out = a; },
                 [](const caf::error&) { ADD_FAILURE() << "no answer"; });
  return out;
}

/// A PNE that the server calls stale.
struct quarantined_pne {
  gateway_harness p;
  headset made{"urn:dev:os:32473-1001"};
  headset_end& h = p.pne(1);

  quarantined_pne() {
    p.radio.link_up(h);
    p.settle();
    const auto old = h.stored;
    for (int i = 0; i < 2; ++i) {
      EXPECT_EQ(p.command(h, "update"), "");
      p.advance(seconds{10});
    }
    EXPECT_GT(h.key(), old.highest()->which);
    restore(p, h, made, old);
    EXPECT_TRUE(p.advance_until([&] { return in_quarantine(); }, seconds{120})) << p.show(h);
  }
  [[nodiscard]] bool in_quarantine() {
    return p.show(h).find("\"state\":\"quarantined\"") != std::string::npos;
  }
};

TEST(pn_gw_operator, approve_of_a_stale_device_says_that_only_a_factory_reset_helps) {
  quarantined_pne q;
  const auto before = q.h.key();
  const auto answer = approve(q.p, q.h);
  EXPECT_NE(answer.find("it stays in quarantine (stale_epoch"), std::string::npos) << answer;
  EXPECT_NE(answer.find("only a factory reset of the PNE helps; approve it after that"), std::string::npos);
  EXPECT_TRUE(q.in_quarantine());
  EXPECT_EQ(q.h.key(), before);
  EXPECT_NE(q.p.command(q.h, "update").find("reset it to factory state"), std::string::npos);
  q.h.machine.handle_factory_reset(q.p.now);
  q.p.radio.link_down(q.h);
  q.p.advance(seconds{5});
  EXPECT_NE(q.p.command(q.h, "approve").find("out of reach"), std::string::npos);
  q.p.radio.link_up(q.h);
  q.p.settle();
  EXPECT_EQ(approve(q.p, q.h), "") << q.p.show(q.h);
  EXPECT_TRUE(q.p.advance_until([&] { return q.h.key() && q.p.own_key(q.h) == q.h.key(); }, seconds{30}));
  EXPECT_FALSE(q.in_quarantine());
}

TEST(pn_gw_operator, update_ends_the_wait_after_a_refusal_of_the_server) {
  gateway_harness p;
  headset made{"urn:dev:os:32473-1001"};
  auto& h = p.radio.add(made.entity, made.temporary_key);
  p.radio.link_up(h);
  p.advance(seconds{20});
  EXPECT_NE(p.show(h).find("\"state\":\"backing_off\""), std::string::npos) << p.show(h);
  EXPECT_TRUE(p.logged("unknown_entity"));
  (void)p.device(1);  // it is imported
  const auto asked = p.assignments().size();
  p.advance(seconds{20});
  EXPECT_EQ(p.assignments().size(), asked) << "it waits";
  EXPECT_EQ(p.command(h, "update"), "");
  p.advance(seconds{2});
  EXPECT_TRUE(h.key().has_value()) << p.show(h);
  EXPECT_FALSE(p.logged("the wait for the server is not over"));
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
