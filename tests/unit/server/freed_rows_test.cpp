// Memory of a list of devices is wiped before it is freed, whatever column a key is in.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "server/device_parser.hpp"
#include "tests/support/freed_memory.hpp"

namespace cpns::server {
namespace {

struct no_sink final : row_sink {
  void good(device_row /*row*/) override { ++rows; }
  void bad(row_diagnostic /*row*/) override { ++rows; }
  int rows = 0;
};

class freed_rows : public testing::Test {
 protected:
  freed_rows() {
    for (std::size_t i = 0; i < test::canary_size; ++i)
      test::wanted[i] = "0123456789abcdef"[(7 * i + 3) % 16];
  }
  /// The canary as text; its memory is wiped, because a string that is returned may be freed while it is searched for.
  [[nodiscard]] static std::string_view key() { return {test::wanted.data(), test::canary_size}; }

  /// The blocks with the key that are freed while the list is read, in parts of `at_once` bytes.
  static int left_by_list(const std::string& list, std::size_t at_once) {
    return test::left_by([&] {
      device_parser parser{100};
      no_sink to;
      status done;
      for (std::size_t at = 0; at < list.size() && done; at += at_once)
        done = parser.feed(as_bytes(std::string_view{list}.substr(at, at_once)), to);
      if (done) done = parser.end(to);
    });
  }
  static void expect_nothing_left(const std::string& list) {
    for (const std::size_t at_once : {std::size_t{7}, std::size_t{4096}})
      EXPECT_EQ(left_by_list(list, at_once), 0) << list;
  }
};

TEST_F(freed_rows, are_searched_by_this_test) {
  EXPECT_EQ(test::left_by([] { const std::string careless{key()}; }), 1);
}

TEST_F(freed_rows, hold_no_cell_of_csv) {
  std::vector<std::string> cells{"urn:dev:os:1-1", "K", "stretch", "alice", "hex"};
  std::sort(cells.begin(), cells.end());
  do {
    std::string line;
    for (const auto& cell : cells) {
      line += line.empty() ? "" : ",";
      line += cell == "K" ? key() : std::string_view{cell};
    }
    expect_nothing_left("entity_id,temporary_key,strength,owner,encoding\n" + line + "\n");
    expect_nothing_left(line + "\n");
  } while (std::next_permutation(cells.begin(), cells.end()));
}

TEST_F(freed_rows, hold_no_cell_of_a_line_that_cannot_be_read) {
  const std::string head = "entity_id,temporary_key,strength\n", k{key()};
  for (const auto& line :
       {k + ",x", "a,\"" + k, "\"" + k + "\"x,b", k + ",\"" + k + "\"\"", k + "," + k + "," + k + ",a\"b"})
    expect_nothing_left(head + line + "\n");
}

TEST_F(freed_rows, hold_no_part_of_a_key_that_is_not_base64_or_hexadecimal) {
  const std::string head = "entity_id,temporary_key,strength\nurn:dev:os:1-1,";
  std::string raw;
  for (const char c : key()) raw += to_hex(as_bytes(std::string_view{&c, 1}));
  expect_nothing_left(head + "hex:" + raw + "00xx,128bit\n");
  expect_nothing_left(head + "hex:" + raw + ",128bit\n");
  expect_nothing_left(head + "base64:" + to_base64(as_bytes(key())) + "A===,128bit\n");
  expect_nothing_left(head + "base64:" + to_base64(as_bytes(key())) + ",128bit\n");
}

TEST_F(freed_rows, hold_no_value_and_no_name_of_json) {
  const std::string k{key()};
  for (const auto* name : {"entity_id", "temporary_key", "strength", "owner", "encoding", "colour"})
    expect_nothing_left("{\"" + std::string{name} + "\":\"" + k + "\",\"strength\":\"stretch\"}\n");
  expect_nothing_left("{\"" + k + "\":\"entity_id\"}\n");
  expect_nothing_left("{\"owner\":\"" + k + "\",\"owner\":\"" + k + "\"}\n");
}

}  // namespace
}  // namespace cpns::server
