#pragma once
// A trail in a folder of its own, over a sealed store in memory.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "audit/trail.hpp"
#include "crypto/suite.hpp"
#include "storage/faulty_store.hpp"
#include "storage/memory_store.hpp"
#include "tests/support/key_file.hpp"
#include "tests/support/seeded_entropy.hpp"
#include "tests/support/temporary_folder.hpp"

namespace cpns::audit {

inline std::string read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void write_file(const std::filesystem::path& file, std::string_view text) {
  std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
}
inline std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at < text.size();) {
    const auto end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}
inline std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (const auto& l : lines) out += l + "\n";
  return out;
}
inline boost::json::object parsed(const std::string& line) { return boost::json::parse(line).as_object(); }
inline std::string text(const boost::json::object& o, const char* key) {
  const auto* v = o.if_contains(key);
  return v != nullptr && v->is_string() ? std::string(v->get_string().data(), v->get_string().size())
                                        : std::string{};
}

class trail_test : public ::testing::Test {
 protected:
  using opened = result<std::unique_ptr<trail>>;

  opened open(const resolver& resolve = {}) {
    trail_options o;
    o.clock = [this] { return now; };
    return trail::open(file, store_anchor(*sealed), random, resolve, o);
  }
  std::unique_ptr<trail> must_open(const resolver& resolve = {}) {
    auto t = open(resolve);
    EXPECT_TRUE(t) << t.error().message();
    return t ? std::move(*t) : nullptr;
  }
  static change add(const std::string& user) {
    change c;
    c.who.uid = 1000;
    c.request = "r-" + user;
    c.action = "user-add";
    c.object = user;
    c.after = boost::json::object{{"created", "now"}};
    return c;
  }
  /// An intent and its outcome.
  static void make_change(trail& t, const std::string& user) {
    auto ticket = t.begin(add(user));
    ASSERT_TRUE(ticket) << ticket.error().message();
    ASSERT_TRUE(t.finish(std::move(*ticket), {}));
  }
  /// A trail with 2 * `changes` + 1 lines.
  void fill(int changes) {
    const auto t = must_open();
    for (int i = 0; i < changes; ++i) make_change(*t, "user" + std::to_string(i));
  }
  [[nodiscard]] std::vector<std::string> lines() const { return split_lines(read_file(file)); }
  [[nodiscard]] std::vector<boost::json::object> objects() const {
    std::vector<boost::json::object> out;
    for (const auto& l : lines()) out.push_back(parsed(l));
    return out;
  }
  chain head() { return store_anchor(*sealed)->load().value().value(); }
  verify_report report(const std::vector<std::filesystem::path>& older = {}) {
    auto r = verify(older, file, head());
    EXPECT_TRUE(r) << r.error().message();
    return *r;
  }
  /// Runs `act`, and undoes what it wrote after remember(), as if the process had been killed there.
  template <class Act>
  void killed(Act act) {
    act();
    write_file(file, kept_text);
    ASSERT_TRUE(store_anchor(*sealed)->save(kept_head));
  }
  void remember() {
    kept_text = read_file(file);
    kept_head = head();
  }
  /// The first fault, or "whole".
  std::string fault(const std::vector<std::filesystem::path>& older = {}) {
    const auto r = report(older);
    return r.whole() ? "whole" : r.faults.front().text;
  }
  static bool has(const std::string& in, const std::string& what) {
    return in.find(what) != std::string::npos;
  }

  std::string kept_text;
  chain kept_head;
  test::temporary_folder folder;
  std::filesystem::path file = folder / "audit.jsonl";
  test::seeded_entropy random{7};
  time_point now{milliseconds(1'800'000'000'123)};
  storage::memory_store memory;
  storage::faulty_store under{memory};
  std::unique_ptr<storage::key_protector> protector = test::key_file_protector(random);
  std::unique_ptr<storage::sealed_store> sealed =
      storage::sealed_store::open(under, *protector, random).value();
};

}  // namespace cpns::audit
