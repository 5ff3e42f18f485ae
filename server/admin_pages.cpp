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

/// Counts rows that cannot be read.
class unreadable_rows {
 public:
  explicit unreadable_rows(storage::table t) : table_(t) {}
  void operator()(const error& e) {
    ++count_;
    log::warn("server", "row-unreadable", e.message(), {{"table", std::string{name_of(table_)}}});
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  const storage::table table_;
  std::size_t count_ = 0;
};

/// What a page wants of its rows.
template <class Record>
struct page_rows {
  storage::table table{};
  decoder<Record> decode{};
  std::function<bool(const Record&)> wanted{};
  std::function<void(Record&&)> take{};
};

/// Reads rows until `asked.limit` of them fit, or the bound of a page is reached.
template <class Record>
result<storage::page_end> scan_page(const storage::sealed_store& store, const page_asked& asked,
                                    const page_rows<Record>& of, unreadable_rows& damaged) {
  std::size_t taken = 0;
  return store.page(
      of.table, asked.after, page_rows_read_max,
      [&](byte_view, const secret_bytes& value) {
        auto record = of.decode(value.expose());
        if (!record) {
          damaged(record.error());
        } else if (of.wanted(*record)) {
          of.take(std::move(*record));
          ++taken;
        }
        return taken < asked.limit;
      },
      [&damaged](const error& e) { damaged(e); });
}

/// In front of the place in a group, which is not a place in the table.
constexpr std::string_view in_index = "i";
constexpr std::size_t members_at_once_min = 64, members_at_once_max = 256;

storage::page_end place_in_index(std::string_view place) {
  return std::string{in_index} + std::string{place};
}

/// Of one page of a group, or of a part of it.
template <class Record>
class index_reader {
 public:
  index_reader(const storage::sealed_store& store, const storage::index_group& group,
               const page_rows<Record>& of, unreadable_rows& damaged, const stale_row_sink& drop)
      : store_(store), group_(group), of_(of), damaged_(damaged), drop_(drop) {}

  result<storage::page_end> read(std::string_view after, std::size_t limit) {
    std::string place{after};
    const auto at_once = std::clamp(limit, members_at_once_min, members_at_once_max);
    for (std::size_t looked_at = 0; looked_at < page_rows_read_max; looked_at += at_once) {
      CPNS_TRY(auto page, store_.members(group_, place, at_once, report()));
      const auto end = page.next;
      const auto last = page.rows.empty() ? std::string{} : page.rows.back().place;
      for (auto& r : read_members(store_, of_.table, std::move(page.rows), report())) {
        if (look(r) && ++taken_ == limit)
          return end || r.member.place != last ? place_in_index(r.member.place) : storage::page_end{};
      }
      if (!end) return storage::page_end{};
      place = *end;
    }
    return place_in_index(place);
  }

 private:
  storage::damage_visitor report() {
    return [this](const error& e) { damaged_(e); };
  }
  /// True: the record is in the page.
  bool look(const listed_row& r) {
    auto record = r.row.value ? of_.decode(r.row.value->expose()) : result<Record>{Record{}};
    if (!record) {
      damaged_(record.error());
      return false;
    }
    if (!is_member(*record, group_)) {
      if (drop_) drop_(drop_of(of_.table, group_, r));
      return false;
    }
    if (!of_.wanted(*record)) return false;
    of_.take(std::move(*record));
    return true;
  }

  const storage::sealed_store& store_;
  const storage::index_group& group_;
  const page_rows<Record>& of_;
  unreadable_rows& damaged_;
  const stale_row_sink& drop_;
  std::size_t taken_ = 0;
};

/// A page of a group if there is one and its index rows are complete, else of the table.
template <class Record>
result<storage::page_end> any_page(const storage::sealed_store& store, const page_asked& asked,
                                   const std::optional<storage::index_group>& group,
                                   const page_rows<Record>& of, unreadable_rows& damaged,
                                   const stale_row_sink& drop) {
  if constexpr (requires(const Record& r) { groups_of(r); }) {
    const bool goes_on = asked.after.starts_with(in_index);
    bool by_index = group && (goes_on || asked.after.empty());
    if (by_index) {
      CPNS_TRY(by_index, index_complete(store));
    }
    if (by_index)
      return index_reader<Record>{store, *group, of, damaged, drop}.read(
          std::string_view{asked.after}.substr(goes_on ? in_index.size() : 0), asked.limit);
  }
  return scan_page(store, asked, of, damaged);
}

template <class Record, class View>
result<json::object> read_page(const storage::sealed_store& store, const char* member,
                               const page_asked& asked, const std::optional<storage::index_group>& group,
                               page_rows<Record> of, const View& view, const stale_row_sink& drop = {}) {
  json::array rows;
  of.take = [&](Record&& r) { rows.push_back(view(r)); };
  unreadable_rows damaged{of.table};
  CPNS_TRY(const auto next, any_page(store, asked, group, of, damaged, drop));
  json::object out{{member, std::move(rows)}, {"next", nullptr}, {"unreadable", damaged.count()}};
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
      store, "users", asked, {},
      {.table = storage::table::users,
       .decode = protocol::decode_user_record,
       .wanted = [&](const auto& r) { return r.user.text().starts_with(filter.prefix); }},
      [](const auto& r) { return view_of(r); });
}

result<json::object> devices_page(const storage::sealed_store& store, const page_asked& asked,
                                  const device_filter& filter, const stale_row_sink& drop) {
  std::optional<storage::index_group> group;
  if (!filter.batch.empty()) group = devices_of_batch(filter.batch);
  if (filter.owner) group = devices_of_owner(*filter.owner);
  return read_page<protocol::device_secret_record>(
      store, "devices", asked, group,
      {.table = storage::table::devices,
       .decode = protocol::decode_device_secret_record,
       .wanted =
           [&](const auto& r) {
             return r.entity.text().starts_with(filter.prefix) &&
                    (!filter.owner || r.owner == filter.owner) &&
                    (filter.batch.empty() || r.batch == filter.batch);
           }},
      [](const auto& r) { return view_of(r); }, drop);
}

result<json::object> entities_page(const storage::sealed_store& store, const page_asked& asked,
                                   const entity_filter& filter, const stale_row_sink& drop) {
  std::optional<storage::index_group> group;
  if (filter.owner) group = entities_of_owner(*filter.owner);
  if (filter.holder) group = entities_of_holder(*filter.holder);
  return read_page<protocol::entity_record>(
      store, "entities", asked, group,
      {.table = storage::table::entities,
       .decode = protocol::decode_entity_record,
       .wanted =
           [&](const auto& r) {
             return r.entity.text().starts_with(filter.prefix) &&
                    (!filter.owner || r.owner == filter.owner) &&
                    (!filter.holder || r.holder == filter.holder) && (!filter.held || r.holder);
           }},
      [](const auto& r) { return view_of(r, false); }, drop);
}

result<held_page> held_entities_page(const storage::sealed_store& store, const page_asked& asked,
                                     const gateway_id& holder, const stale_row_sink& drop) {
  held_page out;
  const page_rows<protocol::entity_record> of{
      .table = storage::table::entities,
      .decode = protocol::decode_entity_record,
      .wanted = [&holder](const auto& r) { return r.holder == holder; },
      .take = [&out](protocol::entity_record&& r) { out.held.push_back(std::move(r)); }};
  unreadable_rows damaged{of.table};
  CPNS_TRY(out.next, any_page(store, asked, std::optional{entities_of_holder(holder)}, of, damaged, drop));
  return out;
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
  return read_page<protocol::gateway_record>(store, "gateways", asked, {},
                                             {.table = storage::table::gateways,
                                              .decode = protocol::decode_gateway_record,
                                              .wanted =
                                                  [&](const auto& r) {
                                                    return r.uri.starts_with(filter.prefix) &&
                                                           (!filter.state || state_of(r) == *filter.state);
                                                  }},
                                             [&](const auto& r) {
                                               auto out = view_of(r, is_blocked(r));
                                               if (live.connections) live.connections(r.gw, out);
                                               return out;
                                             });
}

}  // namespace cpns::server
