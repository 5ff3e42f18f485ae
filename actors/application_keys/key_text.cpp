#include "actors/application_keys/key_text.hpp"

#include <algorithm>
#include <utility>

#include "actors/application_keys/previous_keys.hpp"
#include "base/text.hpp"
#include "crypto/key_schedule.hpp"
#include "protocol/application_identity.hpp"

namespace cpns::actors {
namespace {

/// No key of a document needs more text, nor its beginning or end.
constexpr std::size_t longest_entry = 768;
constexpr std::size_t first_room = std::size_t{16} * 1024;

void append_hex(std::string& out, byte_view b) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (const auto byte : b) {
    out += digits[byte >> 4U];
    out += digits[byte & 15U];
  }
}

}  // namespace

std::string identity_of(const crypto::suite& s, const purpose& p, const entity_id& entity,
                        const offered_key& k) {
  if (k.previous) return k.previous->of(p.name).identity;
  if (p.identity == config::identity_form::opaque)
    return crypto::derive_opaque_identity(s, k.eukey, {p.name, entity, k.which});
  return protocol::readable_identity({entity, k.which, p.name});
}

/// A string that grew by itself would leave its former memory as it was.
void key_document::make_room() {
  if (text_.capacity() - text_.size() >= longest_entry) return;
  std::string larger;
  larger.reserve(std::max(first_room, 2 * text_.capacity()));
  larger = text_;
  std::swap(text_, larger);
  wipe(larger);
}

/// No text of a document has a character that JSON escapes.
void key_document::member(std::string_view name, std::string_view text) {
  text_.append("\"").append(name).append("\":\"").append(text).append("\"");
}

void key_document::begin() {
  make_room();
  text_ += "{";
  member("purpose", purpose_.name);
  text_.append(",\"bytes\":").append(std::to_string(purpose_.bytes)).append(",\"keys\":[");
}

void key_document::add(const entity_id& entity, const offered_key& k) {
  make_room();
  text_ += keys_++ == 0 ? "\n" : ",\n";
  add_key(entity, k);
}

void key_document::add_key(const entity_id& entity, const offered_key& k) {
  make_room();
  const crypto::application_name name{purpose_.name, entity, k.which};
  text_ += "{";
  member("entity", entity.text());
  text_ += ",";
  member("epoch", k.which.text());
  text_ += ",";
  member("state", k.state);
  text_.append(",\"use\":").append(k.use ? "true" : "false").append(",");
  if (k.since > 0) {
    member("since", rfc3339_text(time_point{milliseconds{k.since}}));
    text_ += ",";
  }
  member("identity", identity_of(suite_, purpose_, entity, k));
  const auto* kept = k.previous ? &k.previous->of(purpose_.name) : nullptr;
  text_ += ",\"fingerprint\":\"";
  append_hex(text_, kept != nullptr
                        ? kept->fingerprint
                        : crypto::derive_application_fingerprint(suite_, k.eukey, name, purpose_.bytes));
  text_ += "\"";
  if (as_ == shown_keys::with_key) {
    text_ += ",\"key\":\"";
    if (kept != nullptr)
      append_hex(text_, kept->key.expose());
    else
      append_hex(text_, crypto::derive_application_key(suite_, k.eukey, name, purpose_.bytes).expose());
    text_ += "\"";
  }
  text_ += "}";
}

void key_document::end(std::size_t unreadable) {
  make_room();
  text_.append("\n],\"unreadable\":").append(std::to_string(unreadable)).append("}\n");
}

void key_document::begin_line(std::string_view event, std::uint64_t revision) {
  make_room();
  text_ += "{";
  member("event", event);
  text_.append(",\"revision\":").append(std::to_string(revision));
}

void key_document::put(const offered_device& d, std::uint64_t revision) {
  begin_line("put", revision);
  text_ += ",";
  member("entity", d.entity.text());
  if (d.sessions_from) {
    text_ += ",";
    member("sessions_from", d.sessions_from->text());
  }
  text_ += ",\"keys\":[";
  for (const auto& k : d.keys) {
    if (&k != &d.keys.front()) text_ += ",";
    add_key(d.entity, k);
  }
  text_ += "]}\n";
}

void key_document::gone(const entity_id& entity, gone_reason reason, std::uint64_t revision) {
  begin_line("gone", revision);
  text_ += ",";
  member("entity", entity.text());
  text_ += ",";
  member("reason", name_of(reason));
  text_ += ",";
  member("text", meaning_of(reason));
  text_ += "}\n";
}

void key_document::synced(std::optional<std::size_t> unreadable, std::uint64_t revision) {
  begin_line("synced", revision);
  text_ += ",";
  member("run", purpose_.run);
  if (unreadable) text_.append(",\"unreadable\":").append(std::to_string(*unreadable));
  text_ += "}\n";
}

void key_document::begun(std::string_view watch, std::uint64_t revision) {
  begin_line("begun", revision);
  text_ += ",";
  member("watch", watch);
  text_ += "}\n";
}

void key_document::mark(std::string_view event, std::uint64_t revision) {
  begin_line(event, revision);
  text_ += "}\n";
}

std::string key_document::take() { return std::exchange(text_, {}); }

}  // namespace cpns::actors
