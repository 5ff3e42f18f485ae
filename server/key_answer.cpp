#include "server/key_answer.hpp"

#include <algorithm>

#include "api/body.hpp"
#include "base/ascii.hpp"
#include "crypto/key_schedule.hpp"
#include "server/key_text.hpp"

namespace cpns::server {
namespace {

constexpr std::size_t kept_key_size = 32;

tl::unexpected<error> broken(std::string_view why) {
  return fail(errc::peer_bad_state, "its answer breaks the contract: " + std::string{why});
}

/// Without names and values that come from the answer: they might be a key.
std::string_view fault_of(const api::problem& p) {
  if (p.code == "unknown-field") return "it has a member that the contract does not have";
  if (p.code == "bad-json") return "it is not one JSON object with each member once";
  if (p.code == "wrong-content-type") return "its Content-Type is not application/json";
  return p.detail;
}

/// The word of a member, out of two.
result<bool> is_first(const api::json_body& body, std::string_view member, std::string_view first,
                      std::string_view second) {
  const auto word = body.text(member, 16);
  if (!word) return broken(fault_of(word.error()));
  if (*word != first && *word != second)
    return broken("'" + std::string{member} + "' is neither '" + std::string{first} + "' nor '" +
                  std::string{second} + "'");
  return *word == first;
}

}  // namespace

result<secret32> read_key_answer(const crypto::suite& s, const entity_id& entity, std::string_view type,
                                 secret_bytes body) {
  if (body.empty()) return broken("it is empty");
  api::request carrier;  // the strict reader of the API takes requests
  carrier.content_type = type;
  carrier.body = std::move(body);
  const auto read = api::json_body::read(carrier, {"entity", "form", "encoding", "key"});
  if (!read) return broken(fault_of(read.error()));
  const auto named = read->text("entity", entity_id::max_size);
  if (!named) return broken(fault_of(named.error()));
  if (*named != entity.text())
    return fail(errc::peer_identity, "its answer is for another Entity ID than that of the query");
  CPNS_TRY(const bool derived, is_first(*read, "form", "derived", "literal"));
  CPNS_TRY(const bool hex, is_first(*read, "encoding", "hex", "base64"));
  const auto text = read->secret("key", 1, 2 * temporary_key_max);
  if (!text) return broken(fault_of(text.error()));
  secret_bytes key;
  // A key with a prefix such as "hex:" is refused here: neither encoding has a ':'.
  const auto digits = as_text(text->expose());
  const auto encoding = hex ? key_encoding::hex : key_encoding::base64;
  if (digits.find(':') != std::string_view::npos) return broken("'key' has a ':'");
  if (const auto wrong = read_key_text(digits, encoding, false, key); !wrong.empty()) return broken(wrong);
  if (is_constant_key(key.expose(), false))
    return broken("the key was chosen rather than drawn at random; it is not used");
  if (!derived) return crypto::derive_temporary_key(s, entity, key.expose());
  if (key.size() != kept_key_size) return broken("a key of the form 'derived' has 32 bytes");
  return secret32{key.expose().first<kept_key_size>()};
}

std::string key_target(const entity_id& entity) {
  constexpr std::string_view plain = "-._~:", digits = "0123456789ABCDEF";
  std::string out = "/v1/temporary-keys/";
  for (const char c : entity.text()) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (letter || is_digit(c) || plain.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
  return out;
}

}  // namespace cpns::server
