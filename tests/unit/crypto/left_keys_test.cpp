// A thread may be idle for hours after an operation: its contexts must not keep the key.

#include <malloc.h>
#include <openssl/evp.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

#include "crypto/hmac_key.hpp"
#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"

namespace cpns::crypto {
namespace {

/// Writable memory of this process, without the kernel's own mappings. It must not shrink while somebody looks through it.
std::vector<byte_view> own_memory() {
  ::mallopt(M_TRIM_THRESHOLD, INT_MAX);
  std::vector<byte_view> out;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::istringstream words(line);
    std::string range, rights, offset, device, inode, name;
    words >> range >> rights >> offset >> device >> inode >> name;
    if (rights.compare(0, 2, "rw") != 0 || name.compare(0, 2, "[v") == 0) continue;
    const auto dash = range.find('-');
    const auto from = std::stoull(range.substr(0, dash), nullptr, 16);
    const auto to = std::stoull(range.substr(dash + 1), nullptr, 16);
    out.emplace_back(reinterpret_cast<const std::uint8_t*>(from), to - from);
  }
  return out;
}

/// The number of further copies of `key` in the memory of this process.
int copies_of(const secret32& key) {
  const auto wanted = key.expose();
  int found = 0;
  for (const auto piece : own_memory()) {
    const auto* at = piece.data();
    const auto* const end = at + piece.size();
    while ((at = static_cast<const std::uint8_t*>(
                ::memmem(at, static_cast<std::size_t>(end - at), wanted.data(), wanted.size()))) != nullptr)
      found += at++ != wanted.data();
  }
  return found;
}

struct use {
  const char* name;
  std::function<void(const suite&, const secret32&)> of;
};

const use uses[] = {
    {"HMAC", [](const suite& s, const secret32& k) { (void)s.hmac(k.expose(), as_bytes("message")); }},
    {"HKDF-Expand",
     [](const suite& s, const secret32& k) {
       std::array<std::uint8_t, 80> out{};
       s.expand(k, as_bytes("info"), out);
     }},
    {"sealing with AES-GCM",
     [](const suite& s, const secret32& k) { (void)s.gcm_seal(k, {}, as_bytes("aad"), as_bytes("plain")); }},
    {"opening with AES-GCM",
     [](const suite& s, const secret32& k) { (void)s.gcm_open(k, {}, as_bytes("aad"), bytes(40)); }},
    {"sealing with XAES",
     [](const suite&, const secret32& k) {
       (void)xaes_seal(k, system_entropy(), as_bytes("aad"), as_bytes("plain"));
     }},
    {"opening with XAES",
     [](const suite&, const secret32& k) { (void)xaes_open(k, as_bytes("aad"), bytes(80)); }},
    {"HMAC with a key that stayed",
     [](const suite&, const secret32& k) {
       byte_array<32> tag{};
       hmac_key{k}.tag(as_bytes("message"), tag);
     }},
    {"XAES with a key that stayed",
     [](const suite&, const secret32& k) {
       xaes_key kept{k};
       bytes record(xaes_overhead + 5), plain(5);
       kept.seal(as_bytes("aad"), record);
       (void)kept.open(as_bytes("aad"), record, plain);
     }},
    {"X25519", [](const suite& s, const secret32& k) { (void)s.x25519(k, s.x25519_public(k)); }},
};

TEST(left_keys, are_found_by_this_test) {
  const auto key = system_entropy().draw_secret<32>();
  EXPECT_EQ(copies_of(key), 0);
  const secret_bytes on_the_heap{key.expose()};
  const auto on_the_stack = key;
  EXPECT_EQ(copies_of(key), 2);
}

TEST(left_keys, do_not_exist_after_any_operation) {
  for (const auto& u : uses) {
    const auto key = system_entropy().draw_secret<32>();
    u.of(openssl_suite(), key);
    EXPECT_EQ(copies_of(key), 0) << u.name;
  }
}

/// Kx of docs: AES-CMAC of two blocks, by OpenSSL's own CMAC.
secret32 record_key(const secret32& key, byte_view nonce) {
  secret32 out;
  for (std::uint8_t half = 0; half < 2; ++half) {
    bytes m{0, static_cast<std::uint8_t>(half + 1), 'X', 0};
    m.insert(m.end(), nonce.begin(), nonce.begin() + 12);
    std::size_t size = 0;
    EXPECT_NE(EVP_Q_mac(nullptr, "CMAC", nullptr, "AES-256-CBC", nullptr, key.expose().data(), secret32::size,
                        m.data(), m.size(), out.expose_mutable().data() + 16 * half, 16, &size),
              nullptr);
  }
  return out;
}

TEST(left_keys, do_not_exist_of_a_record_after_it_was_forgotten) {
  const auto key = system_entropy().draw_secret<32>();
  xaes_key kept{key};
  const auto nonce = system_entropy().draw<xaes_nonce_size>();
  const auto of_record = record_key(key, nonce);
  bytes record(xaes_overhead + 5), plain(5);
  std::copy(nonce.begin(), nonce.end(), record.begin());
  EXPECT_EQ(copies_of(of_record), 0);
  kept.seal(as_bytes("aad"), record);
  EXPECT_GT(copies_of(of_record), 0) << "the test does not find it";
  EXPECT_TRUE(kept.open(as_bytes("aad"), record, plain));
  kept.forget_record();
  EXPECT_EQ(copies_of(of_record), 0);
}

TEST(left_keys, do_not_exist_of_computed_secrets) {
  const auto key = system_entropy().draw_secret<32>();
  const auto tag = openssl_suite().hmac(key.expose(), as_bytes("message"));
  EXPECT_EQ(copies_of(tag), 0) << "HMAC";
  secret32 derived;
  openssl_suite().expand(key, as_bytes("info"), derived.expose_mutable());
  EXPECT_EQ(copies_of(derived), 0) << "HKDF-Expand";
}

}  // namespace
}  // namespace cpns::crypto
