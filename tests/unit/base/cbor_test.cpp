#include "base/cbor.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <new>

namespace cpns::cbor {
namespace {

bytes hex(std::string_view digits) { return from_hex(digits).value(); }

std::string written_uint(std::uint64_t v) { return to_hex(writer{}.uint(v).view()); }

template <class T>
errc code_of(const result<T>& r) {
  return r ? errc{} : r.error().code;
}

// RFC 8949 appendix A.
TEST(cbor_writer, integers_take_their_shortest_form) {
  EXPECT_EQ(written_uint(0), "00");
  EXPECT_EQ(written_uint(23), "17");
  EXPECT_EQ(written_uint(24), "1818");
  EXPECT_EQ(written_uint(255), "18ff");
  EXPECT_EQ(written_uint(256), "190100");
  EXPECT_EQ(written_uint(65535), "19ffff");
  EXPECT_EQ(written_uint(65536), "1a00010000");
  EXPECT_EQ(written_uint(0xffffffff), "1affffffff");
  EXPECT_EQ(written_uint(0x100000000), "1b0000000100000000");
  EXPECT_EQ(written_uint(UINT64_MAX), "1bffffffffffffffff");
}

TEST(cbor_writer, writes_elements_of_every_kind) {
  writer w;
  w.array(7).uint(1).bstr(hex("0102")).tstr("a\xc3\xbc").null().boolean(true).boolean(false).empty_map();
  EXPECT_EQ(to_hex(w.view()), "870142010263"
                              "61c3bc"
                              "f6f5f4a0");
  EXPECT_EQ(to_hex(writer{}.bstr(bytes(24, 0)).view()).substr(0, 4), "5818");
  EXPECT_EQ(to_hex(writer{}.array(256).view()), "990100");
}

TEST(cbor_writer, begins_again_without_the_elements_before) {
  writer w;
  w.array(2).uint(1).tstr("a longer text");
  EXPECT_EQ(to_hex(w.clear().array(1).uint(2).view()), "8102");
}

TEST(cbor_writer, writes_the_same_however_much_it_reserved_and_wherever_it_was_moved) {
  for (const std::size_t n : {0, 1, 251, 252, 253, 254, 255, 256, 257, 600})
    for (const std::size_t reserved : {std::size_t{0}, std::size_t{1}, n, n + 40}) {
      const auto write = [n](writer w) {
        writer moved{std::move(w)};
        moved.uint(7).bstr(bytes(n, 0xab)).uint(8);
        alignas(writer) std::array<std::uint8_t, 2 * sizeof(writer) + alignof(writer)> place;
        place.fill(0x5a);
        auto& between = *new (place.data() + alignof(writer)) writer{std::move(moved)};
        writer again{std::move(between)};
        between.~writer();
        EXPECT_TRUE(std::all_of(place.begin() + alignof(writer) + sizeof(writer), place.end(),
                                [](std::uint8_t b) { return b == 0x5a; }));
        EXPECT_EQ(moved.view().size(), 0u);  // NOLINT(bugprone-use-after-move): it says what is left
        const auto seen = to_bytes(again.view());
        EXPECT_EQ(again.take(), seen);
        EXPECT_EQ(again.view().size(), 0u);
        EXPECT_EQ(to_hex(again.uint(9).take()), "09");
        return seen;
      };
      const auto out = write(writer{});
      EXPECT_EQ(write(writer{reserved}), out) << n << " bytes, " << reserved << " reserved";
      reader r{out};
      EXPECT_EQ(r.uint("first").value(), 7u);
      EXPECT_EQ(r.bstr("bytes", n, n)->size(), n);
      EXPECT_EQ(r.uint("last").value(), 8u);
      EXPECT_TRUE(r.end("all"));
    }
}

TEST(cbor_reader, reads_the_writers_output) {
  writer w;
  w.array(6).uint(300).bstr(hex("ff")).tstr("text").null().boolean(true).empty_map();
  reader r{w.view()};
  EXPECT_TRUE(r.array_of("message", 6));
  EXPECT_EQ(r.uint("number").value(), 300u);
  EXPECT_EQ(to_hex(r.bstr("bytes", 1, 1).value()), "ff");
  EXPECT_EQ(r.tstr("text", 1, 10).value(), "text");
  EXPECT_TRUE(r.null_next("nothing").value());
  EXPECT_TRUE(r.boolean("flag").value());
  EXPECT_TRUE(r.empty_map("map"));
  EXPECT_TRUE(r.end("message"));
}

TEST(cbor_reader, every_integer_survives_the_round_trip_at_its_width) {
  for (int bit = 0; bit < 64; ++bit)
    for (const std::uint64_t v : {(std::uint64_t{1} << bit) - 1, std::uint64_t{1} << bit}) {
      const auto encoded = writer{}.uint(v).take();
      reader r{encoded};
      EXPECT_EQ(r.uint("v").value(), v);
      EXPECT_TRUE(r.end("v"));
    }
}

TEST(cbor_reader, non_minimal_heads_are_refused_in_every_type) {
  for (const auto* number : {"1800", "1817", "190017", "1900ff", "1a00000001", "1a0000ffff",
                             "1b0000000000000001", "1b00000000ffffffff"}) {
    const auto in = hex(number);
    EXPECT_EQ(code_of(reader{in}.uint("v")), errc::wire_non_minimal) << number;
  }
  const auto string = hex("580161"), text = hex("780161"), array = hex("9801f6"), map = hex("b800");
  EXPECT_EQ(code_of(reader{string}.bstr("v", 0, 9)), errc::wire_non_minimal);
  EXPECT_EQ(code_of(reader{text}.tstr("v", 0, 9)), errc::wire_non_minimal);
  EXPECT_EQ(code_of(reader{array}.array("v", 0, 9)), errc::wire_non_minimal);
  EXPECT_EQ(reader{map}.empty_map("v").error().code, errc::wire_non_minimal);
}

TEST(cbor_reader, the_least_value_of_each_width_is_minimal) {
  for (const auto* number : {"1818", "190100", "1a00010000", "1b0000000100000000"}) {
    const auto in = hex(number);
    EXPECT_TRUE(reader{in}.uint("v")) << number;
  }
}

TEST(cbor_reader, indefinite_lengths_are_refused) {
  const auto string = hex("5f4101ff"), text = hex("7f6161ff"), array = hex("9f01ff"), map = hex("bfff");
  EXPECT_EQ(code_of(reader{string}.bstr("v", 0, 9)), errc::wire_indefinite);
  EXPECT_EQ(code_of(reader{text}.tstr("v", 0, 9)), errc::wire_indefinite);
  EXPECT_EQ(code_of(reader{array}.array("v", 0, 9)), errc::wire_indefinite);
  EXPECT_EQ(reader{map}.empty_map("v").error().code, errc::wire_indefinite);
}

TEST(cbor_reader, every_prefix_of_a_message_is_truncated) {
  writer w;
  w.array(4).uint(70000).bstr(bytes(30, 1)).tstr("abc").boolean(true);
  const auto whole = w.take();
  const auto read_all = [](byte_view in) -> status {
    reader r{in};
    CPNS_CHECK(r.array_of("m", 4));
    CPNS_CHECK(r.uint("u"));
    CPNS_CHECK(r.bstr("b", 30, 30));
    CPNS_CHECK(r.tstr("t", 0, 3));
    CPNS_CHECK(r.boolean("f"));
    return r.end("m");
  };
  ASSERT_TRUE(read_all(whole));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto read = read_all(byte_view{whole}.first(n));
    ASSERT_FALSE(read) << n;
    EXPECT_EQ(read.error().code, errc::wire_truncated) << n;
  }
  auto longer = whole;
  longer.push_back(0);
  EXPECT_EQ(read_all(longer).error().code, errc::wire_trailing);
}

TEST(cbor_reader, huge_lengths_are_refused_at_once) {
  const auto string = hex("5b7fffffffffffffff"), array = hex("9a10000000"), text = hex("7bffffffffffffffff");
  EXPECT_EQ(code_of(reader{string}.bstr("v", 0, 64)), errc::wire_length);
  EXPECT_EQ(code_of(reader{string}.bstr("v", 0, SIZE_MAX)), errc::wire_truncated);
  EXPECT_EQ(code_of(reader{array}.array("v", 0, 64)), errc::wire_length);
  EXPECT_EQ(code_of(reader{text}.tstr("v", 0, SIZE_MAX)), errc::wire_truncated);
}

TEST(cbor_reader, other_types_are_refused) {
  for (const auto* other : {"20", "c100", "f7", "f90000", "fb0000000000000000", "f820", "fc", "1c", "ff"}) {
    const auto in = hex(other);
    EXPECT_FALSE(reader{in}.uint("v")) << other;
    EXPECT_FALSE(reader{in}.bstr("v", 0, 99)) << other;
    EXPECT_FALSE(reader{in}.tstr("v", 0, 99)) << other;
    EXPECT_FALSE(reader{in}.array("v", 0, 99)) << other;
    EXPECT_FALSE(reader{in}.boolean("v")) << other;
    EXPECT_FALSE(reader{in}.empty_map("v")) << other;
  }
  const auto full_map = hex("a10102"), number = hex("01");
  EXPECT_EQ(reader{full_map}.empty_map("v").error().code, errc::wire_length);
  EXPECT_EQ(code_of(reader{number}.bstr("v", 0, 9)), errc::wire_type);
}

TEST(cbor_reader, checks_bounds) {
  const auto number = hex("1903e8"), string = hex("43010203"), array = hex("820102");
  EXPECT_EQ(code_of(reader{number}.uint("v", 999)), errc::wire_range);
  EXPECT_EQ(reader{number}.uint("v", 1000).value(), 1000u);
  EXPECT_EQ(code_of(reader{string}.bstr("v", 4, 9)), errc::wire_length);
  EXPECT_EQ(code_of(reader{string}.bstr("v", 0, 2)), errc::wire_length);
  EXPECT_EQ(code_of(reader{string}.bstr_of<4>("v")), errc::wire_length);
  EXPECT_EQ(reader{array}.array_of("v", 3).error().code, errc::wire_length);
}

TEST(cbor_reader, reads_null_or_a_value) {
  const auto none = hex("f6"), sixteen = hex("50" + std::string(32, 'a')), number = hex("05");
  EXPECT_FALSE(reader{none}.bstr_or_null<16>("v").value().has_value());
  EXPECT_TRUE(reader{sixteen}.bstr_or_null<16>("v").value().has_value());
  EXPECT_EQ(code_of(reader{number}.bstr_or_null<16>("v")), errc::wire_type);
  EXPECT_FALSE(reader{none}.uint_or_null("v").value().has_value());
  EXPECT_EQ(reader{number}.uint_or_null("v").value(), 5u);
  EXPECT_EQ(code_of(reader{number}.uint_or_null("v", 4)), errc::wire_range);
}

TEST(cbor_reader, accepts_only_utf_8_text) {
  // Overlong, surrogate, above U+10FFFF, cut off, a continuation alone.
  for (const auto* bad :
       {"62c080", "61ff", "63eda080", "64f4908080", "61c3", "62c328", "6180", "63e08080", "64f0808080"}) {
    const auto in = hex(bad);
    EXPECT_EQ(code_of(reader{in}.tstr("v", 0, 9)), errc::wire_utf8) << bad;
  }
  for (const auto* good : {"60", "62c3bc", "63e6b0b4", "64f0908591", "63ed9fbf", "64f48fbfbf"}) {
    const auto in = hex(good);
    EXPECT_TRUE(reader{in}.tstr("v", 0, 9)) << good;
  }
}

TEST(cbor_reader, an_error_names_element_place_and_reason) {
  const auto in = hex("8201f6");
  reader r{in};
  ASSERT_TRUE(r.array_of("message", 2));
  ASSERT_TRUE(r.uint("type"));
  const auto wrong = r.bstr("nonce", 16, 16);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().detail, "nonce at byte 2: must be a byte string");
}

}  // namespace
}  // namespace cpns::cbor
