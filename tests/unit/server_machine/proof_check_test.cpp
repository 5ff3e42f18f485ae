// Step 5, before the entity is loaded: delays after wrong proofs, and the answer for an unreadable record.
#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

struct delays {
  proof_delays at{3};
  time_point now{seconds{1'800'000'000}};
  gateway_id gw = gateway_named("urn:cpns:gw:phone");
  user_id alice = user_id::parse("alice").value();
  void wrong(std::uint32_t times) {
    for (std::uint32_t i = 0; i < times; ++i) at.wrong(now, gw, alice);
  }
};

TEST(proof_delays, grow_from_a_second_to_half_a_minute) {
  delays d;
  d.wrong(proof_delays::free_proofs);
  EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 0u);
  for (const std::uint32_t expected : {1u, 2u, 4u, 8u, 16u, 30u, 30u}) {
    d.wrong(1);
    EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), expected);
    d.now += seconds{expected} - milliseconds{1};
    EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 1u);
    d.now += milliseconds{1};
    EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 0u);
  }
}

TEST(proof_delays, apply_to_one_user_at_one_gateway_and_end_with_a_right_proof) {
  delays d;
  d.wrong(20);
  const auto bob = user_id::parse("bob").value();
  EXPECT_EQ(d.at.wait(d.now, gateway_named("urn:cpns:gw:hall"), d.alice), 0u);
  EXPECT_EQ(d.at.wait(d.now, d.gw, bob), 0u);
  d.at.right(d.gw, bob);
  EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 30u);
  d.at.right(d.gw, d.alice);
  EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 0u);
  EXPECT_EQ(d.at.gateways(), 0u) << "a gateway without wrong proofs is forgotten";
}

TEST(proof_delays, are_forgotten_after_a_while_and_when_the_clock_is_set_back) {
  delays d;
  d.wrong(20);
  d.now += proof_delays::kept;
  EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 0u);
  d.wrong(proof_delays::free_proofs);
  EXPECT_EQ(d.at.wait(d.now, d.gw, d.alice), 0u) << "it begins from the start";
  d.wrong(1);
  EXPECT_EQ(d.at.wait(d.now - seconds{3600}, d.gw, d.alice), 0u);
}

TEST(proof_delays, are_shared_by_the_further_users_of_a_gateway_that_tries_many) {
  delays d;
  for (std::size_t i = 0; i < proof_delays::users_max; ++i)
    d.at.wrong(d.now, d.gw, user_id::parse("u" + std::to_string(i)).value());
  for (std::uint32_t i = 0; i <= proof_delays::free_proofs; ++i)
    d.at.wrong(d.now, d.gw, user_id::parse("more" + std::to_string(i)).value());
  EXPECT_EQ(d.at.wait(d.now, d.gw, user_id::parse("another").value()), 1u);
  EXPECT_EQ(d.at.wait(d.now, d.gw, user_id::parse("u3").value()), 0u) << "has a count of its own";
}

TEST(proof_delays, are_bounded_and_the_oldest_gateway_is_evicted) {
  delays d;
  for (int i = 0; i < 5; ++i) {
    const auto gw = gateway_named("urn:cpns:gw:" + std::to_string(i));
    for (int n = 0; n < 10; ++n) d.at.wrong(d.now, gw, d.alice);
  }
  EXPECT_EQ(d.at.gateways(), 3u);
  EXPECT_EQ(d.at.wait(d.now, gateway_named("urn:cpns:gw:1"), d.alice), 0u);
  EXPECT_EQ(d.at.wait(d.now, gateway_named("urn:cpns:gw:4"), d.alice), 30u);
}

TEST(unreadable_records, get_one_answer_per_fault) {
  const error damage{errc::store_sealed, "x"}, junk{errc::wire_type, "x"}, away{errc::store_unavailable, "x"};
  for (const auto& e : {damage, junk}) {
    harness w;
    auto r = w.ask(assignment_reason::first);
    prove(r, w.alice, w.exporter);
    const auto fault = [&](bool of_user) {
      w.machine->handle_request(w.now, received({w.gw, w.exporter}, w.random.draw_id<request_id>(), r));
      std::optional<refusal> answer;
      while (auto out = w.machine->poll_output()) {
        if (std::holds_alternative<assignment_fetch_user>(*out)) {
          if (of_user)
            w.machine->handle_user(w.now, fail(e));
          else
            w.machine->handle_user(w.now, w.alice.record);
        }
        if (std::holds_alternative<assignment_fetch_device>(*out)) w.machine->handle_device(w.now, fail(e));
        if (auto* a = std::get_if<assignment_answer>(&*out)) answer = std::get<refusal>(a->body);
      }
      return answer.value();
    };
    for (const bool of_user : {true, false}) {
      EXPECT_EQ(fault(of_user).status, link_status::internal);
      EXPECT_EQ(fault(of_user).retry_after, 60u);
    }
    EXPECT_EQ(unreadable(e, "the device").answer.status, link_status::internal);
  }
  EXPECT_EQ(unreadable(away, "the user").answer.status, link_status::overloaded);
}

}  // namespace
}  // namespace cpns::testing_people
