// A new connection goes on from the revision that the table has, or begins with all devices.

#include <gtest/gtest.h>

#include "fake_role.hpp"

namespace cpns::tests {
namespace {

const std::string run = "00c0ffee00c0ffee";

std::string synced_text(int revision, const std::string& more = {}) {
  return R"({"event":"synced","revision":)" + std::to_string(revision) + R"(,"run":")" + run + "\"" + more +
         "}\n";
}

class Since : public ::testing::Test {
 protected:
  /// A new connection; returns what is asked after "watch=true".
  std::string next() {
    link.close();
    link = program.accepted_by(role);
    const auto text = link.request();
    const auto at = text.find("watch=true") + 10;
    return text.substr(at, text.find(' ', at) - at);
  }
  void list() {
    EXPECT_EQ(next(), "");
    link.begin();
    link.chunk(here + there + synced_text(5, R"(,"unreadable":2)"));
    EXPECT_EQ(program.events(3).back(), "synced 2");
  }
  void lose() {
    link.close();
    program.events(1);
  }

  const std::string here = put_text(1, key_text("1.0", "current", true));
  const std::string there =
      put_text(1, key_text("7.0", "current", true, "77", other_device), "", other_device);
  fake_role role;
  follower program{role.path()};
  served link{-1};
};

TEST_F(Since, WhatTheRoleDoesNotSendAgainStays) {
  list();
  lose();
  EXPECT_EQ(next(), "&since=" + run + ".5");
  link.begin();
  link.chunk(mark_text(5, "resumed") + put_text(6, key_text("1.1", "current", true)) + synced_text(6));
  EXPECT_EQ(program.events(3), (texts{"put 1.1 current use", "gone 1.0 retired", "synced 2"}));
  cpns_key k{};
  EXPECT_EQ(cpns_keys_current(program.keys, other_device.c_str(), &k), 0);
  link.chunk(mark_text(9, "progress") + put_text(10, key_text("1.2", "current", true)));
  program.events(2);
  lose();
  EXPECT_EQ(next(), "&since=" + run + ".10");
}

TEST_F(Since, AGapThatWasCutGoesOnFromItsLastLine) {
  list();
  lose();
  next();
  link.begin();
  link.chunk(mark_text(5, "resumed") + put_text(8, key_text("1.1", "current", true)));
  program.events(2);
  link.close();
  EXPECT_EQ(next(), "&since=" + run + ".8");
}

TEST_F(Since, AListAfterAllIsSweptAndNothingIsAskedWhileItIsNotWhole) {
  list();
  lose();
  EXPECT_NE(next(), "");
  link.begin();
  link.chunk(mark_text(3, "resync") + put_text(3, key_text("1.1", "current", true)));
  program.events(2);
  link.close();
  EXPECT_EQ(next(), "") << "the list was cut";
  link.begin();
  link.chunk(put_text(3, key_text("1.1", "current", true)) + synced_text(3));
  EXPECT_EQ(program.events(3),
            (texts{"gone 7.0 unknown", "end " + other_device + " all unknown", "synced 0"}));
}

TEST_F(Since, AResyncInTheGapIsAListToo) {
  list();
  lose();
  next();
  link.begin();
  link.chunk(mark_text(5, "resumed") + mark_text(9, "resync") + here + synced_text(9));
  EXPECT_EQ(program.events(3),
            (texts{"gone 7.0 unknown", "end " + other_device + " all unknown", "synced 0"}));
}

TEST_F(Since, ADamagedLineNeedsAList) {
  list();
  link.chunk(put_text(6, key_text("1.1", "current", true)) + "{\"event\":\"put\",\"revision\":7}\n");
  EXPECT_EQ(program.events(3).back(), "lost: a line of the role does not name its device");
  EXPECT_EQ(next(), "");
}

TEST_F(Since, AFullTableNeedsAListToo) {
  list();
  std::string keys;  // more of one device than the library keeps
  for (int i = 0; i < 1025; ++i)
    keys += (i == 0 ? "" : ",") + key_text("2." + std::to_string(i), "next", false);
  const auto line = put_text(6, keys);
  for (std::size_t at = 0; at < line.size(); at += 60'000) {
    link.chunk(line.substr(at, 60'000));
    program.until([this, before = program.dispatches] { return program.dispatches > before; });
  }
  program.events(1);
  EXPECT_EQ(next(), "");
}

TEST_F(Since, ARoleThatRefusesItIsAskedForAList) {
  list();
  lose();
  EXPECT_NE(next(), "");
  link.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  EXPECT_EQ(next(), "");
  EXPECT_TRUE(program.said.empty());
}

TEST_F(Since, ARoleThatResumesUnaskedIsSwept) {
  EXPECT_EQ(next(), "");
  link.begin();
  link.chunk(here + there + mark_text(5, "synced"));
  program.events(3);
  lose();
  EXPECT_EQ(next(), "") << "a role without runs";
  link.begin();
  link.chunk(mark_text(5, "resumed") + here + mark_text(5, "synced"));
  EXPECT_EQ(program.events(3).front(), "gone 7.0 unknown");
}

}  // namespace
}  // namespace cpns::tests
