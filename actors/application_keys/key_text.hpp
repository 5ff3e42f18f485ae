#pragma once
// Application keys as the JSON of the key socket. Here alone keys become text.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

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

  // Of a stream, in place of begin(), add() and end(): lines.

  /// {"event":"put","revision","entity","sessions_from","keys":[...]}: all keys of a device, in place of those of before.
  /// `sessions_from` is left out if there is none.
  void put(const offered_device& d, std::uint64_t revision);
  /// {"event":"gone","revision","entity","reason","text"}: the device has no keys.
  void gone(const entity_id& entity, gone_reason reason, std::uint64_t revision);
  /// {"event":"synced","revision","run","unreadable"}: `unreadable` devices were left out; nullopt: not counted.
  void synced(std::optional<std::size_t> unreadable, std::uint64_t revision);
  /// {"event":"begun","revision","watch"}: the name of the watch in acknowledgements.
  void begun(std::string_view watch, std::uint64_t revision);
  /// {"event":EVENT,"revision"}
  void mark(std::string_view event, std::uint64_t revision);
  /// What was written since the last call, which the caller wipes.
  [[nodiscard]] std::string take();
  /// Bytes since the last take().
  [[nodiscard]] std::size_t size() const { return text_.size(); }

 private:
  void make_room();
  void add_key(const entity_id& entity, const offered_key& k);
  void begin_line(std::string_view event, std::uint64_t revision);
  void member(std::string_view name, std::string_view text);

  const crypto::suite& suite_;
  const purpose& purpose_;
  const shown_keys as_;
  std::string text_;
  std::size_t keys_ = 0;
};

}  // namespace cpns::actors
