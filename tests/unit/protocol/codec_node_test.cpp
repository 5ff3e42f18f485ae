// The meaning of the requests from a server to a gateway.

#include <gtest/gtest.h>

#include "tests/unit/protocol/codec_samples.hpp"

namespace cpns::protocol {
namespace {

TEST(codec_node, values_survive_decoding) {
  const auto drain = decode_node_request(samples::node_requests()[0].encoded);
  ASSERT_TRUE(drain.has_value());
  EXPECT_EQ(std::get<drain_order>(drain->body).within_ms, 300u);
  EXPECT_EQ(drain->incarnation, 7u);
  const auto nodes = decode_node_request(samples::node_requests()[1].encoded);
  ASSERT_TRUE(nodes.has_value());
  EXPECT_EQ(std::get<node_list>(nodes->body).addresses,
            (std::vector<std::string>{"node1.example.org:7443", "[2001:db8::7]:65535"}));
  const auto taken = decode_node_acknowledgement(samples::node_acknowledgements()[1].encoded);
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->type, node_type::nodes_acknowledged);
  EXPECT_EQ(taken->id, nodes->id);
}

TEST(codec_node, tells_the_directions_and_the_other_messages_apart) {
  for (const auto& s : samples::node_requests()) {
    EXPECT_TRUE(begins_node_request(s.encoded)) << s.name;
    EXPECT_FALSE(begins_node_acknowledgement(s.encoded)) << s.name;
    EXPECT_EQ(decode_link_answer(s.encoded).error().code, errc::wire_unknown_message) << s.name;
    EXPECT_EQ(decode_node_acknowledgement(s.encoded).error().code, errc::wire_unknown_message) << s.name;
  }
  for (const auto& s : samples::node_acknowledgements()) {
    EXPECT_TRUE(begins_node_acknowledgement(s.encoded)) << s.name;
    EXPECT_FALSE(begins_node_request(s.encoded)) << s.name;
    EXPECT_EQ(decode_link_request(s.encoded).error().code, errc::wire_unknown_message) << s.name;
    EXPECT_EQ(decode_node_request(s.encoded).error().code, errc::wire_unknown_message) << s.name;
  }
  for (const auto& all : {samples::requests(), samples::answers()})
    for (const auto& s : all) {
      EXPECT_FALSE(begins_node_request(s.encoded)) << s.name;
      EXPECT_FALSE(begins_node_acknowledgement(s.encoded)) << s.name;
    }
}

TEST(codec_node, the_longest_list_of_nodes_fits_its_bound) {
  node_list m;
  for (std::size_t i = 0; i < nodes_max; ++i) {
    const auto number = std::to_string(10 + i);
    m.addresses.push_back(number + std::string(253 - number.size(), 'a') + ":65535");
  }
  const auto encoded = encode(node_request{{}, UINT64_MAX, m});
  EXPECT_LE(encoded.size(), link_message_max);
  EXPECT_TRUE(decode_node_request(encoded).has_value());
}

}  // namespace
}  // namespace cpns::protocol
