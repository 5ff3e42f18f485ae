// Templates of `cpns keys render` and `exec`.

#include <gtest/gtest.h>

#include <string>

#include "base/bytes.hpp"
#include "cli/keys/key_template.hpp"

namespace {

using namespace cpns;
using cli::keys::key_table;
using cli::keys::key_template;
using cli::keys::listed_key;

listed_key key_of(const std::string& name, epoch which, bool use) {
  return {name, which, use ? "current" : "next", use, secret_bytes{bytes{0xfb, 0xff, 0x01}}};
}

const key_table::devices two{{"urn:a", {key_of("a/1.0", {1, 0}, true), key_of("a/1.1", {1, 1}, false)}},
                             {"urn:b", {key_of("b/7.2", {7, 2}, true)}}};

std::string filled(const std::string& text, const key_table::devices& all = two) {
  const auto form = key_template::parse(text, "t");
  EXPECT_TRUE(form) << text << (form ? "" : form.error().detail);
  if (!form) return "(refused)";
  const auto out = form->fill(all, "mqtt");
  return std::string{as_text(out.expose())};
}

std::string fault(const std::string& text) {
  const auto form = key_template::parse(text, "file.in");
  if (form) return "(accepted)";
  EXPECT_EQ(form.error().code, errc::config_syntax);
  return form.error().detail;
}

TEST(key_template, repeats_its_block_for_each_key) {
  EXPECT_EQ(filled("{each}\n{identity}:{key}\n{end}\n"), "a/1.0:fbff01\na/1.1:fbff01\nb/7.2:fbff01\n");
  EXPECT_EQ(filled("{each use}\n{identity}:{key}\n{end}\n"), "a/1.0:fbff01\nb/7.2:fbff01\n");
  EXPECT_EQ(filled("[{each}{entity} {epoch} {state} {use} {key_base64};{end}]"),
            "[urn:a 1.0 current yes +/8B;urn:a 1.1 next no +/8B;urn:b 7.2 current yes +/8B;]");
  EXPECT_EQ(filled("# {purpose}\n  {each}  \n\t{epoch} {purpose}\n  {end}\r\n{each use}{epoch} {end}"),
            "# mqtt\n\t1.0 mqtt\n\t1.1 mqtt\n\t7.2 mqtt\n1.0 7.2 ");
  EXPECT_EQ(filled("{each}\n{key}\n{end}\n", {}), "");
  EXPECT_EQ(filled(""), "");
}

TEST(key_template, copies_its_text) {
  EXPECT_EQ(filled("a {{b}} }}{{ {{each}}\n\n"), "a {b} }{ {each}\n\n");
  EXPECT_EQ(filled("{each}{{{epoch}}}{end}"), "{1.0}{1.1}{7.2}");
  EXPECT_EQ(filled("x {each}\n{epoch}{end}\ny"), "x \n1.0\n1.1\n7.2\ny")
      << "a tag that shares its line takes no line";
  EXPECT_EQ(filled("{each}\nx\n{end}"), "x\nx\nx\n");
}

TEST(key_template, has_errors_with_their_place) {
  EXPECT_EQ(fault("a\nb {keys}"), "file.in:2:3: unknown placeholder {keys}; did you mean {key}?");
  EXPECT_EQ(fault("{each}{zzzzzzzz}{end}").substr(0, 38), "file.in:1:7: unknown placeholder {zzzz");
  EXPECT_EQ(fault("\n\n  {key}").substr(0, 14), "file.in:3:3: {");
  EXPECT_EQ(fault("x }").substr(0, 13), "file.in:1:3: ");
  EXPECT_EQ(fault("{each").substr(0, 13), "file.in:1:1: ");
  EXPECT_EQ(fault("ab{\n}").substr(0, 13), "file.in:1:3: ");
  EXPECT_EQ(fault("a {each}b"), "file.in:1:3: this block has no {end}");
  EXPECT_EQ(fault("{each}\n {each}{end}"), "file.in:2:2: a block cannot be within another one");
  EXPECT_EQ(fault("{end}"), "file.in:1:1: {end} is known between {each} and {end} alone");
  EXPECT_EQ(fault("{}").substr(0, 35), "file.in:1:1: unknown placeholder {}");
  EXPECT_EQ(fault("{each}{\x1b[2J}{end}").find('\x1b'), std::string::npos);
}

TEST(key_template, is_read_from_a_file_that_exists) {
  const auto missing = key_template::read("/nonexistent/t.in");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, errc::config_file);
  EXPECT_NE(missing.error().detail.find("/nonexistent/t.in"), std::string::npos);
  EXPECT_FALSE(key_template::read("/"));
}

}  // namespace
