#include "server/admin_pages.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/text.hpp"
#include "crypto/psk_key.hpp"

namespace cpns::server {
namespace {

namespace json = boost::json;

json::value text_or_null(const std::string& text) {
  if (text.empty()) return nullptr;
  return json::value(text);
}
json::value time_or_null(std::int64_t unix_time) {
  if (unix_time == 0) return nullptr;
  return json::value(rfc3339_text(time_point(seconds(unix_time))));
}
json::value owner_text(const std::optional<user_id>& owner) {
  return text_or_null(owner ? owner->text() : std::string{});
}

json::value holder_view(const protocol::entity_record& r) {
  if (!r.holder) return nullptr;
  return json::object{{"gw", r.holder->hex()},
                      {"uri", text_or_null(r.holder_uri)},
                      {"since", time_or_null(r.holder_since)},
                      {"seen", time_or_null(r.holder_seen)}};
}

json::array sets_view(const protocol::entity_record& r) {
  json::array out;
  for (const auto& s : r.sets)
    out.push_back(json::object{{"generation", s.generation},
                               {"set", s.set.hex()},
                               {"issued_to", s.issued_to.hex()},
                               {"first_index", s.first_index},
                               {"next_index", s.next_index},
                               {"keys", s.eukeys.size()},
                               {"not_after", time_or_null(s.not_after)}});
  return out;
}

json::array answered_view(const protocol::entity_record& r) {
  json::array out;
  for (const auto& a : r.answered)
    out.push_back(json::object{
        {"gw", a.gw.hex()}, {"generation", a.generation}, {"first_index", a.first_index}, {"keys", a.count}});
  return out;
}

template <class Record>
using decoder = result<Record> (*)(byte_view);

/// Reads rows until `asked.limit` of them fit, or the bound of a page is reached.
template <class Record, class Fits, class View>
result<json::object> read_page(const storage::sealed_store& store, storage::table t, const char* member,
                               const page_asked& asked, decoder<Record> decode, const Fits& wanted,
                               const View& view) {
  json::array rows;
  std::size_t unreadable = 0;
  const auto damaged = [&](const error& e) {
    ++unreadable;
    log::warn("server", "row-unreadable", e.message(), {{"table", std::string{name_of(t)}}});
  };
  CPNS_TRY(const auto next, store.page(
                                t, asked.after, page_rows_read_max,
                                [&](byte_view, const secret_bytes& value) {
                                  const auto record = decode(value.expose());
                                  if (!record)
                                    damaged(record.error());
                                  else if (wanted(*record))
                                    rows.push_back(view(*record));
                                  return rows.size() < asked.limit;
                                },
                                damaged));
  json::object out{{member, std::move(rows)}, {"next", nullptr}, {"unreadable", unreadable}};
  if (next) out["next"] = *next;
  return out;
}

/// How it authenticates in step 0; null if only its gw is known.
json::value kind_view(const std::string& uri) {
  if (uri.empty()) return nullptr;
  return crypto::kind_of_gateway(uri) == crypto::gateway_kind::psk ? "psk" : "x509";
}

}  // namespace

json::object view_of(const protocol::user_record& r) {
  return {{"user", r.user.text()}, {"created", time_or_null(r.created)}};
}

json::object view_of(const protocol::device_secret_record& r) {
  if (r.blocked)
    return {{"entity", r.entity.text()}, {"strength", nullptr}, {"owner", nullptr},
            {"presence", true},          {"batch", nullptr},    {"blocked", true}};
  return {{"entity", r.entity.text()},      {"strength", r.stretched ? "stretch" : "128bit"},
          {"owner", owner_text(r.owner)},   {"presence", r.require_presence},
          {"batch", text_or_null(r.batch)}, {"blocked", false}};
}

json::object view_of(const protocol::entity_record& r, bool details) {
  json::object out{{"entity", r.entity.text()},
                   {"owner", owner_text(r.owner)},
                   {"claimed", time_or_null(r.claimed)},
                   {"holder", holder_view(r)},
                   {"generation", r.sets.empty() ? 0 : r.sets.back().generation},
                   {"last_report", text_or_null(r.last_report ? r.last_report->text() : std::string{})},
                   {"resets", r.resets}};
  if (!details) return out;
  out["sets"] = sets_view(r);
  out["answered"] = answered_view(r);
  out["transcripts"] = r.used.size();
  return out;
}

json::object view_of(const protocol::gateway_record& r, bool blocked) {
  return {{"gw", r.gw.hex()},
          {"uri", text_or_null(r.uri)},
          {"address", text_or_null(r.address)},
          {"first_connected", time_or_null(r.first_connected)},
          {"last_connected", time_or_null(r.last_connected)},
          {"kind", kind_view(r.uri)},
          {"key_since", time_or_null(r.psk ? r.psk_since : 0)},
          {"blocked", blocked},
          {"blocked_since", time_or_null(blocked ? r.blocked_since : 0)}};
}

result<json::object> users_page(const storage::sealed_store& store, const page_asked& asked,
                                const user_filter& filter) {
  return read_page<protocol::user_record>(
      store, storage::table::users, "users", asked, protocol::decode_user_record,
      [&](const auto& r) { return r.user.text().starts_with(filter.prefix); },
      [](const auto& r) { return view_of(r); });
}

result<json::object> devices_page(const storage::sealed_store& store, const page_asked& asked,
                                  const device_filter& filter) {
  return read_page<protocol::device_secret_record>(
      store, storage::table::devices, "devices", asked, protocol::decode_device_secret_record,
      [&](const auto& r) {
        return r.entity.text().starts_with(filter.prefix) && (!filter.owner || r.owner == filter.owner) &&
               (filter.batch.empty() || r.batch == filter.batch);
      },
      [](const auto& r) { return view_of(r); });
}

result<json::object> entities_page(const storage::sealed_store& store, const page_asked& asked,
                                   const entity_filter& filter) {
  return read_page<protocol::entity_record>(
      store, storage::table::entities, "entities", asked, protocol::decode_entity_record,
      [&](const auto& r) {
        return r.entity.text().starts_with(filter.prefix) && (!filter.owner || r.owner == filter.owner) &&
               (!filter.holder || r.holder == filter.holder) && (!filter.held || r.holder);
      },
      [](const auto& r) { return view_of(r, false); });
}

std::optional<gateway_state> gateway_state_named(std::string_view name) {
  if (name == "connected") return gateway_state::connected;
  if (name == "known") return gateway_state::known;
  if (name == "blocked") return gateway_state::blocked;
  return std::nullopt;
}

result<json::object> gateways_page(const storage::sealed_store& store, const page_asked& asked,
                                   const gateway_filter& filter, const live_gateways& live) {
  const auto is_blocked = [&](const protocol::gateway_record& r) {
    return live.blocked ? live.blocked(r.gw) : r.blocked_since != 0;
  };
  const auto state_of = [&](const protocol::gateway_record& r) {
    if (is_blocked(r)) return gateway_state::blocked;
    return live.connected && live.connected(r.gw) ? gateway_state::connected : gateway_state::known;
  };
  return read_page<protocol::gateway_record>(
      store, storage::table::gateways, "gateways", asked, protocol::decode_gateway_record,
      [&](const auto& r) {
        return r.uri.starts_with(filter.prefix) && (!filter.state || state_of(r) == *filter.state);
      },
      [&](const auto& r) {
        auto out = view_of(r, is_blocked(r));
        if (live.connections) live.connections(r.gw, out);
        return out;
      });
}

}  // namespace cpns::server
