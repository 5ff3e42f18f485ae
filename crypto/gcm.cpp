#include "crypto/gcm.hpp"

#include <openssl/err.h>

#include <climits>
#include <utility>

namespace cpns::crypto::detail {
namespace {

const EVP_CIPHER* fetched_gcm() {
  static const cipher_ptr c{EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr)};
  return c.get();
}

int gcm_size(byte_view b) {
  if (b.size() > static_cast<std::size_t>(INT_MAX) - gcm_tag_size)
    out_of_crypto("more than 2 GiB in one message");
  return static_cast<int>(b.size());
}

}  // namespace

gcm::gcm() {
  if (!seal_ || !open_ || EVP_EncryptInit_ex2(seal_.get(), fetched_gcm(), nullptr, nullptr, nullptr) != 1 ||
      EVP_DecryptInit_ex2(open_.get(), fetched_gcm(), nullptr, nullptr, nullptr) != 1)
    out_of_crypto("AES-256-GCM is unavailable");
}

void gcm::seal(const secret32& key, const byte_array<12>& nonce, byte_view aad, byte_view plain,
               std::span<std::uint8_t> out) const {
  EVP_CIPHER_CTX* c = seal_.get();
  sealed_ = true;
  int n = 0;
  // A null cipher keeps the one of the context, at half the cost of naming it again.
  if (EVP_EncryptInit_ex2(c, nullptr, key.expose().data(), nonce.data(), nullptr) != 1 ||
      (!aad.empty() && EVP_EncryptUpdate(c, nullptr, &n, aad.data(), gcm_size(aad)) != 1) ||
      (!plain.empty() && EVP_EncryptUpdate(c, out.data(), &n, plain.data(), gcm_size(plain)) != 1) ||
      EVP_EncryptFinal_ex(c, out.data() + plain.size(), &n) != 1 ||
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, gcm_tag_size, out.data() + plain.size()) != 1)
    out_of_crypto("AES-256-GCM failed");
}

bool gcm::open(const secret32& key, const byte_array<12>& nonce, byte_view aad, byte_view sealed,
               std::span<std::uint8_t> out) const {
  const auto text = sealed.first(sealed.size() - gcm_tag_size);
  auto tag = first<gcm_tag_size>(sealed.last(gcm_tag_size));
  EVP_CIPHER_CTX* c = open_.get();
  opened_ = true;
  std::uint8_t none = 0;
  int n = 0;
  if (EVP_DecryptInit_ex2(c, nullptr, key.expose().data(), nonce.data(), nullptr) != 1 ||
      (!aad.empty() && EVP_DecryptUpdate(c, nullptr, &n, aad.data(), gcm_size(aad)) != 1) ||
      (!text.empty() && EVP_DecryptUpdate(c, out.data(), &n, text.data(), gcm_size(text)) != 1) ||
      EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, gcm_tag_size, tag.data()) != 1)
    out_of_crypto("AES-256-GCM failed");
  if (EVP_DecryptFinal_ex(c, text.empty() ? &none : out.data(), &n) == 1) return true;
  // Plaintext with a wrong tag must not leave this function.
  wipe(out.data(), text.size());
  ERR_clear_error();
  return false;
}

void gcm::forget() const noexcept {
  constexpr byte_array<secret32::size> no_key{};
  if ((std::exchange(sealed_, false) &&
       EVP_EncryptInit_ex2(seal_.get(), nullptr, no_key.data(), nullptr, nullptr) != 1) ||
      (std::exchange(opened_, false) &&
       EVP_DecryptInit_ex2(open_.get(), nullptr, no_key.data(), nullptr, nullptr) != 1))
    out_of_crypto("AES-256-GCM rejects the key");
}

}  // namespace cpns::crypto::detail
