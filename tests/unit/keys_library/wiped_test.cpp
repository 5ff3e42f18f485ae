// Keys are wiped where they arrived, where they were joined, and when they are gone.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <string_view>

#include "fake_role.hpp"

namespace cpns::tests {
namespace {

TEST(Wiped, NoKeyIsLeftOnHeapOrStack) {
  fake_role role;
  follower program{role.path()};
  // The bytes of one key, in no other place of this process: the texts that carry it are overwritten.
  const auto is_searched = [](std::string_view map) {
    return map.find("[heap]") != std::string_view::npos || map.find("[stack]") != std::string_view::npos;
  };
  const auto count = [&](const std::string& needle) {
    int found = 0;
    std::FILE* maps = std::fopen("/proc/self/maps", "r");
    char line[512];
    while (std::fgets(line, sizeof line, maps) != nullptr) {
      unsigned long from = 0;
      unsigned long to = 0;
      if (std::sscanf(line, "%lx-%lx rw", &from, &to) != 2 || !is_searched(line)) continue;
      const std::string_view memory{reinterpret_cast<const char*>(from), to - from};
      for (auto at = memory.find(needle); at != std::string_view::npos; at = memory.find(needle, at + 1))
        if (memory.data() + at != needle.data()) ++found;
    }
    std::fclose(maps);
    return found;
  };
  std::string bytes;
  for (int i = 0; i < 16; ++i) bytes += static_cast<char>(0xc3);
  auto link = program.accepted_by(role);
  link.request();
  link.begin();
  {
    auto line = put_text(1, key_text("1.0", "current", true, "c3"));
    link.chunk(line.substr(0, 200));  // through the buffer of parts
    program.until([&, before = program.dispatches] { return program.dispatches > before; });
    link.chunk(line.substr(200));
    program.events(1);
  }
  EXPECT_EQ(count(bytes), 1) << "the table";
  link.chunk(gone_text(2, "reset"));
  program.events(2);
  EXPECT_EQ(count(bytes), 0);
  link.chunk(
      put_text(3, key_text("1.1", "current", true, "c3")));  // in whole, so it is read where it arrived
  program.events(1);
  link.chunk(gone_text(4, "reset"));
  program.events(2);
  EXPECT_EQ(count(bytes), 0);
}

}  // namespace
}  // namespace cpns::tests
