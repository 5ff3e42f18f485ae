// For any bytes, a decoder returns a message or an error that names the fault.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>

#include "tests/unit/protocol/codec_samples.hpp"

namespace cpns::protocol {
namespace {

using samples::sample;

struct decoder {
  std::string name;
  std::vector<sample> good;
  std::size_t size_max;
  /// Decodes and encodes again; the error, if the bytes are refused.
  std::function<result<bytes>(byte_view)> run;
};

result<bytes> through_radio(byte_view in) {
  CPNS_TRY(const auto m, decode_radio(in));
  return std::visit([](const auto& body) { return encode(body); }, m);
}
result<bytes> through_request(byte_view in) {
  CPNS_TRY(const auto m, decode_link_request(in));
  return encode(m);
}
result<bytes> through_answer(byte_view in) {
  CPNS_TRY(const auto m, decode_link_answer(in));
  return to_bytes(encode(m).expose());
}

result<bytes> through_node_request(byte_view in) {
  CPNS_TRY(const auto m, decode_node_request(in));
  return encode(m);
}
result<bytes> through_acknowledgement(byte_view in) {
  CPNS_TRY(const auto m, decode_node_acknowledgement(in));
  return encode(m);
}

std::vector<decoder> decoders() {
  return {{"radio", samples::radio(), radio_message_max, through_radio},
          {"request", samples::requests(), link_message_max, through_request},
          {"answer", samples::answers(), link_message_max, through_answer},
          {"node_request", samples::node_requests(), link_message_max, through_node_request},
          {"acknowledgement", samples::node_acknowledgements(), link_message_max, through_acknowledgement}};
}

class codec_hostile : public testing::TestWithParam<std::size_t> {
 protected:
  decoder d_ = decoders()[GetParam()];

  void refused(byte_view in, const std::string& why) const {
    const auto r = d_.run(in);
    ASSERT_FALSE(r.has_value()) << why << ": accepted " << to_hex(in);
    EXPECT_EQ(fault_of(r.error().code), fault::wire) << why;
    EXPECT_FALSE(r.error().detail.empty()) << why;
  }
  void refused(byte_view in, errc code, const std::string& why) const {
    const auto r = d_.run(in);
    ASSERT_FALSE(r.has_value()) << why << ": accepted " << to_hex(in);
    EXPECT_EQ(r.error().code, code) << why << ": " << r.error().message();
  }
};

TEST_P(codec_hostile, accepts_and_reproduces_good_messages) {
  for (const auto& s : d_.good) {
    const auto r = d_.run(s.encoded);
    ASSERT_TRUE(r.has_value()) << s.name << ": " << r.error().message();
    EXPECT_EQ(to_hex(*r), to_hex(s.encoded)) << s.name;
  }
}

TEST_P(codec_hostile, refuses_a_message_cut_at_any_byte) {
  for (const auto& s : d_.good)
    for (std::size_t n = 0; n < s.encoded.size(); ++n)
      refused(byte_view{s.encoded}.first(n), errc::wire_truncated,
              s.name + " cut after " + std::to_string(n));
}

TEST_P(codec_hostile, refuses_any_trailing_byte) {
  for (const auto& s : d_.good)
    for (int b = 0; b < 256; ++b) {
      auto longer = s.encoded;
      longer.push_back(static_cast<std::uint8_t>(b));
      refused(longer, errc::wire_trailing, s.name);
    }
}

TEST_P(codec_hostile, refuses_a_message_longer_than_the_bound) {
  for (const auto& s : d_.good) {
    auto longer = s.encoded;
    longer.resize(d_.size_max + 1);
    refused(longer, errc::wire_oversized, s.name);
    longer.resize(d_.size_max);
    refused(longer, errc::wire_trailing, s.name);
  }
  refused(bytes(d_.size_max * 16), errc::wire_oversized, "zeros");
}

TEST_P(codec_hostile, refuses_each_head_that_is_too_wide) {
  for (const auto& s : d_.good)
    for (const auto& h : samples::heads_of(s.encoded))
      for (int extra = 1; extra <= 4; ++extra)
        if (const auto wide = samples::widened(s.encoded, h, extra))
          refused(*wide, errc::wire_non_minimal, s.name + ", head at " + std::to_string(h.offset));
}

TEST_P(codec_hostile, refuses_each_element_of_indefinite_length) {
  for (const auto& s : d_.good)
    for (const auto& h : samples::heads_of(s.encoded)) {
      if (h.major < 2 || h.major > 4) continue;
      auto changed = s.encoded;
      changed[h.offset] = static_cast<std::uint8_t>(h.major << 5 | 31);
      refused(changed, errc::wire_indefinite, s.name + ", head at " + std::to_string(h.offset));
    }
}

TEST_P(codec_hostile, refuses_each_head_that_announces_more_than_there_is) {
  for (const auto& s : d_.good)
    for (const auto& h : samples::heads_of(s.encoded)) {
      if (h.major < 2 || h.major > 4) continue;
      bytes changed(s.encoded.begin(), s.encoded.begin() + static_cast<std::ptrdiff_t>(h.offset));
      changed.push_back(static_cast<std::uint8_t>(h.major << 5 | 27));
      changed.resize(changed.size() + 8, 0xff);
      changed.insert(changed.end(), s.encoded.begin() + static_cast<std::ptrdiff_t>(h.offset + h.size),
                     s.encoded.end());
      refused(changed, errc::wire_length, s.name + ", head at " + std::to_string(h.offset));
    }
}

/// Elements of every CBOR type. Each element of a message accepts only its own type, and some null.
const std::vector<std::pair<std::string, bytes>>& strangers() {
  static const std::vector<std::pair<std::string, bytes>> all{
      {"a negative integer", {0x20}},
      {"an empty byte string", {0x40}},
      {"an empty text", {0x60}},
      {"an empty array", {0x80}},
      {"an array of arrays", {0x82, 0x80, 0x80}},
      {"a map", {0xa1, 0x01, 0x02}},
      {"a tagged integer", {0xc1, 0x01}},
      {"a tagged string", {0xc2, 0x41, 0x01}},
      {"undefined", {0xf7}},
      {"a simple value", {0xf0}},
      {"a simple value in two bytes", {0xf8, 0x20}},
      {"a half float", {0xf9, 0x3c, 0x00}},
      {"a float", {0xfa, 0x3f, 0x80, 0, 0}},
      {"a double", {0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0}},
      {"a break", {0xff}},
      {"reserved information", {0x1c}},
      {"2^64-1", {0x1b, 255, 255, 255, 255, 255, 255, 255, 255}}};
  return all;
}

TEST_P(codec_hostile, refuses_each_element_replaced_by_another_type) {
  for (const auto& s : d_.good)
    for (const auto& h : samples::heads_of(s.encoded))
      for (const auto& [what, encoded] : strangers()) {
        const auto changed = samples::replaced(s.encoded, h, encoded);
        if (changed == s.encoded) continue;
        const auto r = d_.run(changed);
        // A number may have any value, a reason and a list of nodes may be empty; nothing else of the list is valid.
        if (r) {
          EXPECT_TRUE((what == "2^64-1" && h.major == 0) ||
                      (what == "an empty text" && s.name == "Refusal") ||
                      (what == "an empty array" && s.name == "Nodes"))
              << s.name << ", element at " << h.offset << " accepted as " << what;
          EXPECT_TRUE(*r == changed);
        }
      }
}

TEST_P(codec_hostile, refuses_deep_nesting) {
  for (int head : {0x81, 0x82, 0x83, 0x86, 0x8a, 0x8f}) {
    bytes in(1000, static_cast<std::uint8_t>(head));
    in.push_back(0);
    refused(in, "arrays in arrays");
  }
  for (const auto& s : d_.good)
    for (const auto& h : samples::heads_of(s.encoded)) {
      bytes deep(900 - std::min<std::size_t>(800, s.encoded.size()), 0x81);
      deep.push_back(0xf6);
      refused(samples::replaced(s.encoded, h, deep), s.name + ", element at " + std::to_string(h.offset));
    }
}

TEST_P(codec_hostile, refuses_or_reproduces_a_message_with_any_changed_byte) {
  std::vector<std::uint8_t> changes;  // bits to flip
  for (int bit = 0; bit < 8; ++bit) changes.push_back(static_cast<std::uint8_t>(1 << bit));
  const std::vector<std::uint8_t> values{0x00, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1f,
                                         0x20, 0x40, 0x58, 0x5f, 0x60, 0x7f, 0x80, 0x9f,
                                         0xa0, 0xc1, 0xf4, 0xf5, 0xf6, 0xf7, 0xf8, 0xff};
  for (const auto& s : d_.good)
    for (std::size_t at = 0; at < s.encoded.size(); ++at)
      for (std::size_t k = 0; k < changes.size() + values.size(); ++k) {
        auto changed = s.encoded;
        changed[at] = k < changes.size() ? changed[at] ^ changes[k] : values[k - changes.size()];
        if (const auto r = d_.run(changed)) {
          EXPECT_TRUE(*r == changed) << s.name << ", byte " << at;
        }
      }
}

TEST_P(codec_hostile, refuses_or_reproduces_random_bytes_and_random_damage) {
  samples::sequence random{2026};
  for (int i = 0; i < 20'000; ++i) {
    bytes in(random.below(200));
    for (auto& b : in) b = static_cast<std::uint8_t>(random.next());
    if (const auto r = d_.run(in)) {
      EXPECT_TRUE(*r == in) << to_hex(in);
    }
  }
  for (int i = 0; i < 20'000; ++i) {
    auto in = d_.good[random.below(d_.good.size())].encoded;
    const auto& other = d_.good[random.below(d_.good.size())].encoded;
    for (auto k = 1 + random.below(4); k > 0; --k) {
      const auto at = static_cast<std::ptrdiff_t>(random.below(in.size()));
      switch (random.below(4)) {
      case 0: in[static_cast<std::size_t>(at)] = static_cast<std::uint8_t>(random.next()); break;
      case 1: in.insert(in.begin() + at, static_cast<std::uint8_t>(random.next())); break;
      case 2:
        in.insert(in.begin() + at, other.begin(),
                  other.begin() + static_cast<std::ptrdiff_t>(random.below(other.size())));
        break;
      default:
        if (in.size() > 1) in.erase(in.begin() + at);
      }
    }
    if (const auto r = d_.run(in)) {
      EXPECT_TRUE(*r == in) << to_hex(in);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(decoders, codec_hostile, testing::Range<std::size_t>(0, 5),
                         [](const auto& param_info) { return decoders()[param_info.param].name; });

}  // namespace
}  // namespace cpns::protocol
