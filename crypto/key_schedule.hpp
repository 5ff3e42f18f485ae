#pragma once
// The key schedule of docs/protocol.md, section "Key schedule", with its names. The .cpp file repeats each
// formula above the line that computes it. All functions are pure and thread-safe.

#include <optional>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "crypto/suite.hpp"

namespace cpns::crypto {

/// How a peer authenticated in step 0; an input of gw_id.
enum class gateway_kind : std::uint8_t { x509, psk, gba };

inline constexpr std::uint32_t stretch_iterations = 600'000;

/// gw_id = H(E(["cpns/1 gw", kind, name]))[..16]
gateway_id derive_gateway_id(const suite& s, gateway_kind kind, std::string_view name);

/// issuer_nonce = M(K_iss, E(["cpns/1 issuer", gw_id, slot]))[..16], slot = floor(unix time / 60)
byte_array<16> derive_issuer_nonce(const suite& s, const secret32& k_iss, const gateway_id& gw,
                                   std::uint64_t slot);

/// TK = X(BMK, ["cpns/1 batch", batch_id, entity_id], 16), of a device whose batch has a master key
secret16 derive_batch_temporary_key(const suite& s, const secret32& batch_master_key,
                                    std::string_view batch_id, const entity_id& entity);
/// TK' = Extract(E(["cpns/1 temporary key", entity_id]), TK)
secret32 derive_temporary_key(const suite& s, const entity_id& entity, byte_view tk);
/// stretch: TK' = Extract(S, PBKDF2-HMAC-SHA256(TK, S, 600000, 32)). About 150 ms.
secret32 stretch_temporary_key(const suite& s, const entity_id& entity, byte_view tk);

/// K_pres = X(TK', ["cpns/1 presence"])
secret32 derive_presence_key(const suite& s, const secret32& tk_prime);
/// TKg = X(TK', ["cpns/1 gateway", gw_id, generation])
secret32 derive_gateway_temporary_key(const suite& s, const secret32& tk_prime, const gateway_id& gw,
                                      std::uint32_t generation);

/// th1 = H(E(["cpns/1 th1", DREQ as sent (bstr), E(first eight elements of DRSP) (bstr)]))
digest transcript1(const suite& s, byte_view dreq, byte_view drsp_first_eight);
/// possession = M(X(EUKey, ["cpns/1 possession"]), th1)[..16]
tag16 possession_tag(const suite& s, const secret32& eukey, const digest& th1);
/// presence = M(K_pres, E([th1, possession]))[..16]
tag16 presence_tag(const suite& s, const secret32& k_pres, const digest& th1,
                   const std::optional<tag16>& possession);
/// th2 = H(E(["cpns/1 th2", th1, possession, presence, KDEL epoch, chained, gw_share]))
digest transcript2(const suite& s, const digest& th1, const std::optional<tag16>& possession,
                   const std::optional<tag16>& presence, epoch kdel_epoch, bool chained,
                   const byte_array<32>& gw_share);

/// C = X(EUKey(DRSP epoch), ["cpns/1 chain", gw_id, generation])
secret32 derive_chain(const suite& s, const secret32& eukey, const gateway_id& gw, std::uint32_t generation);

/// Key and nonce of one KDEL.
struct delivery_key {
  secret32 key;
  byte_array<12> nonce;  ///< not sent
};
/// PRK = Extract(th2, TKg || Z || C);  key(32) || nonce(12) = X(PRK, ["cpns/1 delivery"], 44)
/// `z`: X25519 output (suite 2) or 32 zero bytes (suite 1); `c`: chain, or 32 zero bytes.
delivery_key derive_delivery_key(const suite& s, const digest& th2, const secret32& tkg, const secret32& z,
                                 const secret32& c);

/// confirm = M(X(new EUKey, ["cpns/1 confirm"]), th2)[..16]
tag16 confirm_tag(const suite& s, const secret32& eukey, const digest& th2);
/// retire = M(X(EUKey(KRET epoch), ["cpns/1 retire"]), th1 of the latest exchange)[..16]
tag16 retire_tag(const suite& s, const secret32& eukey, const digest& th1);

inline constexpr std::size_t application_key_min = 16, application_key_max = 64;  ///< bytes

/// Names the key of an application: what it is for, the device, and the EUKey from which it follows.
struct application_name {
  std::string_view purpose;
  const entity_id& entity;
  epoch which;
};
/// application key = X(EUKey(epoch), ["cpns/1 application", purpose, entity_id, epoch, n], n), of
/// application_key_min to application_key_max bytes
secret_bytes derive_application_key(const suite& s, const secret32& eukey, const application_name& of,
                                    std::size_t n);
/// opaque identity = base64url(X(EUKey(epoch), ["cpns/1 application identity", purpose, entity_id, epoch], 16)),
/// 22 characters
std::string derive_opaque_identity(const suite& s, const secret32& eukey, const application_name& of);
/// fingerprint = X(EUKey(epoch), ["cpns/1 application fingerprint", purpose, entity_id, epoch, n], 8)
byte_array<8> derive_application_fingerprint(const suite& s, const secret32& eukey,
                                             const application_name& of, std::size_t n);

}  // namespace cpns::crypto
