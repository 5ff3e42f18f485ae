#include "api/events.hpp"

#include <gtest/gtest.h>

namespace cpns::api {
namespace {

TEST(event_hub, gives_the_events_after_a_place_in_order) {
  event_hub hub{"ab12"};
  hub.publish("one", R"({"n":1})");
  hub.publish("two", R"({"n":2})");
  const auto all = hub.after(0, 1024);
  EXPECT_EQ(all.text,
            "id: ab12-1\nevent: one\ndata: {\"n\":1}\n\nid: ab12-2\nevent: two\ndata: {\"n\":2}\n\n");
  EXPECT_EQ(all.last, 2U);
  EXPECT_TRUE(hub.after(2, 1024).text.empty());
  EXPECT_FALSE(hub.after(2, 1024).cut_off);
}

TEST(event_hub, formats_a_line_of_the_log_when_a_reader_gets_it) {
  event_hub hub{"r"};
  hub.publish("first", "{}");
  const log::packed_line line{log::level::warn, "server", "second", "a \"text\"", {{"key", "value"}}};
  hub.publish(log::packed_line{line});
  hub.publish("third", "{}");
  const auto text = "id: r-2\nevent: second\ndata: " + line.json() + "\n\n";
  EXPECT_EQ(hub.after(1, text.size()).text, text);
  EXPECT_EQ(hub.after(1, text.size()).last, 2U);
  EXPECT_EQ(hub.after(0, 4096).text,
            "id: r-1\nevent: first\ndata: {}\n\n" + text + "id: r-3\nevent: third\ndata: {}\n\n");
  EXPECT_EQ(hub.after(0, 4096).last, 3U);
}

TEST(event_hub, gives_at_least_one_event_however_small_the_batch_is) {
  event_hub hub{"r"};
  hub.publish("long", std::string(500, 'x'));
  hub.publish("next", "{}");
  EXPECT_EQ(hub.after(0, 10).last, 1U);
}

TEST(event_hub, tells_a_reader_that_its_place_is_gone) {
  event_hub hub{"r"};
  for (std::size_t i = 0; i < event_hub::events_max + 10; ++i) hub.publish("e", "{}");
  EXPECT_TRUE(hub.after(0, 1024).cut_off);
  EXPECT_TRUE(hub.after(9, 1024).cut_off);
  EXPECT_FALSE(hub.after(10, 1024).cut_off);
}

TEST(event_hub, bounds_the_bytes_of_its_ring) {
  event_hub hub{"r"};
  for (int i = 0; i < 40; ++i) hub.publish("e", std::string(100'000, 'x'));
  EXPECT_TRUE(hub.after(10, 1024).cut_off);
  EXPECT_FALSE(hub.after(30, 1024).cut_off);
}

TEST(event_hub, bounds_the_bytes_of_lines_that_are_not_formatted) {
  event_hub hub{"r"};
  const std::string text(100'000, 'x');
  for (int i = 0; i < 40; ++i) hub.publish(log::packed_line{log::level::info, "server", "e", text, {}});
  EXPECT_TRUE(hub.after(10, 1024).cut_off);
  EXPECT_FALSE(hub.after(30, 1024).cut_off);
}

TEST(event_hub, resumes_only_from_ids_of_this_run_that_it_still_has) {
  event_hub hub{"ab12"};
  hub.publish("e", "{}");
  EXPECT_EQ(hub.place_of("ab12-1"), 1U);
  EXPECT_EQ(hub.place_of("ab12-0"), 0U);
  for (const auto* id :
       {"", "1", "ab12", "ab12-", "ab12-2", "ab13-1", "ab12-1x", "ab12-99999999999999999999"})
    EXPECT_FALSE(hub.place_of(id)) << id;
}

TEST(event_hub, wakes_its_listeners_until_their_ticket_is_dropped) {
  event_hub hub{"r"};
  int woken = 0;
  auto ticket = hub.listen([&woken] { ++woken; });
  hub.publish("e", "{}");
  EXPECT_EQ(woken, 1);
  ticket.reset();
  hub.publish("e", "{}");
  EXPECT_EQ(woken, 1);
}

}  // namespace
}  // namespace cpns::api
