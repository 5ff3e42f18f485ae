#include "cli/device_members.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "cli/secret_json.hpp"
#include "server/device_rows.hpp"
#include "server/key_text.hpp"

namespace cpns::cli {
namespace {

using server::device_row;

constexpr std::size_t key_text_max = 520;  // "hex:" and the digits of the longest key, and a little
constexpr std::size_t batch_max = 255;
constexpr std::size_t word_max = 16;

tl::unexpected<api::problem> bad_key(std::string sentence) {
  return api::refuse(400, "bad-temporary-key", std::move(sentence), "temporary_key");
}

/// Read by the code that reads lists of devices.
api::checked<device_row> row_of_members(const device_members& m) {
  secret_json json;
  json.add("entity_id", m.entity).add("strength", m.strength).add("temporary_key", m.temporary_key);
  if (m.owner) json.add("owner", *m.owner);
  if (m.encoding) json.add("encoding", *m.encoding);
  const auto line = json.take();
  if (line.size() > server::device_line_max) return bad_key("the Temporary Key is too long");
  std::size_t read = 0;
  const byte_source source = [&](std::span<std::uint8_t> to) -> result<std::size_t> {
    const auto rest = line.expose().subspan(read);
    const auto n = std::min(to.size(), rest.size());
    std::copy_n(rest.begin(), n, to.begin());
    read += n;
    return n;
  };
  CPNS_TRY(auto rows, server::read_device_rows(source, "the device"));
  if (!rows.bad.empty()) return bad_key(rows.bad.front().text);
  return std::move(rows.good.front());
}

}  // namespace

api::checked<device_members> read_members(const api::request& r) {
  CPNS_TRY(const auto body, api::json_body::read(r, {"entity", "temporary_key", "strength", "owner",
                                                     "encoding", "batch", "presence", "allow_constant"}));
  device_members m;
  CPNS_TRY(m.entity, body.text("entity", entity_id::max_size));
  CPNS_TRY(m.temporary_key, body.secret("temporary_key", 1, key_text_max));
  CPNS_TRY(m.strength, body.text("strength", word_max));
  CPNS_TRY(m.owner, body.optional_text("owner", user_id::max_size));
  CPNS_TRY(m.encoding, body.optional_text("encoding", word_max));
  CPNS_TRY(m.batch, body.optional_name("batch", batch_max));
  CPNS_TRY(m.presence, body.boolean("presence", true));
  CPNS_TRY(m.allow_constant, body.boolean("allow_constant", false));
  return m;
}

secret_bytes body_of(const device_members& m) {
  secret_json out;
  out.add("entity", m.entity).add("strength", m.strength).add("temporary_key", m.temporary_key);
  if (m.owner) out.add("owner", *m.owner);
  if (m.encoding) out.add("encoding", *m.encoding);
  if (m.batch) out.add("batch", *m.batch);
  out.add_flag("presence", m.presence).add_flag("allow_constant", m.allow_constant);
  return out.take();
}

api::checked<protocol::device_secret_record> make_device(const device_members& m) {
  // A key in a wrong member must not come back, or be recorded as the reason of the refusal.
  if (const auto wrong = entity_id::fault_of(m.entity); !wrong.empty())
    return api::refuse(400, "wire-grammar", "'entity' " + wrong, "entity");
  if (const auto wrong = m.owner ? user_id::fault_of(*m.owner) : std::string{}; !wrong.empty())
    return api::refuse(400, "wire-grammar", "'owner' " + wrong, "owner");
  if (m.batch && has_controls(*m.batch))
    return api::refuse(400, "out-of-range", "'batch' must not have control characters", "batch");
  if (m.strength != "128bit" && m.strength != "stretch")
    return api::refuse(400, "out-of-range", "'strength' must be '128bit' or 'stretch'", "strength");
  server::key_encoding encoding{};
  if (m.encoding && !server::read_key_encoding(*m.encoding, encoding))
    return api::refuse(400, "out-of-range", "'encoding' must be 'hex', 'base64' or 'text'", "encoding");
  CPNS_TRY(const auto row, row_of_members(m));
  if (!m.allow_constant && server::is_constant_key(row.temporary_key.expose(), row.stretch))
    return api::refuse(
        422, "crypto-weak",
        "the Temporary Key is a constant, which is easy to guess; it has to be allowed explicitly",
        "temporary_key");
  protocol::device_secret_record out;
  out.entity = row.entity;
  out.temporary_key = server::kept_key(crypto::openssl_suite(), row);
  out.stretched = row.stretch;
  out.require_presence = m.presence;
  out.owner = row.owner;
  out.batch = m.batch.value_or(std::string{});
  return out;
}

}  // namespace cpns::cli
