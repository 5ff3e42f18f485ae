#include "cli/keys/key_line.hpp"

#include <boost/json.hpp>
#include <charconv>
#include <exception>
#include <optional>
#include <stdexcept>
#include <utility>

#include "api/strict_json.hpp"
#include "base/bytes.hpp"
#include "base/text.hpp"

namespace cpns::cli::keys {
namespace {

using what = key_line::what;

what event_named(std::string_view name) {
  if (name == "begun") return what::begun;
  if (name == "put") return what::put;
  if (name == "gone") return what::gone;
  if (name == "synced") return what::synced;
  if (name == "resync") return what::resync;
  if (name == "resumed") return what::resumed;
  return what::other;
}

/// Texts of the role are written to terminals and into configuration files.
std::string plain_text(const boost::json::value& v) {
  const auto& s = v.as_string();
  std::string out{s.data(), s.size()};
  if (has_controls(out)) throw std::invalid_argument{"text"};
  return out;
}

std::string plain_text_or(const boost::json::object& o, std::string_view member, std::string_view otherwise) {
  const auto* found = o.if_contains(member);
  return found != nullptr ? plain_text(*found) : std::string{otherwise};
}

epoch epoch_in(std::string_view text) {
  std::uint32_t generation = 0;
  std::uint16_t index = 0;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, generation);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '.') throw std::invalid_argument{"epoch"};
  const auto second = std::from_chars(first.ptr + 1, end, index);
  if (second.ec != std::errc{} || second.ptr != end) throw std::invalid_argument{"epoch"};
  return {generation, index};
}

listed_key key_in(const boost::json::object& o) {
  const auto& hex = o.at("key").as_string();
  auto raw = from_hex({hex.data(), hex.size()});
  if (!raw || raw->empty()) throw std::invalid_argument{"key"};
  return {plain_text(o.at("identity")), epoch_in(plain_text(o.at("epoch"))), plain_text(o.at("state")),
          o.at("use").as_bool(), secret_bytes{std::move(*raw)}};
}

key_line line_in(const boost::json::object& o) {
  key_line out;
  out.event = event_named(plain_text(o.at("event")));
  if (const auto* r = o.if_contains("revision")) out.revision = r->to_number<std::uint64_t>();
  switch (out.event) {
  case what::begun: out.watch = plain_text(o.at("watch")); break;
  case what::put:
    out.entity = plain_text(o.at("entity"));
    for (const auto& k : o.at("keys").as_array()) out.keys.push_back(key_in(k.as_object()));
    if (const auto* from = o.if_contains("sessions_from")) out.sessions_from = epoch_in(plain_text(*from));
    break;
  case what::gone:
    out.entity = plain_text(o.at("entity"));
    out.reason = plain_text_or(o, "reason", reason_none);
    break;
  case what::synced:
    if (const auto* n = o.if_contains("unreadable")) out.unreadable = n->to_number<std::uint64_t>();
    out.run = plain_text_or(o, "run", "");
    break;
  case what::resync:
  case what::resumed:
  case what::other: break;
  }
  return out;
}

}  // namespace

result<key_line> read_key_line(std::string_view text) {
  api::detail::wiping_memory memory;
  const auto document = api::detail::parse_strictly(memory, text);
  if (!document || !document->is_object())
    return fail(errc::wire_grammar, "a line of the role is not an object of JSON");
  try {
    return line_in(document->get_object());
  } catch (const std::exception&) {  // of boost::json too: a member is missing, or of another type
    return fail(
        errc::wire_grammar,
        "this cpns does not know the form of a line of the role; use the cpns of the version of the role");
  }
}

}  // namespace cpns::cli::keys
