// Watches of programs that had one before: they go on where it ended, or begin with all devices, and never miss a change.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "application_keys_fixture.hpp"

namespace cpns::application_key_tests {
namespace {

using texts = std::vector<std::string>;

struct key_watch_since : application_keys {
  /// The lines of a watch of `purpose`, until nothing is new: "put DEVICE", "gone DEVICE REASON" or the event alone.
  texts watch(const std::string& since = {}, const std::string& purpose = "mqtt") {
    open_ = ask("/v1/keys/" + purpose, {.uid = 0},
                since.empty() ? api::text_map{{"watch", "true"}}
                              : api::text_map{{"watch", "true"}, {"since", since}});
    if (!open_) return {"refused: " + open_.error().detail};
    return more();
  }
  /// Of the watch that is open.
  texts more() {
    texts out;
    for (const auto& line : lines_of(*open_->parts)) {
      const auto event = text_of(line, "event");
      place_ = std::to_string(line.at("revision").as_int64());
      if (event == "synced") run_ = text_of(line, "run");
      last_ = line;
      const auto& o = line.as_object();
      out.push_back(event + (o.contains("entity") ? " " + text_of(line, "entity").substr(17) : "") +
                    (o.contains("reason") ? " " + text_of(line, "reason") : ""));
    }
    return out;
  }
  [[nodiscard]] std::string here() const { return run_ + "." + place_; }
  void forget(int number) {
    storage::sealed_batch erased;
    erased.push_back({storage::table::peers, to_bytes(as_bytes(device(number).text())), std::nullopt});
    announcing(changes, erased, [](const status&) {})(rows->write(erased));
  }

  api::outcome open_ = api::refuse(404, "none", "none");
  std::string run_, place_;
  json::value last_;
};

TEST_F(key_watch_since, have_what_changed_while_there_was_no_connection) {
  for (int n = 1; n <= 100; ++n) save(keyed(n));
  ASSERT_EQ(watch().size(), 101U);
  EXPECT_EQ(run_.size(), 16U);
  EXPECT_EQ(watch(here()), (texts{"resumed", "synced"})) << "nothing happened";
  EXPECT_FALSE(last_.as_object().contains("unreadable")) << "nobody counted";
  save(keyed(7));
  auto rejected = keyed(8);
  rejected.standing = protocol::device_standing::rejected;
  save(rejected);
  forget(9);
  save(keyed(101));
  EXPECT_EQ(watch(here()),
            (texts{"resumed", "put 7", "gone 8 rejected", "gone 9 forgotten", "put 101", "synced"}));
  save(keyed(3));
  EXPECT_EQ(more(), texts{"put 3"}) << "it is a watch like each other one";
}

TEST_F(key_watch_since, go_on_from_each_line_that_was_read) {
  save(keyed(1));
  watch();
  const auto before = changes.newest();
  for (int n = 2; n <= 200; ++n) save(keyed(n));
  for (const std::uint64_t read : {before, before + 1, before + 64, before + 150, before + 199}) {
    const auto got = watch(run_ + "." + std::to_string(read));
    EXPECT_EQ(got.size(), 2 + changes.newest() - read);
    EXPECT_EQ(got.front(), "resumed");
    EXPECT_EQ(got.back(), "synced");
  }
}

TEST_F(key_watch_since, have_a_device_once_and_what_it_is_now) {
  save(keyed(1));
  save(keyed(2));
  watch();
  forget(1);
  save(keyed(2));
  auto back = keyed(1);
  back.sessions_from = epoch{3, 2};
  save(back);
  EXPECT_EQ(watch(here()), (texts{"resumed", "put 2", "put 1", "synced"}));
  save(back);
  ASSERT_EQ(watch(here()), (texts{"resumed", "put 1", "synced"}));
  forget(1);
  save(back);
  watch(here());
  const auto lines = watch(run_ + ".2");
  EXPECT_EQ(lines, (texts{"resumed", "put 2", "put 1", "synced"}));
}

TEST_F(key_watch_since, say_which_sessions_of_a_device_that_came_back_end) {
  save(keyed(1));
  watch();
  forget(1);
  auto back = keyed(1);
  back.sessions_from = epoch{3, 2};
  save(back);
  const auto got = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}, {"since", here()}});
  ASSERT_TRUE(got);
  const auto lines = lines_of(*got->parts);
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(text_of(lines[1], "sessions_from"), "3.2");
}

TEST_F(key_watch_since, begin_again_after_more_changes_than_are_kept) {
  save(keyed(1));
  watch();
  const auto old = here();
  for (std::size_t i = 0; i < kept; ++i) changes.changed(device(static_cast<int>(i) + 2));
  EXPECT_EQ(watch(old).size(), kept + 2) << "each of them, and no list";
  changes.changed(device(static_cast<int>(kept) + 2));
  EXPECT_EQ(watch(old), (texts{"resync", "put 1", "synced"}));
}

TEST_F(key_watch_since, begin_again_when_the_changes_pass_them_in_the_gap) {
  save(keyed(1));
  watch();
  for (int n = 2; n <= 200; ++n) changes.changed(device(n));
  open_ = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}, {"since", here()}});
  ASSERT_TRUE(open_);
  const auto first = open_->parts->next();
  ASSERT_TRUE(first);
  EXPECT_THAT(*first, testing::AllOf(HasSubstr("resumed"), testing::Not(HasSubstr("synced"))));
  for (std::size_t i = 0; i <= kept; ++i) changes.changed(device(static_cast<int>(i) + 2));
  EXPECT_EQ(more(), (texts{"resync", "put 1", "synced"}));
}

TEST_F(key_watch_since, begin_again_after_a_restart_and_for_a_revision_that_never_was) {
  save(keyed(1));
  watch();
  const auto old = here();
  EXPECT_EQ(watch(run_ + ".2"), (texts{"resync", "put 1", "synced"})) << "of the future";
  EXPECT_EQ(watch("0000000000000000." + place_), (texts{"resync", "put 1", "synced"}));
  open();  // as after a restart, with as many changes
  EXPECT_EQ(watch(old), (texts{"resync", "put 1", "synced"}));
  EXPECT_NE(here(), old);
}

TEST_F(key_watch_since, take_no_revision_of_another_purpose) {
  save(keyed(1));
  save(keyed(2));
  EXPECT_EQ(watch({}, "coap"), (texts{"put 1", "synced"}));
  const auto of_coap = here();
  EXPECT_THAT(watch(of_coap), testing::UnorderedElementsAre("resync", "put 1", "put 2", "synced"));
  save(keyed(2));
  EXPECT_EQ(watch(of_coap, "coap"), (texts{"resumed", "synced"})) << "it does not cover the device";
  save(keyed(1));
  EXPECT_EQ(watch(here(), "coap"), (texts{"resumed", "put 1", "synced"}));
}

TEST_F(key_watch_since, go_on_from_zero_if_nothing_had_changed_then) {
  EXPECT_EQ(watch(), texts{"synced"});
  EXPECT_EQ(place_, "0");
  const auto empty = here();
  save(keyed(1));
  EXPECT_EQ(watch(empty), (texts{"resumed", "put 1", "synced"}));
}

TEST_F(key_watch_since, acknowledge_when_the_gap_was_sent) {
  save(keyed(1));
  watch();
  for (int n = 2; n <= 100; ++n) save(keyed(n));
  open_ = ask("/v1/keys/mqtt", {.uid = 0}, {{"watch", "true"}, {"acks", "true"}, {"since", here()}});
  ASSERT_TRUE(open_);
  int ready = 0;
  const auto w = programs.wait_for(device(100), true, [&ready] { ++ready; });
  const auto first = open_->parts->next();
  ASSERT_TRUE(first);
  const auto name = text_of(json::parse(first->substr(0, first->find('\n'))), "watch");
  const auto newest = changes.newest();
  EXPECT_EQ(programs.acknowledge(name, "mqtt", 0, newest), consumers::answer::not_sent_yet);
  more();
  EXPECT_EQ(ready, 0);
  EXPECT_EQ(programs.acknowledge(name, "mqtt", 0, newest), consumers::answer::done);
  EXPECT_EQ(ready, 1);
}

TEST_F(key_watch_since, need_a_revision_in_its_form) {
  for (const std::string wrong : {"1", ".", "a.", "a.b", "a.-1", "a.1 ", "a.1.1", "a.99999999999999999999"})
    EXPECT_THAT(watch(wrong).front(), testing::StartsWith("refused: 'since' must be")) << wrong;
  const auto alone = ask("/v1/keys/mqtt", {.uid = 0}, {{"since", "a.1"}});
  ASSERT_FALSE(alone);
  EXPECT_EQ(alone.error().field, "since");
}

}  // namespace
}  // namespace cpns::application_key_tests
