// The parts of a manufacturer's service that need no network: its answer, the memory of its answers, the breaker.
#include <gtest/gtest.h>

#include <string>

#include "crypto/key_schedule.hpp"
#include "server/circuit_breaker.hpp"
#include "server/key_answer.hpp"
#include "server/key_cache.hpp"

namespace cpns::server {
namespace {

const std::string device = "urn:dev:os:32473-1";
const std::string derived_hex = "3f1c9a6be20d4875c1f05e7a938b2d46e1a70c5938fd624b8e91d3a05c7f2b68";

entity_id id(std::string_view text) { return entity_id::parse(text).value(); }

result<secret32> read(const std::string& body, std::string_view type = "application/json") {
  return read_key_answer(crypto::openssl_suite(), id(device), type, secret_bytes::from_text(body));
}
std::string answer(const std::string& form, const std::string& encoding, const std::string& key,
                   const std::string& more = {}) {
  return R"({"entity": ")" + device + R"(", "form": ")" + form + R"(", "encoding": ")" + encoding +
         R"(", "key": ")" + key + "\"" + more + "}";
}

TEST(key_answer, gives_the_derived_key_as_it_is) {
  const auto key = read(answer("derived", "hex", derived_hex));
  ASSERT_TRUE(key.has_value()) << key.error().message();
  EXPECT_EQ(to_hex(key->expose()), derived_hex);
}

TEST(key_answer, derives_from_a_literal_key) {
  const auto key = read(answer("literal", "base64", "j9xOJ5KqtHaMAfWzYxLOSg=="));
  ASSERT_TRUE(key.has_value()) << key.error().message();
  const auto tk = from_base64("j9xOJ5KqtHaMAfWzYxLOSg==").value();
  EXPECT_EQ(*key, crypto::derive_temporary_key(crypto::openssl_suite(), id(device), tk));
}

TEST(key_answer, refuses_what_the_contract_does_not_have) {
  for (const auto& body :
       {std::string{}, std::string{"[]"}, std::string{"{}"}, std::string{"{\"entity\": 1}"},
        answer("derived", "hex", derived_hex, ", \"strength\": \"128bit\""),
        answer("derived", "hex", derived_hex, ", \"key\": \"00\""), answer("derived", "text", derived_hex),
        answer("weak", "hex", derived_hex), answer("derived", "hex", derived_hex.substr(2)),
        answer("derived", "hex", std::string(64, '0')),
        answer("derived", "base64", derived_hex.substr(0, 30)), answer("literal", "hex", "0011"),
        answer("literal", "hex", "hex:" + derived_hex), answer("derived", "hex", derived_hex) + "x"}) {
    const auto key = read(body);
    ASSERT_FALSE(key.has_value()) << body;
    EXPECT_EQ(key.error(), errc::peer_bad_state) << body;
    EXPECT_EQ(key.error().detail.find(derived_hex.substr(0, 8)), std::string::npos) << key.error().detail;
  }
  EXPECT_FALSE(read(answer("derived", "hex", derived_hex), "text/html").has_value());
}

TEST(key_answer, refuses_the_key_of_another_entity) {
  auto body = answer("derived", "hex", derived_hex);
  body.replace(body.find(device), device.size(), "urn:dev:os:32473-2");
  const auto key = read(body);
  ASSERT_FALSE(key.has_value());
  EXPECT_EQ(key.error(), errc::peer_identity);
}

TEST(key_answer, encodes_the_entity_for_a_path) {
  EXPECT_EQ(key_target(id(device)), "/v1/temporary-keys/urn:dev:os:32473-1");
}

secret32 key_of(std::uint8_t n) {
  byte_array<32> raw{};
  raw.fill(n);
  return secret32{raw};
}

struct memory {
  key_cache cache{{.keys = 2, .keep = seconds{100}, .unknown = 2, .keep_unknown = seconds{10}}};
  time_point now = time_zero + seconds{1000};
  std::optional<key_cache::known> find(const std::string& serial) {
    return cache.find(now, id(device + serial));
  }
  void put(const std::string& serial, const key_cache::known& known, bool again = false) {
    cache.put(now, id(device + serial), known, again);
  }
};

TEST(key_cache, forgets_keys_and_unknown_devices_after_their_times) {
  memory m;
  m.put("0", key_of(1));
  m.put("1", std::nullopt);
  EXPECT_EQ(**m.find("0"), key_of(1));
  ASSERT_TRUE(m.find("1").has_value());
  EXPECT_FALSE(m.find("1")->has_value());
  m.now += seconds{10};
  EXPECT_FALSE(m.find("1").has_value());
  EXPECT_TRUE(m.find("0").has_value());
  m.now += seconds{90};
  EXPECT_FALSE(m.find("0").has_value());
}

TEST(key_cache, evicts_the_least_recently_used_and_no_key_for_an_unknown_device) {
  memory m;
  m.put("0", key_of(1));
  m.put("1", key_of(2));
  (void)m.find("0");
  m.put("2", key_of(3));
  for (int i = 3; i < 9; ++i) m.put(std::to_string(i), std::nullopt);
  EXPECT_TRUE(m.find("0").has_value());
  EXPECT_FALSE(m.find("1").has_value());
  EXPECT_EQ(m.cache.keys(), 2U);
  EXPECT_EQ(m.cache.unknown(), 2U);
}

TEST(key_cache, lets_a_wrong_key_be_asked_for_again_once) {
  memory m;
  m.put("0", key_of(1));
  EXPECT_FALSE(m.cache.may_drop(m.now, id(device + "0"), key_of(2)));
  ASSERT_TRUE(m.cache.may_drop(m.now, id(device + "0"), key_of(1)));
  m.cache.drop(id(device + "0"));
  m.put("0", key_of(1), true);
  EXPECT_FALSE(m.cache.may_drop(m.now, id(device + "0"), key_of(1)));
}

TEST(key_cache, of_size_zero_keeps_nothing) {
  key_cache none{{}};
  none.put(time_zero, id(device), key_of(1), false);
  EXPECT_FALSE(none.find(time_zero, id(device)).has_value());
}

struct broken {
  circuit_breaker breaker{3, seconds{10}};
  time_point now = time_zero + seconds{1000};
  bool fail(milliseconds at_least = {}) { return breaker.may_ask(now) && breaker.failed(now, at_least); }
};

TEST(circuit_breaker, opens_after_failures_in_a_row) {
  broken b;
  EXPECT_FALSE(b.fail());
  EXPECT_FALSE(b.fail());
  b.breaker.succeeded();
  EXPECT_FALSE(b.fail());
  EXPECT_FALSE(b.fail());
  EXPECT_TRUE(b.fail());
  EXPECT_FALSE(b.breaker.may_ask(b.now));
}

TEST(circuit_breaker, tries_with_one_query_after_the_pause) {
  broken b;
  for (int i = 0; i < 3; ++i) b.fail();
  b.now += seconds{10};
  EXPECT_TRUE(b.breaker.may_ask(b.now));
  EXPECT_FALSE(b.breaker.may_ask(b.now)) << "one query at a time";
  EXPECT_FALSE(b.breaker.failed(b.now)) << "it was left alone before";
  EXPECT_FALSE(b.breaker.may_ask(b.now + seconds{9}));
  b.now += seconds{10};
  EXPECT_TRUE(b.breaker.may_ask(b.now));
  b.breaker.succeeded();
  EXPECT_TRUE(b.breaker.may_ask(b.now));
  EXPECT_TRUE(b.breaker.may_ask(b.now));
}

TEST(circuit_breaker, obeys_a_service_that_asks_for_a_pause) {
  broken b;
  EXPECT_TRUE(b.fail(seconds{60}));
  EXPECT_FALSE(b.breaker.may_ask(b.now + seconds{59}));
  EXPECT_TRUE(b.breaker.may_ask(b.now + seconds{60}));
}

TEST(circuit_breaker, is_not_left_half_open_by_a_query_that_this_side_ended) {
  broken b;
  for (int i = 0; i < 3; ++i) b.fail();
  b.now += seconds{10};
  ASSERT_TRUE(b.breaker.may_ask(b.now));
  b.breaker.abandoned(b.now);
  EXPECT_TRUE(b.breaker.may_ask(b.now));
}

}  // namespace
}  // namespace cpns::server
