// A device while a write of its keys is pending, as it is when its process has a store.

#include <deque>

#include "actors/deadline_heap.hpp"
#include "tests/actors/pne_fleet_harness.hpp"

namespace cpns::pne_actor_tests {
namespace {

/// Keys whose writes, and whose answers to after_saves(), wait until the test lets them go.
class slow_keys final : public actors::device_keys {
 public:
  explicit slow_keys(std::shared_ptr<actors::device_keys> under) : under_(std::move(under)) {}

  [[nodiscard]] result<protocol::pne_record> load() override { return under_->load(); }
  void save(const protocol::pne_record& record, storage::commit_done done) override {
    pending_.push_back([this, record, done = std::move(done)](const status& outcome) {
      if (!outcome) return done(outcome);
      under_->save(record, done);
    });
  }
  void after_saves(std::function<void()> then) override {
    pending_.push_back([then = std::move(then)](const status&) { then(); });
  }

  [[nodiscard]] std::size_t pending() const { return pending_.size(); }
  /// An error: the oldest one fails, and nothing is written.
  void let_one_go(const status& outcome = {}) {
    const auto oldest = std::move(pending_.front());
    pending_.pop_front();
    oldest(outcome);
  }

 private:
  std::shared_ptr<actors::device_keys> under_;
  std::deque<std::function<void(const status&)>> pending_;
};

/// The first device has slow keys; links 1 and 2 lead to it, link 3 to the second device.
struct slow_fleet {
  config::pne_wake wake;
  std::shared_ptr<slow_keys> keys;
  fleet_harness p{wake, false, [this](std::shared_ptr<actors::device_keys> under) {
                    return keys = std::make_shared<slow_keys>(std::move(under));
                  }};

  explicit slow_fleet(config::pne_wake w = {}) : wake(w) {
    p.link_up(1, 1);
    p.link_up(2, 1);
    p.link_up(3, 2);
  }
  ~slow_fleet() {
    while (keys->pending() > 0) let_one_go();
  }
  slow_fleet(const slow_fleet&) = delete;
  slow_fleet& operator=(const slow_fleet&) = delete;

  void let_one_go(const status& outcome = {}) {
    keys->let_one_go(outcome);
    p.settle();
  }
  /// Asks for a factory reset of the first device; answered() is empty until it is answered.
  void reset() {
    asked = std::make_unique<caf::scoped_actor>(p.system);
    handle.emplace((*asked)->request(p.fleet, caf::infinite,
                                     actors::fleet_command{first, actors::pne_command::factory_reset}));
    p.settle();
  }
  std::optional<std::string> answered() {
    if (!(*asked)->has_next_message()) return std::nullopt;
    std::string out;
    handle->receive([&out](std::string& text) { out = std::move(text); },
                    [&out](const caf::error&) { out = "(no answer)"; });
    return out;
  }

  using handle_type = decltype(std::declval<caf::scoped_actor&>()->request(
      std::declval<const actors::fleet_actor&>(), caf::infinite, actors::fleet_command{}));
  std::unique_ptr<caf::scoped_actor> asked;
  std::optional<handle_type> handle;
};

TEST(pne_writes, a_reset_is_answered_when_it_is_durable_and_not_before) {
  slow_fleet f;
  f.reset();
  ASSERT_EQ(f.keys->pending(), 1u);
  EXPECT_EQ(f.answered(), std::nullopt);
  EXPECT_EQ(f.keys->load()->highest()->which, f.p.held);
  f.let_one_go();
  EXPECT_EQ(f.answered(), "");
  EXPECT_EQ(f.keys->load()->highest(), nullptr);
}

TEST(pne_writes, messages_during_a_write_are_answered_after_it_each_on_its_own_link) {
  slow_fleet f;
  f.reset();
  f.p.detect(1);
  f.p.detect(2);
  EXPECT_TRUE(f.p.radio.heard.empty()) << "the device is silent until its record is durable";
  f.p.detect(3);
  ASSERT_EQ(f.p.radio.heard_on, (std::vector<plugins::link_id>{3})) << "other devices are not affected";
  f.let_one_go();
  EXPECT_EQ(f.p.radio.heard_on, (std::vector<plugins::link_id>{3, 1, 2}));
  EXPECT_EQ(f.p.answer()->highest, std::nullopt);
}

TEST(pne_writes, a_device_is_silent_after_a_failed_write_until_another_one_is_durable) {
  slow_fleet f;
  f.reset();
  f.let_one_go(fail(errc::store_full, "the disk is full"));
  EXPECT_NE(f.answered().value_or("").find("not known to be done: "), std::string::npos);
  f.p.detect(1);
  EXPECT_EQ(f.keys->pending(), 0u) << "one second passes between attempts";
  f.p.advance(seconds{2});
  f.p.detect(1);
  ASSERT_EQ(f.keys->pending(), 1u) << "the message begins the next attempt";
  f.let_one_go(fail(errc::store_full, "the disk is full"));
  EXPECT_TRUE(f.p.radio.heard.empty());
  f.p.advance(seconds{2});
  f.p.detect(2);
  ASSERT_EQ(f.keys->pending(), 1u);
  f.let_one_go();
  EXPECT_EQ(f.p.radio.heard_on, (std::vector<plugins::link_id>{2})) << "and it is answered";
  EXPECT_EQ(f.p.answer()->highest, f.p.held) << "as before the reset that failed";
}

TEST(pne_writes, a_device_restarts_when_the_writes_of_its_former_actor_have_ended) {
  slow_fleet f;
  f.p.radio.breaks = 1;
  f.p.detect(1);
  EXPECT_NE(f.p.log.text().find("device-died"), std::string::npos);
  ASSERT_EQ(f.keys->pending(), 1u) << "it waits for them";
  EXPECT_NE(f.p.command(first, actors::pne_command::button).find("restarts"), std::string::npos);
  f.p.radio.disconnected.clear();
  f.p.link_up(4, 1);
  EXPECT_EQ(f.p.radio.disconnected, (std::vector<plugins::link_id>{4})) << "so that the gateway reconnects";
  f.let_one_go();
  f.p.link_up(5, 1);
  f.p.detect(5);
  ASSERT_TRUE(f.p.answer().has_value());
  EXPECT_EQ(f.p.answer()->highest, f.p.held);
  EXPECT_TRUE(f.p.failures.empty());
}

TEST(pne_writes, a_nap_that_fell_due_before_a_device_restarted_comes_later) {
  slow_fleet f{{std::chrono::hours{1}, std::chrono::hours{3}}};
  f.p.radio.breaks = 1;
  f.p.detect(1);
  ASSERT_EQ(f.keys->pending(), 1u) << "it restarts when its writes have ended";
  f.p.advance(std::chrono::hours{1} + seconds{2});
  f.let_one_go();
  ASSERT_EQ(f.p.radio.presented.count(1), 1u);
  f.p.advance(std::chrono::hours{1} + seconds{2});
  EXPECT_EQ(f.p.radio.presented.count(1), 0u) << "it sleeps";
}

TEST(pne_writes, a_process_ends_when_the_last_write_has_ended) {
  slow_fleet f;
  f.reset();
  f.p.detect(1);
  caf::anon_send(f.p.fleet, actors::fleet_stop{});
  f.p.settle();
  ASSERT_EQ(f.keys->pending(), 1u);
  f.let_one_go();
  EXPECT_TRUE(f.p.radio.heard.empty()) << "a stopping device answers nobody";
  EXPECT_EQ(f.keys->load()->highest(), nullptr);
}

}  // namespace
}  // namespace cpns::pne_actor_tests
