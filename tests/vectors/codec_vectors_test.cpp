// The codecs against radio_codec.json, link_codec.json and node_codec.json.

#include <gtest/gtest.h>

#include "protocol/codec.hpp"
#include "protocol/node_codec.hpp"
#include "tests/vectors/message_fields.hpp"
#include "tests/vectors/vector_file.hpp"

namespace cpns::vectors {
namespace {

/// The bytes of a decoded message.
bytes encoded(const protocol::radio_message& m) {
  return std::visit([](const auto& body) { return protocol::encode(body); }, m);
}
bytes encoded(const protocol::link_request& m) { return protocol::encode(m); }
bytes encoded(const protocol::link_answer& m) { return to_bytes(protocol::encode(m).expose()); }

bytes encoded(const protocol::node_request& m) { return protocol::encode(m); }
bytes encoded(const protocol::node_acknowledgement& m) { return protocol::encode(m); }

template <class Decoded>
void check(const test_case& t, const result<Decoded>& decoded) {
  if (!t.valid()) {
    ASSERT_FALSE(decoded.has_value()) << "accepted " << t.text("msg");
    EXPECT_EQ(fault_of(decoded.error().code), fault::wire) << decoded.error().message();
    EXPECT_FALSE(decoded.error().detail.empty());
    if (t.has("error")) {
      EXPECT_EQ(name_of(decoded.error().code), t.text("error")) << decoded.error().message();
    }
    return;
  }
  ASSERT_TRUE(decoded.has_value()) << decoded.error().message();
  const auto [name, fields] = fields_of(*decoded);
  EXPECT_EQ(name, t.text("message"));
  EXPECT_EQ(fields, t.json().at("fields").as_object()) << boost::json::serialize(fields);
  EXPECT_EQ(to_hex(encoded(*decoded)), t.text("msg"));
}

TEST(codec_vectors, agree_with_the_radio_codec) {
  EXPECT_GT(for_each_case("radio_codec.json", "RadioCodec",
                          [](const test_case& t) { check(t, protocol::decode_radio(t.hex("msg"))); }),
            300u);
}

TEST(codec_vectors, agree_with_the_codec_of_link_requests) {
  EXPECT_GT(for_each_case("link_codec.json", "LinkRequestCodec",
                          [](const test_case& t) { check(t, protocol::decode_link_request(t.hex("msg"))); }),
            100u);
}

TEST(codec_vectors, agree_with_the_codec_of_link_answers) {
  EXPECT_GT(for_each_case("link_codec.json", "LinkAnswerCodec",
                          [](const test_case& t) { check(t, protocol::decode_link_answer(t.hex("msg"))); }),
            100u);
}

TEST(codec_vectors, agree_with_the_codec_of_requests_of_a_server) {
  EXPECT_GT(for_each_case("node_codec.json", "NodeRequestCodec",
                          [](const test_case& t) { check(t, protocol::decode_node_request(t.hex("msg"))); }),
            100u);
}

TEST(codec_vectors, agree_with_the_codec_of_acknowledgements) {
  EXPECT_GT(for_each_case(
                "node_codec.json", "NodeAcknowledgementCodec",
                [](const test_case& t) { check(t, protocol::decode_node_acknowledgement(t.hex("msg"))); }),
            50u);
}

TEST(codec_vectors, agree_with_the_hashed_request) {
  EXPECT_EQ(for_each_case("link_codec.json", "HashedRequest",
                          [](const test_case& t) {
                            const auto r = protocol::decode_link_request(t.hex("msg"));
                            ASSERT_TRUE(r.has_value());
                            const auto& body = std::get<protocol::key_assignment_request>(r->body);
                            EXPECT_EQ(to_hex(protocol::encode_for_proof(body)), t.text("hashed"));
                          }),
            2u);
}

}  // namespace
}  // namespace cpns::vectors
