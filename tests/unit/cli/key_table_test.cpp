// What a program knows of the keys, line by line.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "cli/keys/key_line.hpp"
#include "cli/keys/key_table.hpp"

namespace {

using namespace cpns;
using cli::keys::key_change;
using cli::keys::key_line;
using cli::keys::key_table;
using cli::keys::read_key_line;

const std::string mac = "urn:dev:mac:0024befffe804ff1";
const std::string other_mac = "urn:dev:mac:0024befffe804ff2";

std::string key_text(const std::string& epoch, const std::string& state = "current", bool use = true) {
  return R"({"entity":"x","epoch":")" + epoch + R"(","state":")" + state + R"(","use":)" +
         (use ? "true" : "false") + R"(,"identity":"id/)" + epoch +
         R"(","fingerprint":"00","new member":[1],"key":"0102)" + (epoch == "3.8" ? "38" : "99") + "\"}";
}
std::string put_text(const std::string& entity, const std::vector<std::string>& keys,
                     const std::string& more = "") {
  std::string out = R"({"event":"put","revision":5,"entity":")" + entity + R"(","keys":[)";
  for (const auto& k : keys) out += (&k == &keys.front() ? "" : ",") + k;
  return out + "]" + more + "}";
}
std::string gone_text(const std::string& entity, const std::string& reason) {
  return R"({"event":"gone","revision":6,"entity":")" + entity + R"(","reason":")" + reason +
         R"(","text":"why"})";
}
const std::string resumed_text = R"({"event":"resumed","revision":6})";
const std::string synced_text = R"({"event":"synced","revision":7,"unreadable":0})";

/// The table with a feed of lines.
struct fed {
  key_table table;
  std::vector<key_change> operator()(const std::string& text) {
    auto line = read_key_line(text);
    EXPECT_TRUE(line) << text;
    return table.apply(line ? std::move(*line) : key_line{});
  }
};

std::vector<std::string> told(const std::vector<key_change>& changes) {
  std::vector<std::string> out;
  for (const auto& c : changes) {
    const char* const kind = c.kind == key_change::what::began     ? "began "
                             : c.kind == key_change::what::changed ? "changed "
                                                                   : "ended ";
    out.push_back(kind + c.key.which.text() + (c.reason.empty() ? "" : " " + c.reason) +
                  (c.device_gone ? " gone" : ""));
  }
  return out;
}
using texts = std::vector<std::string>;

TEST(key_line, has_all_that_the_role_says) {
  const auto begun = read_key_line(R"({"event":"begun","revision":3,"watch":"a1"})");
  ASSERT_TRUE(begun);
  EXPECT_EQ(begun->event, key_line::what::begun);
  EXPECT_EQ(begun->watch, "a1");
  const auto put = read_key_line(
      put_text(mac, {key_text("3.8", "previous", false), key_text("4.0")}, R"(,"sessions_from":"3.9")"));
  ASSERT_TRUE(put);
  EXPECT_EQ(put->revision, 5U);
  EXPECT_EQ(put->entity, mac);
  EXPECT_EQ(put->sessions_from, (epoch{3, 9}));
  ASSERT_EQ(put->keys.size(), 2U);
  EXPECT_EQ(put->keys[0].state, "previous");
  EXPECT_FALSE(put->keys[0].use);
  EXPECT_EQ(put->keys[1].which, (epoch{4, 0}));
  EXPECT_EQ(put->keys[1].key, (secret_bytes{bytes{1, 2, 0x99}}));
  EXPECT_EQ(read_key_line(gone_text(mac, "moved"))->reason, "moved");
  EXPECT_EQ(read_key_line(R"({"event":"synced","revision":1,"unreadable":4})")->unreadable, 4U);
  for (const char* text :
       {R"({"event":"heartbeat","revision":9})", R"({"event":"of a later version","entity":5})"}) {
    const auto line = read_key_line(text);
    ASSERT_TRUE(line) << text;
    EXPECT_EQ(line->event, key_line::what::other);
  }
}

TEST(key_line, is_refused_without_a_part_of_it) {
  for (const std::string& text :
       {std::string{}, std::string{"[]"}, std::string{"{}"}, std::string{R"({"event":"put","revision":-1})"},
        put_text(mac, {R"({"epoch":"3.8"})"}), put_text(mac, {key_text("3")}),
        put_text(mac, {key_text("3.99999")}), put_text(mac, {key_text("3.8 ")}),
        put_text("a\\u001bb", {key_text("3.8")}), put_text("line\\nbreak", {key_text("3.8")}),
        put_text(mac, {key_text("3.8", "x\\u0000")}), std::string{R"({"event":"begun","revision":1})"},
        std::string{R"({"event":"gone","revision":1})"}, put_text(mac, {key_text("3.8")}).substr(0, 60)}) {
    const auto line = read_key_line(text);
    ASSERT_FALSE(line) << text;
    EXPECT_EQ(line.error().code, errc::wire_grammar);
    EXPECT_EQ(line.error().detail.find("0102"), std::string::npos);
  }
}

TEST(key_table, follows_a_key_from_its_begin_to_its_end) {
  fed feed;
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8")}))), texts{"began 3.8"});
  EXPECT_FALSE(feed.table.synced());
  feed(synced_text);
  EXPECT_TRUE(feed.table.synced());
  const auto before = feed.table.version();
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8")}))), texts{}) << "a repetition";
  EXPECT_EQ(feed.table.version(), before);
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8"), key_text("3.9", "next", false)}))), texts{"began 3.9"});
  EXPECT_GT(feed.table.version(), before);
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8", "previous", false), key_text("3.9")}))),
            (texts{"changed 3.8", "changed 3.9"}));
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.9")}))), texts{"ended 3.8 retired"});
  EXPECT_EQ(told(feed(put_text(mac, {key_text("4.0")}, R"(,"sessions_from":"4.0")"))),
            (texts{"ended 3.9 replaced", "began 4.0"}));
  EXPECT_EQ(told(feed(gone_text(mac, "revoked"))), texts{"ended 4.0 revoked gone"});
  EXPECT_TRUE(feed.table.all().empty());
  EXPECT_EQ(told(feed(gone_text(mac, "revoked"))), texts{});
}

TEST(key_table, tells_that_an_epoch_has_another_key) {
  fed feed;
  feed(put_text(mac, {key_text("3.8")}));
  auto other = key_text("3.8");
  other.replace(other.find("010238"), 6, "ffff38");
  EXPECT_EQ(told(feed(put_text(mac, {other}))), (texts{"ended 3.8 retired", "began 3.8"}));
}

TEST(key_table, keeps_keys_over_a_new_connection_and_then_removes_what_did_not_come) {
  fed feed;
  feed(put_text(mac, {key_text("3.8")}));
  feed(put_text(other_mac, {key_text("3.8")}));
  feed(synced_text);
  for (const bool resync : {false, true}) {
    if (resync)
      feed(R"({"event":"resync","revision":9})");
    else
      feed.table.begin_again();
    EXPECT_FALSE(feed.table.synced());
    EXPECT_EQ(feed.table.all().size(), 2U);
    EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8")}))), texts{});
    EXPECT_EQ(told(feed(synced_text)), texts{"ended 3.8 none gone"});
    EXPECT_EQ(feed.table.all().size(), 1U);
    EXPECT_EQ(told(feed(put_text(other_mac, {key_text("3.8")}))), texts{"began 3.8"});
  }
  feed.table.begin_again();
  EXPECT_EQ(told(feed(R"({"event":"synced","revision":7,"unreadable":2})")),
            (texts{"ended 3.8 unreadable gone", "ended 3.8 unreadable gone"}));
}

TEST(key_table, of_one_device_knows_no_other_one) {
  fed feed{key_table{mac}};
  EXPECT_EQ(told(feed(put_text(other_mac, {key_text("3.8")}))), texts{});
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.8")}))), texts{"began 3.8"});
  EXPECT_EQ(told(feed(gone_text(other_mac, "reset"))), texts{});
  EXPECT_EQ(feed.table.of(mac).size(), 1U);
  EXPECT_TRUE(feed.table.of(other_mac).empty());
}

TEST(KeyTable, KeepsTheDevicesThatDoNotComeAfterResumed) {
  fed feed;
  feed(put_text(mac, {key_text("3.8")}));
  feed(put_text(other_mac, {key_text("3.8")}));
  feed(synced_text);
  feed.table.begin_again();
  feed(resumed_text);
  EXPECT_EQ(told(feed(put_text(mac, {key_text("3.9")}))), (texts{"ended 3.8 retired", "began 3.9"}));
  EXPECT_TRUE(feed(synced_text).empty());
  EXPECT_TRUE(feed.table.synced());
  EXPECT_EQ(feed.table.of(other_mac).size(), 1U);
  feed.table.begin_again();
  feed(resumed_text);
  feed(R"({"event":"resync","revision":9})");
  feed(put_text(mac, {key_text("3.9")}));
  EXPECT_EQ(told(feed(synced_text)), texts{"ended 3.8 none gone"}) << "a list of all devices after all";
  EXPECT_TRUE(feed.table.of(other_mac).empty());
}

}  // namespace
