#include "server/device_rows.hpp"

#include <algorithm>

#include "crypto/key_schedule.hpp"
#include "server/key_text.hpp"
#include "tests/unit/cli/temp_folder.hpp"

namespace cpns::server {
namespace {

constexpr auto key = "8f14e45fceea167a5a36dedd4bea2543";
const std::string head = "entity_id,temporary_key,strength,owner\n";

std::string entity(int n) {
  auto digits = std::to_string(n);
  return "urn:dev:mac:" + std::string(16 - digits.size(), '0') + digits;
}
/// `taken` gets the number of bytes that were read.
result<device_rows> read(const std::string& text, std::size_t* taken = nullptr) {
  std::size_t at = 0;
  const auto rows = read_device_rows(
      [&](std::span<std::uint8_t> to) -> result<std::size_t> {
        const auto n = text.copy(reinterpret_cast<char*>(to.data()), to.size(), at);
        at += n;
        return n;
      },
      "d.csv");
  if (taken != nullptr) *taken = at;
  return rows;
}
/// "LINE ENTITY: ERROR", one per bad row.
std::vector<std::string> wrong(const std::string& text) {
  std::vector<std::string> out;
  const auto rows = read(text);
  if (!rows) return {rows.error().detail};
  for (const auto& p : rows->bad) out.push_back(std::to_string(p.line) + " " + p.entity + ": " + p.text);
  return out;
}
using lines = std::vector<std::string>;

TEST(device_csv, reads_entities_keys_strengths_and_owners) {
  const auto rows =
      read(head + entity(1) + "," + key + ",128bit,alice@example.org\n" + entity(2) +
           ",text:correct horse,stretch,\n\n" + entity(3) + ",hex:" + key + ",stretch,\"bob\"\n");
  ASSERT_TRUE(rows) << rows.error().detail;
  EXPECT_TRUE(rows->bad.empty());
  ASSERT_EQ(rows->good.size(), 3U);
  EXPECT_EQ(rows->good[0].entity.text(), entity(1));
  EXPECT_EQ(rows->good[0].temporary_key, secret_bytes(*from_hex(key)));
  EXPECT_FALSE(rows->good[0].stretch);
  EXPECT_EQ(rows->good[0].owner->text(), "alice@example.org");
  EXPECT_EQ(rows->good[1].temporary_key, secret_bytes::from_text("correct horse"));
  EXPECT_TRUE(rows->good[1].stretch);
  EXPECT_FALSE(rows->good[1].owner);
  EXPECT_EQ(rows->good[2].line, 5U);
  EXPECT_EQ(rows->good[2].temporary_key, secret_bytes(*from_hex(key)));
}

TEST(device_csv, accepts_crlf_a_byte_order_mark_any_order_of_columns_and_no_last_newline) {
  const auto rows = read("\xef\xbb\xbfstrength,entity_id,temporary_key\r\n128bit," + entity(1) + "," + key +
                         "\r\n128bit, " + entity(2) + " ,\"text:a,\"\"quoted\"\" key of 128 bits\"");
  ASSERT_TRUE(rows) << rows.error().detail;
  ASSERT_TRUE(rows->bad.empty()) << rows->bad[0].text;
  ASSERT_EQ(rows->good.size(), 2U);
  EXPECT_EQ(rows->good[1].entity.text(), entity(2));
  EXPECT_EQ(rows->good[1].temporary_key, secret_bytes::from_text("a,\"quoted\" key of 128 bits"));
}

TEST(device_csv, reports_a_bad_row_by_its_line_and_keeps_the_others) {
  const auto text = head + entity(1) + "," + key + ",128bit,\n" + "headset," + key + ",128bit,\n" +
                    entity(3) + "," + key + ",128bit,\n";
  const auto rows = read(text);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->good.size(), 2U);
  ASSERT_EQ(wrong(text).size(), 1U);
  EXPECT_TRUE(wrong(text)[0].starts_with("3 : the entity_id has no known scheme (urn:dev:mac:"))
      << wrong(text)[0];
}

TEST(device_csv, reports_each_kind_of_bad_row) {
  const auto row = [&](const std::string& text) { return wrong(head + text + "\n"); };
  const auto id = entity(1);
  EXPECT_EQ(row(id + "," + key + ",128bit"), lines{"2 : the line has 3 fields, the first line has 4"});
  EXPECT_EQ(row("," + std::string{key} + ",128bit,"), lines{"2 : the entity_id is missing"});
  EXPECT_EQ(row(id + ",,128bit,"), lines{"2 " + id + ": the temporary_key is missing"});
  EXPECT_EQ(row(id + "," + key + ",,"), lines{"2 " + id +
                                              ": the strength is missing: write '128bit' if the manufacturer "
                                              "declares 128 random bits, else 'stretch'"});
  EXPECT_EQ(row(id + "," + key + ",strong,"),
            lines{"2 " + id + ": the strength must be '128bit' or 'stretch'"});
  EXPECT_EQ(
      row(id + ",123456,128bit,"),
      lines{"2 " + id +
            ": the temporary key has 6 bytes; 128 random bits need at least 16 (a weaker one can be imported "
            "with strength 'stretch')"});
  EXPECT_EQ(row(id + ",12345,stretch,"),
            lines{"2 " + id + ": the temporary key has 5 bytes; one that is stretched has at least 6"});
  EXPECT_EQ(row(id + ",hex:8f1,128bit,"),
            lines{"2 " + id + ": the temporary key is not an even number of hexadecimal digits"});
  EXPECT_EQ(row(id + ",text:" + std::string(257, 'x') + ",128bit,"),
            lines{"2 " + id + ": the temporary key is longer than 256 bytes"});
  EXPECT_EQ(row(id + "," + key + ",128bit,al ice"),
            lines{"2 " + id + ": the owner has a character other than printable ASCII"});
  EXPECT_EQ(row("\"" + id), lines{"2 : a quote is not closed in this line"});
  EXPECT_EQ(row("\"" + id + "\"x," + key + ",128bit,"),
            lines{"2 : a closing quote is not followed by a comma"});
  EXPECT_EQ(row("a\"b," + std::string{key} + ",128bit,"),
            lines{"2 : a field has a quote inside but does not begin with one"});
}

TEST(device_csv, refuses_keys_that_a_spreadsheet_or_a_person_seems_to_have_changed) {
  const std::string damaged[][2] = {{"f14e45fceea167a5a36dedd4bea2543", "was a leading zero lost"},
                                    {"14e45fceea167a5a36dedd4bea2543", "were leading zeros lost"},
                                    {std::string(62, '7'), "were leading zeros lost"},
                                    {"8f:14:e4:5f:ce:ea:16:7a:5a:36:de:dd:4b:ea:25:43", "has colons"},
                                    {"8f14e45f-ceea-167a-5a36-dedd4bea2543", "has colons"},
                                    {"8f14 e45f ceea 167a 5a36 dedd 4bea 2543", "has colons"},
                                    {"0x8f14e45fceea167a5a36dedd4bea2543", "begins with 0x"},
                                    {"8f14e45fceea167a5a36dedd4bea254O", "letter O"},
                                    {"8f14e45fceeal67a5a36dedd4bea2543", "letter O"},
                                    {"8.14E+31", "spreadsheet"},
                                    {"zxJ+PW3qJ2T2gq7c5b2Qxw==", "base64"},
                                    {"zxJ+PW3qJ2T2gq7c5b2Qxw", "base64"}};
  for (const auto& [text, reason] : damaged)
    for (const auto* strength : {"128bit", "stretch"}) {
      const auto errors = wrong(head + entity(1) + "," + text + "," + strength + ",\n");
      ASSERT_EQ(errors.size(), 1U) << text << strength;
      EXPECT_NE(errors[0].find(reason), std::string::npos) << errors[0];
      EXPECT_TRUE(errors[0].starts_with("2 " + entity(1) + ": ")) << errors[0];
      EXPECT_EQ(errors[0].find("dedd"), std::string::npos) << errors[0];
    }
  EXPECT_EQ(
      wrong(head + entity(1) + ",a text of more than 16 bytes,128bit,\n"),
      lines{"2 " + entity(1) +
            ": the temporary key has no encoding; write it as it is in the device after hex:, base64: or "
            "text:"});
  EXPECT_EQ(wrong(head + entity(1) + ",a text of more than 16 bytes,stretch,\n"), lines{});
}

TEST(device_csv, reads_a_key_by_its_prefix_or_the_column_encoding) {
  const std::string columns = "entity_id,temporary_key,strength,encoding\n";
  const auto key_of = [&](const std::string& text, const std::string& encoding) {
    const auto rows = read(columns + entity(1) + "," + text + ",128bit," + encoding + "\n");
    return rows && rows->bad.empty() ? to_hex(rows->good.at(0).temporary_key.expose())
                                     : (rows ? rows->bad.at(0).text : rows.error().detail);
  };
  for (const auto* encoding : {"hex", "base64", "text"}) {
    const std::string written = encoding == std::string{"hex"}      ? key
                                : encoding == std::string{"base64"} ? "jxTkX87qFnpaNt7dS+olQw=="
                                                                    : "text as it stands";
    const auto expected =
        encoding == std::string{"text"} ? to_hex(as_bytes("text as it stands")) : std::string{key};
    EXPECT_EQ(key_of(written, encoding), expected);
    EXPECT_EQ(key_of(encoding + (":" + written), encoding), expected);
    EXPECT_EQ(key_of(encoding + (":" + written), ""), expected);
  }
  EXPECT_EQ(key_of("8f:14:e4:5f:ce:ea:16:7a:5a:36:de:dd:4b:ea:25:43", "text").size(), 2U * 47U);
  EXPECT_NE(key_of("8f:14:e4:5f:ce:ea:16:7a:5a:36:de:dd:4b:ea:25:43", "hex").find("colons"),
            std::string::npos);
  EXPECT_NE(key_of("f14e45fceea167a5a36dedd4bea2543", "hex").find("leading zero"), std::string::npos);
  EXPECT_NE(key_of("jxTkX87qFnpaNt7dS+olQw", "base64").find("is not base64"), std::string::npos);
  EXPECT_NE(key_of(std::string{"hex:"} + key, "text").find("another"), std::string::npos);
  EXPECT_EQ(key_of(key, "hexa"), "the encoding must be 'hex', 'base64' or 'text'");
}

TEST(device_csv, reports_utf_16) {
  EXPECT_EQ(wrong(std::string("\xff\xfe"
                              "e\0n\0",
                              6)),
            lines{"d.csv:1: this is UTF-16; save it as UTF-8"});
}

TEST(key_text, recognises_constant_keys) {
  const auto is = [](const char* hex, bool stretch) { return is_constant_key(*from_hex(hex), stretch); };
  for (const auto* hex : {"00000000000000000000000000000000", "ffffffffffffffffffffffffffffffff",
                          "000102030405060708090a0b0c0d0e0f", "00112233445566778899aabbccddeeff",
                          "deadbeefdeadbeefdeadbeefdeadbeef", "0f0e0d0c0b0a09080706050403020100"})
    EXPECT_TRUE(is(hex, false)) << hex;
  EXPECT_FALSE(is(key, false));
  EXPECT_TRUE(is("303030303030", true));
  EXPECT_FALSE(is("313233343536", true)) << "a weak passphrase is what stretching is for";
}

TEST(device_csv, reports_a_device_that_is_listed_twice) {
  const auto line = entity(1) + "," + key + ",128bit,\n";
  EXPECT_EQ(wrong(head + line + line), lines{"3 " + entity(1) + ": the device is in line 2 already"});
  EXPECT_EQ(read(head + line + line)->good.size(), 1U);
}

TEST(device_csv, never_puts_a_key_into_an_error) {
  for (const auto& text :
       {head + "headset," + key + ",128bit,\n", head + entity(1) + "," + key + "zz,weak,\n",
        head + entity(1) + ",hex:" + key + "z,128bit,\n", head + entity(1) + "," + key + "\n",
        "{\"entity_id\":\"x\",\"temporary_key\":\"" + std::string{key} + "\"}\n",
        "{\"entity_id\":\"" + entity(1) + "\",\"temporary_key\":\"" + std::string{key} + "\n"}) {
    for (const auto& line : wrong(text))
      EXPECT_EQ(line.find(std::string{key}.substr(0, 8)), std::string::npos) << line;
    EXPECT_FALSE(wrong(text).empty());
  }
}

/// Each order of the cells of a row, under each order of the first line, and without one.
TEST(device_csv, quotes_no_part_of_a_key_whatever_columns_are_swapped) {
  const std::vector<std::string> names{"entity_id", "temporary_key", "strength", "owner", "encoding"};
  for (const std::string& secret :
       {std::string{key}, "hex:" + std::string{key}, std::string{"text:correct horse battery"},
        std::string{"jxTkX87qFnpaNt7dS+olQw=="}}) {
    std::vector<std::string> cells{entity(1), secret, "128bit", "alice@example.org", ""};
    std::sort(cells.begin(), cells.end());
    do {
      const auto line = cells[0] + "," + cells[1] + "," + cells[2] + "," + cells[3] + "," + cells[4] + "\n";
      for (const auto& text :
           {"entity_id,temporary_key,strength,owner,encoding\n" + line, line,
            "{\"" + cells[0] + "\":\"" + cells[1] + "\",\"" + cells[2] + "\":\"" + cells[3] + "\"}\n",
            "{\"entity_id\":\"" + cells[0] + "\",\"temporary_key\":\"" + cells[1] + "\",\"strength\":\"" +
                cells[2] + "\",\"owner\":\"" + cells[3] + "\",\"encoding\":\"" + cells[4] + "\"}\n"}) {
        for (const auto& row : wrong(text))
          for (std::size_t at = 0; at + 6 <= secret.size(); ++at)
            ASSERT_EQ(row.find(secret.substr(at, 6)), std::string::npos) << text << row;
        const auto rows = read(text);
        if (!rows) continue;
        for (const auto& good : rows->good)
          ASSERT_NE(good.owner.value_or(user_id{}).text(), secret) << text << "a viewer may see an owner";
      }
    } while (std::next_permutation(cells.begin(), cells.end()));
  }
}

TEST(device_csv, asks_whether_columns_are_swapped) {
  EXPECT_EQ(
      wrong(head + key + "," + entity(1) + ",128bit,"),
      lines{"2 : the entity_id has no known scheme (urn:dev:mac:, urn:gsma:imei:, urn:uuid:, urn:dev:os:); "
            "the temporary_key is an Entity ID: are they swapped?"});
  EXPECT_EQ(wrong(head + entity(1) + ",alice@example.org,stretch," + key),
            lines{"2 " + entity(1) +
                  ": the owner looks like a key, and the temporary_key does not; are they swapped?"});
  EXPECT_EQ(wrong(head + entity(1) + "," + key + ",128bit,f81d4fae-7dec-11d0-a765-00a0c91e6bf6"), lines{})
      << "a UUID may be a user";
}

TEST(device_csv, refuses_a_file_of_a_wrong_form_as_a_whole) {
  EXPECT_EQ(wrong(""), lines{"d.csv: the file lists no device"});
  EXPECT_EQ(wrong(head), lines{"d.csv: the file lists no device"});
  EXPECT_EQ(wrong(entity(1) + "," + key + ",128bit\n"),
            lines{"d.csv:1: field 1 is not the name of a column (there are entity_id, temporary_key, "
                  "strength, owner and encoding); the "
                  "first line must have the names of the columns"});
  EXPECT_EQ(wrong("entity_id,temporary_kye,strength\n"),
            lines{"d.csv:1: field 2 is not the name of a column; did you mean 'temporary_key'? (there are "
                  "entity_id, temporary_key, "
                  "strength, owner and encoding); the first line must have the names of the columns"});
  EXPECT_EQ(wrong("entity_id,temporary_key\nx,y\n"), lines{"d.csv:1: the column strength is missing"});
  EXPECT_EQ(wrong("entity_id,entity_id\n"), lines{"d.csv:1: the column entity_id appears twice"});
}

TEST(device_csv, refuses_ten_million_bytes_without_a_newline_after_the_first_few) {
  std::size_t taken = 0;
  const auto rows = read(std::string(10'000'000, 'x'), &taken);
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, errc::config_range);
  EXPECT_EQ(rows.error().detail, "d.csv:1: the line is longer than 4096 bytes; is this CSV or JSON Lines?");
  EXPECT_LT(taken, 10'000U) << "the rest was read, too";
  EXPECT_EQ(wrong(head + entity(1) + "," + key + ",128bit,\n" + std::string(10'000'000, '"')),
            lines{"d.csv:3: the line is longer than 4096 bytes; is this CSV or JSON Lines?"});
}

TEST(device_csv, reads_a_line_of_the_greatest_length) {
  const auto line = entity(1) + "," + key + ",128bit,";
  const auto full = line + std::string(device_line_max - line.size(), ' ');
  EXPECT_EQ(wrong(head + full + "\r\n"), lines{});
  EXPECT_EQ(wrong(head + full + " \n").size(), 1U);
}

TEST(device_json_lines, reads_the_same_as_csv) {
  const auto rows = read(
      "\xef\xbb\xbf{\"entity_id\":\"" + entity(1) + "\",\"temporary_key\":\"" + key +
      "\",\"strength\":\"128bit\",\"owner\":null}\r\n\r\n { \"strength\" : \"stretch\" , \"entity_id\" : \"" +
      entity(2) +
      "\" , \"owner\":\"bob\", \"temporary_key\" : \"text:p\\u00e4ss \\ud83d\\ude00 \\\"x\\\"\" }\n");
  ASSERT_TRUE(rows) << rows.error().detail;
  ASSERT_TRUE(rows->bad.empty()) << rows->bad[0].text;
  ASSERT_EQ(rows->good.size(), 2U);
  EXPECT_EQ(rows->good[0].temporary_key, secret_bytes(*from_hex(key)));
  EXPECT_FALSE(rows->good[0].owner);
  EXPECT_EQ(rows->good[1].temporary_key, secret_bytes::from_text("p\xc3\xa4ss \xf0\x9f\x98\x80 \"x\""));
  EXPECT_EQ(rows->good[1].owner->text(), "bob");
}

TEST(device_json_lines, reports_each_kind_of_bad_row) {
  const std::string good =
      "{\"entity_id\":\"" + entity(1) + "\",\"temporary_key\":\"" + key + "\",\"strength\":\"128bit\"}\n";
  const auto row = [&](const std::string& text) { return wrong(good + text + "\n"); };
  EXPECT_EQ(row("{}"), lines{"2 : the entity_id is missing"});
  EXPECT_TRUE(
      row("{\"entity\":\"x\"}")
          .at(0)
          .starts_with("2 : a key of the object is not the name of a column; did you mean 'entity_id'?"));
  EXPECT_EQ(row("{\"owner\":\"a\",\"owner\":\"b\"}"), lines{"2 : the key owner appears twice"});
  for (const auto* broken : {"x",
                             "[]",
                             "{",
                             "{\"a\"",
                             "{\"owner\":1}",
                             "{\"owner\":[]}",
                             "{\"owner\":{}}",
                             "{\"owner\":\"a\"",
                             "{\"owner\":\"a\",}",
                             "{} {}",
                             "{\"owner\":\"\\x\"}",
                             "{\"owner\":\"\\u12\"}",
                             "{\"owner\":\"\\ud800\"}",
                             "{\"owner\":\"\\udc00\"}",
                             "{\"owner\":\"\\ud800\\u0041\"}",
                             "{\"owner\":\"a\tb\"}",
                             "{\"owner\":\"a\\",
                             "null",
                             "{\"owner\":true}",
                             "{\"owner\":-1.5}",
                             "{\"owner\":\"a\"} x"}) {
    const auto text = row(broken);
    ASSERT_EQ(text.size(), 1U) << broken;
    EXPECT_TRUE(text[0].starts_with("2 : not a JSON object of texts: ")) << text[0];
    EXPECT_NE(text[0].find(" at column "), std::string::npos) << text[0];
  }
}

struct collected final : row_sink {
  void good(device_row row) override {
    all.push_back(std::to_string(row.line) + " " + row.entity.text() + " " +
                  to_hex(row.temporary_key.expose()));
  }
  void bad(row_diagnostic row) override { all.push_back(row.in("f")); }
  lines all;
};

/// The rows of a list that is cut at `at`; another parser goes on there.
lines in_two_parts(const std::string& text, std::size_t at) {
  collected out;
  device_parser first{100};
  EXPECT_TRUE(first.feed(as_bytes(text).first(at), out));
  device_parser second{100, first.at()};
  EXPECT_TRUE(second.feed(as_bytes(text).subspan(at), out));
  EXPECT_TRUE(second.end(out));
  return out.all;
}

TEST(device_parser, goes_on_at_any_byte_of_a_list) {
  const std::string id = entity(1), json = "{\"entity_id\":\"" + id + "\",\"temporary_key\":\"" + key +
                                           "\",\"strength\":\"128bit\"}";
  const std::vector<std::string> texts{"\xef\xbb\xbf" + head + "\r\n" + id + "," + key +
                                           ",128bit,\r\nheadset,x,128bit,\n\n" + entity(2) +
                                           ",text:correct horse,stretch,bob",
                                       "\n" + json + "\nx\n" + json};
  for (const auto& text : texts) {
    const auto whole = in_two_parts(text, 0);
    ASSERT_EQ(whole.size(), 3U);
    for (std::size_t at = 1; at <= text.size(); ++at) ASSERT_EQ(in_two_parts(text, at), whole) << at;
  }
}

TEST(device_parser, refuses_more_rows_than_its_bound_and_counts_bad_ones) {
  collected out;
  device_parser parser{2};
  const auto done = parser.feed(as_bytes(head + "a,b,c,d\n\ne,f,g,h\ni,j,k,l\n"), out);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().detail, "more than 2 rows; split the file");
  EXPECT_EQ(parser.fault_line(), 5U);
  EXPECT_EQ(out.all.size(), 2U);
}

class key_file : public test::temp_folder {};

TEST_F(key_file, holds_one_key_in_one_line) {
  const auto id = entity_id::parse(entity(1)).value();
  const auto plain = load_temporary_key(write("a", std::string{key} + "\n"), id);
  ASSERT_TRUE(plain) << plain.error().detail;
  EXPECT_EQ(plain->temporary_key, secret_bytes(*from_hex(key)));
  EXPECT_FALSE(plain->stretch);
  const auto weak = load_temporary_key(write("b", "text:correct horse stretch"), id);
  ASSERT_TRUE(weak) << weak.error().detail;
  EXPECT_EQ(weak->temporary_key, secret_bytes::from_text("correct horse"));
  EXPECT_TRUE(weak->stretch);
  EXPECT_EQ(load_temporary_key(write("c", "short"), id).error().code, errc::config_range);
  EXPECT_EQ(load_temporary_key(write("d", ""), id).error().code, errc::config_syntax);
  EXPECT_EQ(load_temporary_key(write("e", std::string{key} + "\nmore\n"), id).error().code,
            errc::config_syntax);
  EXPECT_EQ(
      load_temporary_key(write("g", "8f:14:e4:5f:ce:ea:16:7a:5a:36:de:dd:4b:ea:25:43\n"), id).error().code,
      errc::config_range);
  EXPECT_EQ(load_temporary_key(write("h", std::string{key} + "\n", 0644), id).error().code,
            errc::config_file);
  EXPECT_EQ(load_device_rows(write("i", head + entity(1) + "," + key + ",128bit,\n", 0644)).error().code,
            errc::config_file);
  EXPECT_EQ(load_temporary_key(folder / "none", id).error().code, errc::config_file);
  EXPECT_EQ(load_temporary_key(folder, id).error().code, errc::config_file);
  EXPECT_EQ(load_device_rows(folder).error().code, errc::config_file);
  EXPECT_EQ(load_device_rows(folder / "none").error().code, errc::config_file);
}

TEST_F(key_file, holds_a_key_that_is_derived_as_the_protocol_defines) {
  const auto& s = crypto::openssl_suite();
  const auto id = entity_id::parse(entity(1)).value();
  device_row row{1, id, secret_bytes(*from_hex(key)), false, std::nullopt};
  EXPECT_EQ(kept_key(s, row), crypto::derive_temporary_key(s, id, row.temporary_key.expose()));
  row.stretch = true;
  EXPECT_EQ(kept_key(s, row), crypto::stretch_temporary_key(s, id, row.temporary_key.expose()));
}

}  // namespace
}  // namespace cpns::server
