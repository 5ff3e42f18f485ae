// The answer of a manufacturer's service: any bytes give a key of 32 bytes, or an error of the contract whose text has no
// key. The first line of the input is the Content-Type, the rest is the body.

#include <cstdlib>
#include <string_view>

#include "crypto/suite.hpp"
#include "server/key_answer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cpns;
  static const auto entity = entity_id::parse("urn:dev:os:32473-1").value();
  const std::string_view all{reinterpret_cast<const char*>(data), size};
  const auto line = all.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto body = all.substr(line + 1);
  const auto key = server::read_key_answer(crypto::openssl_suite(), entity, all.substr(0, line),
                                           secret_bytes::from_text(body));
  if (key) return body.find(entity.text()) == std::string_view::npos ? std::abort(), 0 : 0;
  if (key.error() != errc::peer_bad_state && key.error() != errc::peer_identity) std::abort();
  // A part of a key is a word that is longer than those of the program's own sentences.
  constexpr std::size_t longest_word = 24;
  std::size_t word = 0;
  for (const char c : key.error().detail)
    if (word = c == ' ' ? 0 : word + 1; word > longest_word) std::abort();
  return 0;
}
