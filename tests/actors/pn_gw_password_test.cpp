// A changed password of the user, by file and by an operator, while the gateway works.
#include <algorithm>

#include "actors/pn_gw/password_change.hpp"
#include "tests/actors/password_file.hpp"
#include "tests/actors/pn_gw_harness.hpp"

namespace cpns::gateway_actor_tests {
namespace {

using actors::password_change;

/// A gateway that enrols with a file, whose user has the password "correct horse" at the server.
struct enrolled_gateway {
  explicit enrolled_gateway(std::string_view password = "correct horse") : file{password} {}
  password_file file;
  gateway_harness p{not_enrolled(file.path())};

  [[nodiscard]] std::size_t logged(std::string_view event) const {
    const auto line = "\"component\":\"gateway\",\"event\":\"" + std::string{event} + "\"";
    const auto text = p.log.text();
    std::size_t n = 0;
    for (auto at = text.find(line); at != std::string::npos; at = text.find(line, at + 1)) ++n;
    return n;
  }
  bool wait_logged(std::string_view event, std::size_t n = 1, milliseconds most = seconds{75}) {
    return p.advance_until([&] { return logged(event) >= n; }, most);
  }
  [[nodiscard]] actors::user_credentials kept() const { return *p.keys.credentials(p.alice.user).value(); }
  [[nodiscard]] std::ptrdiff_t challenges() const {
    return std::count_if(p.asked.begin(), p.asked.end(), [](const auto& r) {
      return std::holds_alternative<protocol::user_challenge>(r.body);
    });
  }
};

/// Sets the password as an operator does, calls `meanwhile`, and returns the answer, which must have been given then.
template <class Meanwhile>
actors::link_password_answer by_operator(gateway_harness& p, std::string_view password, Meanwhile meanwhile) {
  caf::scoped_actor self{p.system};
  auto handle =
      self->request(p.link, caf::infinite,
                    actors::link_new_password{std::make_shared<const secret_bytes>(as_bytes(password))});
  p.settle();
  meanwhile();
  actors::link_password_answer out{fail(errc::internal), false};
  handle.receive([&out](const actors::link_password_answer& a) { out = a; },
                 [](const caf::error&) { ADD_FAILURE() << "no answer"; });
  return out;
}
actors::link_password_answer by_operator(gateway_harness& p, std::string_view password) {
  return by_operator(p, password, [] {});
}

TEST(pn_gw_password, in_the_file_is_proven_and_then_used) {
  enrolled_gateway g;
  (void)g.p.keyed_pne(1);
  g.p.set_password("battery staple");
  g.file.write("battery staple");
  ASSERT_TRUE(g.wait_logged("password-changed")) << "within a minute";
  EXPECT_EQ(g.logged("enrolled"), 1u) << "at the start";
  EXPECT_EQ(g.kept().client_key, g.p.alice.client_key);
  EXPECT_EQ(g.kept().password_time, actors::password_time(g.file.path()));
  (void)g.p.keyed_pne(2);
  EXPECT_EQ(g.logged("user-refused"), 0u);
  EXPECT_FALSE(g.p.logged("battery staple"));
  g.p.stop();
  g.p.start();
  g.p.connect_server();
  (void)g.p.keyed_pne(3);
  g.p.advance(seconds{130});
  EXPECT_EQ(g.logged("password-changed"), 1u) << "the same file is not tried again";
}

TEST(pn_gw_password, that_is_wrong_in_the_file_is_reported_once_and_the_former_one_goes_on) {
  enrolled_gateway g;
  const auto before = g.kept();
  g.file.write("wrong horse");
  ASSERT_TRUE(g.wait_logged("password-refused"));
  EXPECT_TRUE(g.p.logged("the server rejects the new password; the former one stays in use"));
  g.p.advance(std::chrono::minutes{10});
  EXPECT_EQ(g.logged("password-refused"), 1u);
  EXPECT_EQ(g.challenges(), 2) << "one at the enrolment, one for the file";
  EXPECT_FALSE(g.p.logged("wrong horse"));
  (void)g.p.keyed_pne(1);
  EXPECT_EQ(g.kept().client_key, before.client_key);
  g.file.write("correct horse");
  g.p.advance(seconds{75});
  EXPECT_EQ(g.kept().password_time, actors::password_time(g.file.path()))
      << "the password in use, written again";
  EXPECT_EQ(g.logged("password-refused"), 1u);
  EXPECT_EQ(g.logged("password-changed"), 0u);
}

TEST(pn_gw_password, in_the_file_is_looked_at_when_the_configuration_is_read_again) {
  enrolled_gateway g;
  g.p.advance(seconds{5});
  const auto reload = [&g](const std::filesystem::path& file) {
    caf::anon_send(g.p.link, actors::link_reload{file});
    g.p.advance(seconds{2});
  };
  g.file.write("battery staple");
  reload(g.file.path());
  EXPECT_EQ(g.logged("password-refused"), 1u) << "the server has the former one";
  g.p.set_password("battery staple");
  reload(g.file.path());
  EXPECT_EQ(g.logged("password-changed"), 1u) << "a file that was wrong is tried again";
  password_file other{"third horse"};
  g.p.set_password("third horse");
  reload(other.path());
  EXPECT_EQ(g.logged("password-changed"), 2u) << "another file";
  (void)g.p.keyed_pne(1);
}

TEST(pn_gw_password, without_a_verdict_is_tried_again) {
  enrolled_gateway g;
  g.p.set_password("battery staple");
  g.file.write("battery staple");
  g.p.swallows = [](const protocol::link_request& r) {
    const auto* a = std::get_if<protocol::key_assignment_request>(&r.body);
    return a != nullptr && a->reason == protocol::assignment_reason::refill;
  };
  ASSERT_TRUE(g.wait_logged("password-not-verified", 1, seconds{90}));
  EXPECT_TRUE(g.p.logged("the server does not answer, so the new password is not verified"));
  g.p.swallows = nullptr;
  g.p.cut_server();
  g.p.connect_server();
  EXPECT_TRUE(g.wait_logged("password-changed"));
}

TEST(pn_gw_password, is_proven_with_a_device_that_does_not_exist) {
  enrolled_gateway g;
  g.p.set_password("battery staple");
  g.file.write("battery staple");
  ASSERT_TRUE(g.wait_logged("password-changed"));
  const auto all = g.p.assignments();
  ASSERT_EQ(all.size(), 2u) << "the first one at the enrolment";
  for (const auto* one : all) {
    const auto& probe = std::get<protocol::key_assignment_request>(one->body);
    EXPECT_TRUE(probe.entity.text().starts_with("urn:uuid:"));
    EXPECT_EQ(probe.reason, protocol::assignment_reason::refill);
    EXPECT_FALSE(probe.dreq || probe.drsp || probe.set || probe.known_epoch);
    EXPECT_FALSE(g.p.sealed->has(storage::table::entities, as_bytes(probe.entity.text())).value());
  }
  EXPECT_FALSE(g.p.logged("assignment-refused")) << "the server knows such a proof";
  EXPECT_TRUE(g.p.logged("\"event\":\"password-proven\""));
}

TEST(pn_gw_password, of_the_first_enrolment_is_proven_before_the_file_is_called_unneeded) {
  enrolled_gateway g{"wrong horse"};
  EXPECT_EQ(g.logged("enrolled"), 0u);
  EXPECT_EQ(g.logged("user-refused"), 1u) << "without any device";
  EXPECT_FALSE(g.p.logged("is not needed any more"));
  EXPECT_FALSE(g.p.keys.credentials(g.p.alice.user).value().has_value());
  EXPECT_EQ(g.p.server_now().at("user").as_string(), "refused");
  g.p.advance(seconds{200});
  EXPECT_EQ(g.challenges(), 1) << "a wrong password is not tried again and again";
  g.p.set_password("wrong horse");
  EXPECT_TRUE(g.wait_logged("enrolled", 1, seconds{120})) << "the server got this password only now";
  EXPECT_EQ(g.p.server_now().at("user").as_string(), "enrolled");
  EXPECT_EQ(g.kept().client_key, g.p.alice.client_key);
}

TEST(pn_gw_password, of_the_first_enrolment_without_a_verdict_is_not_proven_yet) {
  enrolled_gateway g{""};
  g.p.swallows = [](const protocol::link_request& r) {
    return std::holds_alternative<protocol::key_assignment_request>(r.body);
  };
  g.file.write("correct horse");
  g.p.advance(seconds{5});
  g.p.cut_server();
  EXPECT_TRUE(g.p.logged("so the password is not proven yet"));
  EXPECT_TRUE(g.p.logged("keep the password file"));
  EXPECT_EQ(g.logged("enrolled"), 0u);
  EXPECT_EQ(g.p.server_now().at("user").as_string(), "not_enrolled");
  g.p.swallows = nullptr;
  g.p.connect_server();
  EXPECT_TRUE(g.wait_logged("enrolled", 1, seconds{5}));
}

TEST(pn_gw_password, of_an_operator_is_answered_when_it_is_durable) {
  enrolled_gateway g;
  g.p.set_password("battery staple");
  g.p.hold_gateway_writes = true;
  const auto answer = by_operator(g.p, "battery staple", [&g] {
    EXPECT_EQ(g.logged("password-changed"), 0u) << "the write is pending";
    EXPECT_NE(g.kept().client_key, g.p.alice.client_key);
    g.p.hold_gateway_writes = false;
    g.p.settle();
  });
  EXPECT_TRUE(answer.outcome) << answer.outcome.error().message();
  EXPECT_FALSE(answer.unchanged);
  EXPECT_EQ(g.kept().client_key, g.p.alice.client_key);
  g.p.advance(seconds{130});
  EXPECT_EQ(g.logged("password-refused"), 0u) << "the file holds the former password, and must not come back";
  (void)g.p.keyed_pne(1);
}

TEST(pn_gw_password, of_an_operator_that_is_wrong_changes_nothing) {
  enrolled_gateway g;
  const auto before = g.kept();
  for (unsigned i = 0; i < password_change::free_wrong; ++i) {
    const auto answer = by_operator(g.p, "wrong horse");
    ASSERT_FALSE(answer.outcome);
    EXPECT_EQ(answer.outcome.error().code, errc::peer_bad_tag);
  }
  const auto guess = by_operator(g.p, "other horse");
  ASSERT_FALSE(guess.outcome);
  EXPECT_EQ(guess.outcome.error().code, errc::state_overloaded);
  EXPECT_EQ(guess.outcome.error().detail, "too many wrong passwords; wait 30 s");
  EXPECT_EQ(g.kept().client_key, before.client_key);
  (void)g.p.keyed_pne(1);
  EXPECT_EQ(g.logged("user-refused"), 0u);
  g.p.advance(password_change::pause);
  const auto same = by_operator(g.p, "correct horse");
  EXPECT_TRUE(same.outcome);
  EXPECT_TRUE(same.unchanged);
}

TEST(pn_gw_password, of_an_operator_needs_the_server_and_a_free_link) {
  enrolled_gateway g;
  EXPECT_EQ(by_operator(g.p, "").outcome.error().code, errc::config_range);
  EXPECT_EQ(by_operator(g.p, std::string(1025, 'x')).outcome.error().code, errc::config_range);
  g.p.swallows = [](const auto&) { return true; };
  const auto cut = by_operator(g.p, "battery staple", [&g] {
    EXPECT_EQ(by_operator(g.p, "third horse").outcome.error().code, errc::state_conflict);
    g.p.cut_server();
  });
  ASSERT_FALSE(cut.outcome);
  EXPECT_EQ(cut.outcome.error().code, errc::peer_closed);
  EXPECT_NE(cut.outcome.error().detail.find("the former one stays in use"), std::string::npos);
  EXPECT_EQ(by_operator(g.p, "battery staple").outcome.error().code, errc::peer_closed);
  g.p.swallows = nullptr;
  g.p.connect_server();
  (void)g.p.keyed_pne(1);
}

TEST(pn_gw_password, of_an_operator_is_retried_on_a_full_disk) {
  enrolled_gateway g;
  g.p.set_password("battery staple");
  g.p.gw_faulty.fail_writes(errc::store_full);
  const auto answer = by_operator(g.p, "battery staple");
  ASSERT_FALSE(answer.outcome);
  EXPECT_EQ(answer.outcome.error().code, errc::store_full);
  EXPECT_NE(answer.outcome.error().detail.find("the new password is in use"), std::string::npos);
  g.p.gw_faulty.repair();
  EXPECT_TRUE(g.wait_logged("password-changed", 1, seconds{40}));
  EXPECT_EQ(g.kept().client_key, g.p.alice.client_key);
}

TEST(pn_gw_password, of_an_operator_enrols_a_gateway_without_a_file) {
  gateway_choices c;
  c.enrolled = false;
  gateway_harness p{c};
  auto& h = p.pne(1);
  p.radio.link_up(h);
  p.advance(seconds{2});
  EXPECT_TRUE(p.logged("not-enrolled"));
  EXPECT_FALSE(by_operator(p, "wrong horse").outcome);
  EXPECT_TRUE(by_operator(p, "correct horse").outcome);
  EXPECT_TRUE(p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
}

TEST(pn_gw_password, of_an_operator_ends_the_refusal_of_the_former_one) {
  enrolled_gateway g;
  g.p.set_password("battery staple");
  auto& h = g.p.pne(1);
  g.p.radio.link_up(h);
  g.p.advance(seconds{2});
  EXPECT_EQ(g.logged("user-refused"), 1u);
  const auto former = by_operator(g.p, "correct horse");
  EXPECT_FALSE(former.outcome) << "it is the one in use, but the server rejects it";
  const auto answer = by_operator(g.p, "battery staple");
  EXPECT_TRUE(answer.outcome) << answer.outcome.error().message();
  EXPECT_TRUE(g.p.advance_until([&] { return h.key().has_value(); }, seconds{5}));
}

TEST(pn_gw_password, keeps_a_request_in_flight_that_the_server_refuses_for_the_former_one) {
  enrolled_gateway g;
  std::optional<protocol::link_request> late;
  g.p.swallows = [&late](const protocol::link_request& r) {
    const auto* a = std::get_if<protocol::key_assignment_request>(&r.body);
    if (a == nullptr || a->reason == protocol::assignment_reason::refill) return false;
    late = r;
    return true;
  };
  auto& h = g.p.pne(1);
  g.p.radio.link_up(h);
  g.p.settle();
  ASSERT_TRUE(late);
  g.p.set_password("battery staple");
  EXPECT_TRUE(by_operator(g.p, "battery staple").outcome);
  g.p.swallows = nullptr;
  g.p.to_server(g.p.connected, encode(*late));
  g.p.settle();
  EXPECT_TRUE(h.key().has_value()) << "signed again, with the same id";
  EXPECT_EQ(g.logged("user-refused"), 0u);
  std::size_t with_this_id = 0;
  for (const auto* r : g.p.assignments()) with_this_id += r->id == late->id ? 1 : 0;
  EXPECT_EQ(with_this_id, 3u) << "lost, late, and signed again";
}

}  // namespace
}  // namespace cpns::gateway_actor_tests
