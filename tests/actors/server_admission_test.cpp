// The door of the server: what is refused before it costs anything, and what is let in.
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/descriptor.hpp"
#include "server/key_services.hpp"
#include "tests/actors/server_harness.hpp"
#include "tests/unit/crypto/tls_pair.hpp"

namespace cpns::server_actor_tests {
namespace {

void bound_work(harness& p, std::size_t in_work) {
  auto s = std::make_shared<actor_settings>(*p.role->settings());
  s->work.in_work = in_work;
  p.role->replace_settings(std::move(s));
}

/// Requests of the gateway of the harness until one is refused; returns how many were taken.
std::size_t fill_the_door(harness& p) {
  for (int i = 0;; ++i) {
    auto h = p.device(i);
    p.send(p.assignment(h));
    if (!p.box->answers.empty()) return static_cast<std::size_t>(i);
  }
}

/// The service of a manufacturer that accepts connections and never says a word; it is asked for "urn:dev:os:32473-9...".
class silent_service {
 public:
  explicit silent_service(harness& p) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof at;
    auto* address = reinterpret_cast<sockaddr*>(&at);
    EXPECT_EQ(::bind(socket_.get(), address, size), 0);
    EXPECT_EQ(::listen(socket_.get(), 4), 0);
    EXPECT_EQ(::getsockname(socket_.get(), address, &size), 0);
    config::temporary_keys_config c;
    auto& one = c.services.emplace_back();
    one.name = "maker";
    one.entities = {"urn:dev:os:32473-9*"};
    one.url = "https://127.0.0.1:" + std::to_string(ntohs(at.sin_port));
    one.tls = {home_.client.certificate, home_.client.key, home_.client.ca};
    one.timeout = seconds{60};
    auto made = key_services::open(c, {suite(), p.role->now, counted_});
    EXPECT_TRUE(made) << made.error().message();
    services_ = std::move(*made);
    p.role->temporary_keys.use(*services_);
  }
  /// Ends its query with a failure. No query may begin afterwards.
  void end() { services_.reset(); }

 private:
  const crypto::tls_home home_;
  metrics::registry counted_;
  const descriptor socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::unique_ptr<key_services> services_;
};

TEST(server_admission, refuses_before_a_request_is_decoded_or_its_proof_checked) {
  harness p;
  bound_work(p, 1);
  p.hold_writes = true;
  fill_the_door(p);
  EXPECT_EQ(p.answer_status(0), link_status::overloaded);
  EXPECT_EQ(p.held.size(), 1u);
  p.box->answers.clear();
  auto h = p.device(500);
  const person wrong{"alice@example.org", "another horse"};
  p.send(p.assignment(h, wrong, p.gw));
  EXPECT_EQ(p.answer_status(0), link_status::overloaded) << "its proof is wrong, and was not looked at";
  auto broken = encode(p.assignment(h));
  broken.resize(broken.size() / 2);
  p.send(std::vector<bytes>{broken});
  EXPECT_EQ(p.answer_status(1), link_status::overloaded) << "it cannot be decoded, and was not";
  for (std::size_t i = 0; i < 2; ++i) EXPECT_GE(std::get<refusal>(p.box->answers[i].body).retry_after, 1u);
  p.send(p.request(protocol::issuer_nonce_request{}));
  EXPECT_EQ(p.box->answers.size(), 3u) << "a sign of life costs nothing, and is given";
}

TEST(server_admission, a_gateway_with_one_request_does_not_wait_for_one_with_many) {
  harness p;
  bound_work(p, 1);
  auto hall = p.join("urn:cpns:gw:hall");
  p.hold_writes = true;
  const auto taken = fill_the_door(p);
  auto its = p.device(600);
  p.send(hall, {encode(p.assignment(its, p.alice, hall.gw))});
  EXPECT_TRUE(hall.box->answers.empty()) << "it waits, though the other one was refused";
  for (int turn = 0; turn < 3; ++turn) {
    p.complete();
    p.drain();
  }
  ASSERT_EQ(hall.box->answers.size(), 1u) << "within three turns of " << taken;
  EXPECT_EQ(status_of(hall, 0), link_status::ok);
  p.complete_all();
  EXPECT_EQ(p.box->answers.size(), taken + 1) << "every frame is answered once";
}

TEST(server_admission, nothing_stays_counted_for_a_gateway_that_leaves) {
  harness p;
  bound_work(p, 1);
  p.hold_writes = true;
  auto hall = p.join("urn:cpns:gw:hall");
  std::vector<bytes> many;
  for (int i = 0; i < 10; ++i) {
    auto h = p.device(i);
    many.push_back(encode(p.assignment(h, p.alice, hall.gw)));
  }
  p.send(hall, many);
  EXPECT_EQ(p.role->work->total(), 10u);
  EXPECT_EQ(p.role->door->look().waiting, 9u);
  p.leave(hall);
  EXPECT_EQ(p.role->door->look().waiting, 0u);
  EXPECT_EQ(p.role->work->of(hall.gw), 1u) << "what is in work goes on";
  p.complete_all();
  EXPECT_EQ(p.role->work->total(), 0u);
  EXPECT_EQ(p.role->door->look().in_work, 0u);
  EXPECT_EQ(p.role->users_work->users(), 0u);
}

TEST(server_admission, reports_are_not_refused_for_new_work) {
  harness p;
  auto keyed = p.device(700);
  p.send(p.assignment(keyed));
  p.box->answers.clear();
  bound_work(p, 1);
  p.hold_writes = true;
  const auto taken = fill_the_door(p);
  p.box->answers.clear();
  protocol::epoch_report r;
  r.entries.emplace_back(keyed.entity, epoch{1, 0});
  p.send(p.request(std::move(r)));
  EXPECT_EQ(p.held.size(), 2u) << "its row is written beside the one request in work";
  p.complete_all();
  EXPECT_EQ(p.box->answers.size(), taken + 1);
}

TEST(server_admission, the_repetition_of_a_request_that_is_done_is_not_refused_for_new_work) {
  harness p;
  p.hold_writes = true;
  auto h = p.device(800);
  const auto slow = p.assignment(h);
  p.send(slow);
  auto s = std::make_shared<actor_settings>(*p.role->settings());
  s->slow_answer = milliseconds{0};
  s->work.in_work = 1;
  p.role->replace_settings(s);
  caf::anon_send(p.gateway, slow_look{});
  p.drain();
  ASSERT_EQ(p.answer_status(0), link_status::overloaded);
  p.complete();
  p.drain();
  EXPECT_EQ(p.box->answers.size(), 1u) << "each frame is answered once";
  s = std::make_shared<actor_settings>(*s);
  s->slow_answer = milliseconds{1500};
  p.role->replace_settings(s);
  p.box->answers.clear();
  fill_the_door(p);
  p.box->answers.clear();
  p.send(slow);
  ASSERT_EQ(p.box->answers.size(), 1u);
  EXPECT_EQ(p.answer_status(0), link_status::ok);
}

TEST(server_admission, bounds_the_requests_of_a_user_over_all_gateways_once_the_proof_is_right) {
  harness p;
  auto s = std::make_shared<actor_settings>(*p.role->settings());
  s->jobs_per_user = 1;
  p.role->replace_settings(std::move(s));
  auto hall = p.join("urn:cpns:gw:hall");
  auto a = p.device(1), b = p.device(2);
  const person wrong{"alice@example.org", "another horse"};
  p.hold_writes = true;
  p.send(p.assignment(a, wrong, p.gw));
  EXPECT_EQ(p.answer_status(0), link_status::unknown_user_or_bad_proof);
  p.send(p.assignment(a));
  p.send(hall, {encode(p.assignment(b, p.alice, hall.gw))});
  ASSERT_EQ(hall.box->answers.size(), 1u);
  EXPECT_EQ(status_of(hall, 0), link_status::overloaded);
  p.complete_all();
  p.send(hall, {encode(p.assignment(b, p.alice, hall.gw))});
  p.complete_all();
  EXPECT_EQ(status_of(hall, 1), link_status::ok);
}

TEST(server_admission, a_request_that_waits_for_a_key_service_gives_its_place_back) {
  harness p;
  bound_work(p, 1);
  silent_service maker{p};
  headset its{"urn:dev:os:32473-9001"};
  p.send(p.assignment(its));
  EXPECT_TRUE(p.box->answers.empty()) << "the service does not answer";
  EXPECT_EQ(p.role->door->look().in_work, 0u);
  EXPECT_EQ(p.role->work->total(), 1u) << "it is pending all the same";
  auto imported = p.device(1);
  p.send(p.assignment(imported));
  ASSERT_EQ(p.box->answers.size(), 1u) << "the only place is free";
  EXPECT_EQ(p.answer_status(0), link_status::ok);
  maker.end();
  p.drain();
  ASSERT_EQ(p.box->answers.size(), 2u);
  EXPECT_EQ(p.answer_status(1), link_status::temporary_key_unavailable);
  EXPECT_EQ(p.role->door->look().in_work, 0u);
  EXPECT_EQ(p.role->work->total(), 0u);
  EXPECT_EQ(p.role->users_work->users(), 0u);
}

}  // namespace
}  // namespace cpns::server_actor_tests
