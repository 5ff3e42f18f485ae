// The devices of one PNE process: their key files, their radio, and what happens when one of them fails.

#include "actors/deadline_heap.hpp"
#include "tests/actors/pne_fleet_harness.hpp"

namespace cpns::pne_actor_tests {
namespace {

TEST(pne_fleet, a_device_answers_with_the_epoch_of_its_key_file) {
  fleet_harness p;
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.link_up(1, 1);
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held);
}

TEST(pne_fleet, a_device_whose_actor_died_restarts_from_its_key_file_and_others_are_not_affected) {
  fleet_harness p;
  p.link_up(1, 1);
  p.link_up(2, 2);
  p.radio.breaks = 1;
  p.detect(1);
  EXPECT_FALSE(p.answer().has_value());
  EXPECT_NE(p.log.text().find("the radio of this test breaks"), std::string::npos);
  EXPECT_NE(p.log.text().find("device-died"), std::string::npos);
  EXPECT_EQ(p.radio.disconnected, (std::vector<plugins::link_id>{1})) << "so that the gateway reconnects";
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.detect(2);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, std::nullopt);
  p.link_up(3, 1);
  p.detect(3);
  EXPECT_EQ(p.answer()->highest, p.held);
  EXPECT_TRUE(p.failures.empty());
}

TEST(pne_fleet, a_nap_that_fell_due_in_suspend_begins_after_resume) {
  fleet_harness p{{std::chrono::hours{1}, std::chrono::hours{1}}};
  ASSERT_EQ(p.radio.presented.size(), 2u);
  p.now += std::chrono::hours{2};  // and no timer moves
  p.settle();
  p.scheduler.advance_time(actors::look_again + seconds{1});
  p.settle();
  EXPECT_TRUE(p.radio.presented.empty());
}

TEST(pne_fleet, a_device_whose_actor_died_falling_asleep_is_presented_again) {
  fleet_harness p;
  p.link_up(1, 1);
  p.radio.breaks = 1;
  caf::anon_send(p.fleet, actors::fleet_command{"urn:dev:mac:0024befffe804ff0", actors::pne_command::sleep});
  p.settle();
  EXPECT_NE(p.log.text().find("device-died"), std::string::npos);
  EXPECT_EQ(p.radio.presented.count(1), 1u);
}

TEST(pne_fleet, a_damaged_key_file_keeps_its_own_device_off_the_radio_until_it_is_restored) {
  fleet_harness p{{}, true};
  EXPECT_EQ(p.radio.presented.size(), 1u);
  EXPECT_EQ(p.radio.presented.count(2), 1u);
  EXPECT_NE(p.log.text().find("key-file-unreadable"), std::string::npos);
  EXPECT_NE(p.command(first, actors::pne_command::button).find("is not a sealed file"), std::string::npos);
  EXPECT_EQ(p.command(second, actors::pne_command::wake), "");
  EXPECT_NE(p.command("", actors::pne_command::button).find("failed for 1 devices: "), std::string::npos);
  const auto size = p.log.text().size();
  p.advance(seconds{31});
  EXPECT_EQ(p.log.text().find("key-file-unreadable", size), std::string::npos) << "logged once";
  p.restore();
  p.advance(seconds{31});
  EXPECT_EQ(p.radio.presented.size(), 2u);
  p.link_up(1, 1);
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held);
  EXPECT_TRUE(p.failures.empty());
}

TEST(pne_fleet, a_reset_replaces_keys_that_cannot_be_read) {
  fleet_harness p{{}, true};
  EXPECT_NE(p.command(first, actors::pne_command::button), "");
  EXPECT_NE(p.command("", actors::pne_command::factory_reset), "") << "only a device that is named";
  EXPECT_EQ(p.radio.presented.count(1), 0u);
  {
    const fleet_harness::blocked disk{p, "0"};
    EXPECT_NE(p.command(first, actors::pne_command::factory_reset), "") << "nothing was written";
    EXPECT_EQ(p.radio.presented.count(1), 0u);
  }
  EXPECT_EQ(p.command(first, actors::pne_command::factory_reset), "");
  EXPECT_EQ(p.radio.presented.count(1), 1u);
  p.link_up(1, 1);
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, std::nullopt) << "it has no key";
  EXPECT_TRUE(p.failures.empty());
}

TEST(pne_fleet, a_dead_device_with_a_damaged_key_file_does_not_affect_others) {
  fleet_harness p;
  p.link_up(1, 1);
  p.spoil();
  p.radio.breaks = 1;
  p.detect(1);
  EXPECT_EQ(p.radio.presented.size(), 1u);
  EXPECT_TRUE(p.failures.empty());
  p.link_up(2, 2);
  p.detect(2);
  ASSERT_TRUE(p.answer().has_value());
  p.restore();
  p.advance(seconds{31});
  EXPECT_EQ(p.radio.presented.size(), 2u);
}

TEST(pne_fleet, confirms_a_reset_only_when_it_is_durable) {
  fleet_harness p;
  p.link_up(1, 1);
  const auto before = p.content();
  {
    const fleet_harness::blocked disk(p, "0");
    const auto answer = p.command(first, actors::pne_command::factory_reset);
    EXPECT_NE(answer.find("not known to be done"), std::string::npos) << answer;
    EXPECT_EQ(p.content(), before);
    p.detect(1);
    EXPECT_FALSE(p.answer().has_value()) << "silent until its record is durable";
    EXPECT_NE(p.command(first, actors::pne_command::factory_reset).find("not done"), std::string::npos);
    EXPECT_EQ(p.command(second, actors::pne_command::factory_reset), "");
  }
  p.advance(seconds{2});
  p.detect(1);
  ASSERT_TRUE(p.answer().has_value());
  EXPECT_EQ(p.answer()->highest, p.held) << "as before the reset that failed";
  EXPECT_NE(p.log.text().find("key-file-written"), std::string::npos);
  EXPECT_NE(p.content(), before) << "written again, so that the outcome is certain";
  EXPECT_EQ(p.command(first, actors::pne_command::factory_reset), "");
  p.detect(1);
  EXPECT_EQ(p.answer()->highest, std::nullopt);
}

}  // namespace
}  // namespace cpns::pne_actor_tests
