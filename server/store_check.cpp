#include "server/store_check.hpp"

#include <numeric>
#include <utility>

#include "protocol/server/batch_record.hpp"
#include "protocol/server/import_records.hpp"
#include "server/index_rows.hpp"
#include "server/store_admin.hpp"

namespace cpns::server {
namespace {

using storage::table;

constexpr std::size_t checked_at_once = 256;

status named(byte_view row, byte_view name) {
  if (equal(row, name)) return {};
  return fail(errc::store_damaged, "holds the record of another name");
}

status decode_import_row(byte_view row, byte_view value) {
  const auto name = as_text(row);
  const auto done = [](const auto& decoded) { return decoded ? status{} : fail(decoded.error()); };
  if (name == "imports") return done(protocol::decode_import_names(value));
  if (name.starts_with("block ")) return done(protocol::decode_staged_block(value));
  if (name.starts_with("result ")) return done(protocol::decode_import_results(value));
  CPNS_TRY(const auto r, protocol::decode_import_record(value));
  return named(row, as_bytes(protocol::import_row(r.name)));
}

/// The groups that a row of `t` is a member of; none if it cannot be decoded, which is a fault of its own.
std::vector<storage::index_group> groups_in(table t, byte_view value) {
  if (t == table::devices) {
    const auto r = protocol::decode_device_secret_record(value);
    return r ? groups_of(*r) : std::vector<storage::index_group>{};
  }
  const auto r = protocol::decode_entity_record(value);
  return r ? groups_of(*r) : std::vector<storage::index_group>{};
}

class checker {
 public:
  checker(const storage::sealed_store& store, const row_decoder& decode,
          const std::function<void(const row_fault&)>& fault)
      : store_(store), decode_(decode), fault_(fault) {}

  /// One page after `after`. Returns its end.
  result<storage::page_end> page(table t, const std::string& after) {
    listed_.clear();
    entries_.clear();
    CPNS_TRY(auto next, store_.page(
                            t, after, checked_at_once,
                            [this, t](byte_view row, const secret_bytes& value) {
                              ++out.tables[t].rows;
                              look(t, row, value);
                              return true;
                            },
                            [this, t](const error& e) {
                              ++out.tables[t].rows;
                              report(t, e.detail);
                            }));
    CPNS_CHECK(find_unlisted(t));
    CPNS_CHECK(count_stale());
    return next;
  }
  store_findings out;

 private:
  /// A row that belongs into a group.
  struct listed {
    bytes row;
    storage::index_group group;
  };

  void report(table t, std::string what) {
    ++out.tables[t].faults;
    fault_({t, std::move(what)});
  }
  void report_row(table t, byte_view row, const std::string& what) {
    report(t, "row " + store_.hidden_name(t, row) + " of table " + std::string{name_of(t)} + " " + what);
  }

  void look(table t, byte_view row, const secret_bytes& value) {
    if (const auto good = decode_(t, row, value); !good) report_row(t, row, good.error().detail);
    if (t == table::indexes) {
      if (auto entry = storage::read_index_row(row)) entries_.push_back(std::move(*entry));
    } else if (t == table::devices || t == table::entities) {
      for (auto& g : groups_in(t, value.expose())) listed_.push_back({to_bytes(row), std::move(g)});
    }
  }

  status find_unlisted(table t) {
    if (!out.index_complete || listed_.empty()) return {};
    std::vector<storage::row_name> names;
    for (const auto& l : listed_) names.push_back({table::indexes, storage::index_row(l.group, l.row)});
    const auto found = store_.read(names);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) {
        if (!(found[i].error() == errc::store_sealed)) return fail(found[i].error());
        continue;  // a fault of the table `indexes`
      }
      if (found[i]->value) continue;
      CPNS_TRY(const bool missing, still_unlisted(t, listed_[i], names[i].row));
      if (missing) report_row(t, listed_[i].row, "is missing in a list: its index row is gone");
    }
    return {};
  }

  /// Since the page was read, the row may have changed, and its former index row may have been dropped.
  result<bool> still_unlisted(table t, const listed& l, const bytes& index_row) {
    CPNS_TRY(const auto before, store_.read_one(t, l.row));
    CPNS_TRY(const bool there, store_.has(table::indexes, index_row));
    CPNS_TRY(const auto now, store_.read_one(t, l.row));
    if (there || !now.value || before.version != now.version) return false;
    for (const auto& g : groups_in(t, now.value->expose()))
      if (g.index == l.group.index && g.name == l.group.name) return true;
    return false;
  }

  status count_stale() {
    std::vector<storage::row_name> names;
    for (const auto& e : entries_)
      if (const auto t = table_of(e.group)) names.push_back({*t, e.member});
    if (names.size() != entries_.size()) return {};  // an index that is not known: a fault already
    const auto found = store_.read(names);
    for (std::size_t i = 0; i < found.size(); ++i) {
      if (!found[i]) continue;
      bool member = false;
      if (found[i]->value)
        for (const auto& g : groups_in(names[i].table, found[i]->value->expose()))
          member = member || (g.index == entries_[i].group.index && g.name == entries_[i].group.name);
      out.stale += member ? 0 : 1;
    }
    return {};
  }

  const storage::sealed_store& store_;
  const row_decoder& decode_;
  const std::function<void(const row_fault&)>& fault_;
  std::vector<listed> listed_;
  std::vector<storage::index_entry> entries_;
};

template <class T>
std::uint64_t sum(const std::map<table, table_check>& tables, T member) {
  return std::accumulate(tables.begin(), tables.end(), std::uint64_t{0},
                         [member](std::uint64_t n, const auto& t) { return n + t.second.*member; });
}

}  // namespace

std::uint64_t store_findings::rows() const { return sum(tables, &table_check::rows); }
std::uint64_t store_findings::faults() const { return sum(tables, &table_check::faults); }

status decode_server_row(table t, byte_view row, const secret_bytes& value) {
  const auto in = value.expose();
  switch (t) {
  case table::users: {
    CPNS_TRY(const auto r, protocol::decode_user_record(in));
    return named(row, as_bytes(r.user.text()));
  }
  case table::devices: {
    CPNS_TRY(const auto r, protocol::decode_device_secret_record(in));
    return named(row, as_bytes(r.entity.text()));
  }
  case table::entities: {
    CPNS_TRY(const auto r, protocol::decode_entity_record(in));
    return named(row, as_bytes(r.entity.text()));
  }
  case table::gateways: {
    CPNS_TRY(const auto r, protocol::decode_gateway_record(in));
    return named(row, gateway_row(r.gw));
  }
  case table::batches: {
    CPNS_TRY(const auto r, protocol::decode_batch_record(in));
    return named(row, as_bytes(r.batch));
  }
  case table::indexes: {
    CPNS_TRY(const auto entry, storage::read_index_row(row));
    if (table_of(entry.group)) return {};
    return fail(errc::store_damaged, "is of an index that this release does not know");
  }
  case table::imports: return decode_import_row(row, in);
  default: return {};
  }
}

result<store_findings> check_rows(const storage::sealed_store& store, const row_decoder& decode,
                                  const std::function<void(const row_fault&)>& fault,
                                  const std::function<void(std::uint64_t)>& progress) {
  checker c(store, decode, fault);
  CPNS_TRY(c.out.index_complete, index_complete(store));
  for (const auto t : storage::all_tables) {
    storage::page_end after{std::string{}};
    while (after) {
      CPNS_TRY(after, c.page(t, *after));
      progress(c.out.rows());
    }
  }
  return std::move(c.out);
}

}  // namespace cpns::server
