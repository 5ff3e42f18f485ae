// Every change of a trail shows, unless its author has the key of the store.

#include "audit/line.hpp"
#include "audit/trail_file.hpp"
#include "crypto/sha256_stream.hpp"
#include "support.hpp"

namespace cpns::audit {
namespace {

TEST_F(trail_test, verify_finds_a_change_of_any_byte) {
  fill(2);
  const auto text = read_file(file);
  const auto c = head();
  for (std::size_t i = 0; i < text.size(); ++i)
    for (const int flip : {0x01, 0x20, 0x80}) {
      auto changed = text;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      write_file(file, changed);
      const auto r = verify({}, file, c);
      ASSERT_TRUE(r);
      ASSERT_FALSE(r->whole()) << "byte " << i << " with " << flip;
    }
}

TEST_F(trail_test, verify_finds_a_cut_at_any_byte) {
  fill(2);
  const auto text = read_file(file);
  const auto c = head();
  for (std::size_t size = 0; size < text.size(); ++size) {
    write_file(file, text.substr(0, size));
    ASSERT_FALSE(verify({}, file, c)->whole()) << size;
  }
}

TEST_F(trail_test, verify_names_the_changed_line) {
  fill(3);
  auto all = lines();
  const auto at = all[3].find("user1");
  all[3].replace(at, 5, "mallo");
  write_file(file, joined(all));
  const auto r = report();
  ASSERT_EQ(r.faults.size(), 1U);
  EXPECT_EQ(r.faults[0].message(), file.string() + ":4: this line was changed, or not written by this role");
}

TEST_F(trail_test, verify_finds_lines_that_were_dropped_moved_repeated_or_added) {
  fill(4);
  const auto all = lines();
  for (std::size_t i = 1; i < all.size(); ++i) {
    auto without = all;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    write_file(file, joined(without));
    const auto n = std::to_string(i + 1);
    EXPECT_TRUE(has(fault(), i + 1 < all.size() ? "line " + n + ": missing before this one"
                                                : "line " + n + " at the end: missing"))
        << fault();
    auto twice = all;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), all[i]);
    write_file(file, joined(twice));
    EXPECT_TRUE(has(fault(), "line " + n + " follows line " + n)) << fault();
    auto moved = all;
    std::swap(moved[i - 1], moved[i]);
    write_file(file, joined(moved));
    EXPECT_NE(fault(), "whole") << i;
    auto added = all;
    added.insert(added.begin() + static_cast<std::ptrdiff_t>(i),
                 R"({"number":1,"kind":"intent","mac":"00"})");
    write_file(file, joined(added));
    EXPECT_TRUE(has(fault(), "this line was changed, or not written by this role")) << fault();
  }
  write_file(file, joined(all));
  EXPECT_EQ(fault(), "whole");
}

TEST_F(trail_test, verify_says_where_a_file_begins_whose_first_lines_were_rotated_away) {
  fill(2);
  auto all = lines();
  all.erase(all.begin(), all.begin() + 2);
  write_file(file, joined(all));
  const auto r = report();
  EXPECT_TRUE(r.whole());
  EXPECT_EQ(r.first, 3U);
  EXPECT_TRUE(has(r.remarks.at(0), "begin with line 3; the lines before are in older files, or lost"));
}

/// The same lines under another key, as a person without the key of the store would have to write them.
std::string rewritten(const std::vector<std::string>& lines, const secret32& key, time_point now) {
  std::string out;
  link at;
  for (const auto& l : lines) {
    auto fields = parsed(l);
    for (const auto* key_of_line : {"number", "time", "previous", "mac"}) fields.erase(key_of_line);
    append_line(out, at, fields, now, key);
  }
  return out;
}

TEST_F(trail_test, verify_refuses_a_chain_that_was_written_again_under_another_key) {
  fill(3);
  write_file(file, rewritten(lines(), random.draw_secret<32>(), now));
  const auto r = report();
  EXPECT_FALSE(r.whole());
  EXPECT_EQ(r.lines, 0U);
  EXPECT_TRUE(has(r.faults.front().text, "these 7 lines were changed")) << r.faults.front().text;
  EXPECT_TRUE(has(r.faults.back().text, "no line of this chain is in these files")) << r.faults.back().text;
}

TEST_F(trail_test, verify_refuses_another_chain_under_the_same_key) {
  fill(3);
  auto all = lines();
  all.pop_back();
  all.pop_back();
  const auto shorter = rewritten(all, head().key, now);
  // The holder of the key writes other last lines; the head in the store gives that away.
  all.push_back(all.back());
  all.push_back(all.back());
  write_file(file, rewritten(all, head().key, now));
  EXPECT_TRUE(has(fault(), "line 7 is not the one that the store knows")) << fault();
  write_file(file, shorter);
  EXPECT_TRUE(has(fault(), "lines 6 to 7 at the end: missing")) << fault();
}

TEST_F(trail_test, verify_cannot_see_a_file_and_a_store_that_were_restored_together) {
  fill(2);
  const auto text = read_file(file);
  const auto c = head();
  fill(3);
  write_file(file, text);
  ASSERT_TRUE(store_anchor(*sealed)->save(c));
  EXPECT_EQ(fault(), "whole") << "docs/threat-model.md says so; sealing has no freshness";
}

TEST_F(trail_test, verify_lists_a_bounded_number_of_faults) {
  fill(400);
  auto all = lines();
  for (std::size_t i = 1; i < all.size(); i += 2) all[i][20] = '#';
  write_file(file, joined(all));
  const auto r = report();
  EXPECT_EQ(r.faults.size(), faults_max);
  EXPECT_EQ(r.faults_left_out, 300U);
}

TEST_F(trail_test, verify_reports_a_file_that_cannot_be_read) {
  fill(1);
  const auto r = verify({folder / "none"}, file, head());
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, errc::config_file);
  EXPECT_FALSE(verify({folder.path()}, file, head()));
}

TEST_F(trail_test, lines_are_read_in_parts_of_a_bounded_size) {
  const std::string longest(line_size_max - 1, 'a');
  write_file(file, longest + "\n" + longest + "b\n" + "\n" + "end");
  const auto fd = open_to_read(file).value();
  const auto size = size_of(fd.get(), file).value();
  line_source source(fd.get(), size, file);
  const auto next = [&source] {
    const auto p = source.next().value();
    return p ? std::pair(p->bytes.size(), p->whole) : std::pair(std::size_t{0}, false);
  };
  EXPECT_EQ(next(), std::pair(line_size_max, true));
  EXPECT_EQ(next(), std::pair(line_size_max, false));
  EXPECT_EQ(next(), std::pair(std::size_t{1}, false)) << "the line end of a line that is too long";
  EXPECT_EQ(next(), std::pair(std::size_t{1}, true));
  EXPECT_EQ(next(), std::pair(std::size_t{3}, false));
  EXPECT_EQ(next(), std::pair(std::size_t{0}, false));
  line_source part(fd.get(), 5, file);
  EXPECT_EQ(part.next().value()->bytes, "aaaaa");
}

TEST_F(trail_test, a_line_is_the_hmac_of_its_bytes_before_the_mac) {
  fill(1);
  const auto line = lines().at(1);
  const auto at = line.find(",\"mac\":\"");
  const auto mac = crypto::openssl_suite().hmac(head().key.expose(), as_bytes(line.substr(0, at)));
  EXPECT_EQ(line.substr(at), ",\"mac\":\"" + to_hex(mac.expose()) + "\"}");
  EXPECT_TRUE(line.starts_with(
      R"({"number":2,"time":"2027-01-15T08:00:00.123Z","kind":"intent","request":"r-user0",)"))
      << line;
}

TEST(sha256_stream, gives_the_digest_of_the_parts_together_and_begins_again) {
  crypto::sha256_stream s;
  for (int i = 0; i < 2; ++i) {
    s.add(as_bytes("ab"));
    s.add({});
    s.add(as_bytes("c"));
    EXPECT_EQ(s.finish(), crypto::openssl_suite().sha256(as_bytes("abc")));
  }
  EXPECT_EQ(s.finish(), crypto::openssl_suite().sha256({}));
}

}  // namespace
}  // namespace cpns::audit
