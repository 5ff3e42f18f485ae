#include "crypto/scram.hpp"

#include "base/cbor.hpp"

namespace cpns::crypto {
namespace {

byte_array<32> exclusive_or(byte_view a, byte_view b) {
  byte_array<32> out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(a[i] ^ b[i]);
  return out;
}

}  // namespace

secret32 scram_client_key(const suite& s, byte_view password, byte_view salt, std::uint32_t iterations) {
  // SaltedPassword = Hi(Normalize(password), salt, i);  Hi is PBKDF2 with one block of output
  const auto salted_password = s.pbkdf2(password, salt, iterations);
  // ClientKey = HMAC(SaltedPassword, "Client Key")
  return s.hmac(salted_password.expose(), as_bytes("Client Key"));
}

digest scram_stored_key(const suite& s, const secret32& client_key) {
  // StoredKey = H(ClientKey)
  return s.sha256(client_key.expose());
}

bytes scram_auth_message(const secret32& exporter, const digest& request_hash) {
  // AuthMessage = E(["cpns/1 proof", tls_exporter(32, "EXPERIMENTAL cpns user proof"), H(request with proof
  // null)])
  cbor::writer w;
  return w.array(3).tstr("cpns/1 proof").bstr(exporter.expose()).bstr(request_hash).take();
}

byte_array<32> scram_proof(const suite& s, const secret32& client_key, byte_view auth_message) {
  // ClientSignature = HMAC(StoredKey, AuthMessage)
  const auto client_signature = s.hmac(scram_stored_key(s, client_key), auth_message);
  // ClientProof = ClientKey XOR ClientSignature
  return exclusive_or(client_key.expose(), client_signature.expose());
}

bool scram_verify(const suite& s, const digest& stored_key, byte_view auth_message,
                  const byte_array<32>& proof) {
  const auto client_signature = s.hmac(stored_key, auth_message);
  // ClientKey = ClientProof XOR ClientSignature;  H(ClientKey) == StoredKey
  auto client_key = exclusive_or(proof, client_signature.expose());
  const auto hashed = s.sha256(client_key);
  wipe(client_key.data(), client_key.size());
  return equal_constant_time(hashed, stored_key);
}

byte_array<16> scram_fake_salt(const suite& s, const secret32& key, const user_id& user) {
  // M(key, E(["cpns/1 fake salt", user_id]))[..16]
  cbor::writer w;
  w.array(2).tstr("cpns/1 fake salt").tstr(user.text());
  return first<16>(s.hmac(key.expose(), w.view()).expose());
}

}  // namespace cpns::crypto
