// The meaning of each element of the server link.

#include <gtest/gtest.h>

#include "tests/unit/protocol/codec_samples.hpp"

namespace cpns::protocol {
namespace {

TEST(codec_link, values_survive_decoding) {
  const auto r = decode_link_answer(samples::answers()[2].encoded);
  ASSERT_TRUE(r.has_value());
  const auto& k = std::get<assigned_keys>(r->body);
  EXPECT_FALSE(k.literal);
  EXPECT_EQ(k.generation, 3u);
  EXPECT_EQ(k.first_index, 300);
  ASSERT_EQ(k.eukeys.size(), 2u);
  EXPECT_EQ(k.eukeys[1].expose()[0], 18);
  EXPECT_EQ(k.chain->expose()[0], 15);
  EXPECT_EQ(k.rekey_seconds, 86400u);
  EXPECT_EQ(k.not_after, 1'800'000'000);
}

TEST(codec_link, refuses_a_message_in_the_wrong_direction) {
  for (const auto& s : samples::requests())
    EXPECT_EQ(decode_link_answer(s.encoded).error().code, errc::wire_unknown_message) << s.name;
  for (const auto& s : samples::answers())
    EXPECT_EQ(decode_link_request(s.encoded).error().code, errc::wire_unknown_message) << s.name;
}

TEST(codec_link, the_proof_covers_all_but_itself_and_the_envelope) {
  const auto r = decode_link_request(samples::requests()[2].encoded);
  ASSERT_TRUE(r.has_value());
  auto m = std::get<key_assignment_request>(r->body);
  const auto before = encode_for_proof(m);
  m.proof.fill(0xee);
  EXPECT_EQ(to_hex(encode_for_proof(m)), to_hex(before));
  std::vector<key_assignment_request> others(7, m);
  others[0].user = *user_id::parse("eve@example.org");
  others[1].entity = *entity_id::parse("urn:dev:mac:acde48234567");
  others[2].reason = assignment_reason::recover;
  others[3].known_epoch = epoch{1, 1};
  others[4].set = set_id{};
  others[5].dreq->back() ^= 1;
  others[6].drsp->back() ^= 1;
  for (const auto& o : others) EXPECT_NE(to_hex(encode_for_proof(o)), to_hex(before));
}

TEST(codec_link, a_refusal_that_is_too_long_is_cut_between_characters) {
  link_answer a;
  a.body = refusal{link_status::internal, 0, std::string(199, 'x') + "\u00e4\u00e4"};
  const auto r = decode_link_answer(encode(a).expose());
  ASSERT_TRUE(r.has_value()) << r.error().message();
  EXPECT_EQ(std::get<refusal>(r->body).reason, std::string(199, 'x'));
}

TEST(codec_link, finds_the_request_id_of_an_unknown_message) {
  const auto good = samples::requests()[2].encoded;
  const auto id = decode_link_request(good)->id;
  EXPECT_EQ(peek_request_id(good), id);
  auto unknown = good;
  unknown[1] = 16;
  unknown.resize(40);
  EXPECT_FALSE(decode_link_request(unknown).has_value());
  EXPECT_EQ(peek_request_id(unknown), id);
  for (std::size_t n = 0; n < 19; ++n)
    EXPECT_EQ(peek_request_id(byte_view{good}.first(n)), std::nullopt) << n;
  EXPECT_EQ(peek_request_id(byte_view{good}.first(19)), id);
}

TEST(codec_link, tells_a_key_assignment_request_from_other_frames_without_decoding_it) {
  std::size_t found = 0;
  for (const auto& s : samples::requests()) {
    const auto r = decode_link_request(s.encoded);
    if (!r) continue;
    const bool is = std::holds_alternative<key_assignment_request>(r->body);
    EXPECT_EQ(peek_assignment_request(s.encoded), is ? std::optional{r->id} : std::nullopt);
    found += is ? 1 : 0;
    for (std::size_t n = 0; is && n < 19; ++n)
      EXPECT_EQ(peek_assignment_request(byte_view{s.encoded}.first(n)), std::nullopt) << n;
  }
  EXPECT_GE(found, 1u);
}

TEST(codec_link, largest_messages_fit_their_bound) {
  assigned_keys k;
  k.chain = secret32{};
  k.eukeys.resize(keys_in_response_max);
  EXPECT_LE(encode(link_answer{{}, UINT64_MAX, {}, k}).size(), link_message_max);
  const auto longest = *entity_id::parse("urn:dev:os:32473-" + std::string(47, 'x'));
  const epoch_report report{{reports_in_message_max, {longest, epoch::from_value(epoch::max_value)}}};
  const auto encoded = encode(link_request{{}, UINT64_MAX, report});
  EXPECT_LE(encoded.size(), link_message_max);
  EXPECT_TRUE(decode_link_request(encoded).has_value());
}

TEST(codec_link, every_status_and_reason_has_a_name) {
  for (int s = 0; s <= 14; ++s) EXPECT_NE(name_of(static_cast<link_status>(s)), "unknown");
  EXPECT_EQ(name_of(static_cast<link_status>(15)), "unknown");
  for (int r = 0; r <= 3; ++r) EXPECT_NE(name_of(static_cast<assignment_reason>(r)), "unknown");
  EXPECT_EQ(name_of(link_status::held_by_other), "held_by_other");
  EXPECT_EQ(name_of(assignment_reason::adopt), "adopt");
}

}  // namespace
}  // namespace cpns::protocol
