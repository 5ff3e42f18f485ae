// A thread may be idle for hours after an operation: its contexts must not keep the key.

#include <cstring>
#include <fstream>
#include <functional>
#include <gtest/gtest.h>
#include <sstream>
#include <string>
#include <vector>

#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"

namespace cpns::crypto {
namespace {

/// Writable memory of this process, without the kernel's own mappings.
std::vector<byte_view> own_memory() {
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
