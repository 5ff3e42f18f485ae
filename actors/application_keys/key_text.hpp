#pragma once
// Application keys as the JSON of the key socket. Here alone keys become text.

#include <optional>
#include <string>

#include "actors/application_keys/offered_keys.hpp"
#include "actors/application_keys/purposes.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

enum class shown_keys : std::uint8_t { with_key, fingerprint_alone };

/// The identity of a key, in the form of the purpose.
std::string identity_of(const crypto::suite& s, const purpose& p, const entity_id& entity,
                        const offered_key& k);

/// A document of keys that grows by one key after the other: {"purpose", "bytes", "keys": [...], "unreadable"}. Its memory
/// is wiped when it is freed, and when it grows.
class key_document {
 public:
  key_document(const crypto::suite& s, const purpose& p, shown_keys as) : suite_(s), purpose_(p), as_(as) {}
  ~key_document() { wipe(text_); }
  key_document(const key_document&) = delete;
  key_document& operator=(const key_document&) = delete;

  void begin();
  void add(const entity_id& entity, const offered_key& k);
  void end(std::size_t unreadable);
  /// What was written since the last call, which the caller wipes.
  [[nodiscard]] std::string take();
  /// Bytes since the last take().
  [[nodiscard]] std::size_t size() const { return text_.size(); }

 private:
  void make_room();
  void member(std::string_view name, std::string_view text);

  const crypto::suite& suite_;
  const purpose& purpose_;
  const shown_keys as_;
  std::string text_;
  std::size_t keys_ = 0;
};

}  // namespace cpns::actors
