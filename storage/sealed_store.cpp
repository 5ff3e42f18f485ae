#include "storage/sealed_store.hpp"

#include <algorithm>
#include <map>

#include "base/cbor.hpp"
#include "storage/data_key.hpp"
#include "storage/sealed_keys.hpp"

namespace cpns::storage {

namespace {

/// Of a page, read at once.
constexpr std::size_t slice_rows = 256;
/// Of a batch with ops that replace any version, when another writer was faster.
constexpr int write_tries = 8;
/// Sealed: no row without a version is valid any more.
constexpr std::string_view schema_row = "store schema";

/// The rows of an import are many, short-lived and written by one thread; a row of an index has one value, and is written
/// again if it is absent. They are removed, and leave nothing behind.
bool leaves_erased_row(table t) { return t != table::imports && t != table::indexes; }

bool any_version(const sealed_batch& batch) {
  return std::any_of(batch.begin(), batch.end(),
                     [](const sealed_op& op) { return !op.expected && !op.if_absent; });
}

bool lost(const status& s) { return !s && s.error() == errc::store_conflict; }

secret_bytes schema_value() { return secret_bytes{cbor::writer().array(1).uint(2).take()}; }

bool is_schema_row(table t, byte_view row) { return t == table::meta && equal(row, as_bytes(schema_row)); }

/// The stored name that the end of a page names.
result<bytes> place_of(std::string_view after) {
  auto last = from_hex(after);
  if (!last || last->size() > max_row_size)
    return fail(errc::config_range, "'after' is not the end of a page; take it from the page before");
  return *std::move(last);
}

}  // namespace

sealed_store::sealed_store(store& under, entropy& random, std::unique_ptr<const keys> k)
    : under_(under), random_(random), keys_(std::move(k)) {}
sealed_store::~sealed_store() = default;

result<std::unique_ptr<sealed_store>> sealed_store::open(store& under, const key_protector& protector,
                                                         entropy& random) {
  CPNS_TRY(auto wrapped, read_data_key(under));
  if (!wrapped) {
    const auto data_key = random.draw_secret<secret32::size>();
    CPNS_TRY(const auto fresh, protector.wrap(data_key, data_key_purpose, random));
    const auto k = keys(data_key);
    const auto row = k.stored_row(table::meta, as_bytes(schema_row));
    const auto done =
        under.write_one({first_data_key_op(fresh),
                         {table::meta, row, 0,
                          k.seal_value(table::meta, row, 1, as_bytes(schema_row), schema_value(), random)}});
    // Of two nodes that start with an empty database, the slower one takes the key of the other.
    if (!done && done.error() != errc::store_conflict) return fail(done.error());
    CPNS_TRY(wrapped, read_data_key(under));
    if (!wrapped) return fail(errc::store_damaged, "the store lost its new data key");
  }
  CPNS_TRY(const auto data_key, unwrap_data_key(under, *wrapped, protector));
  std::unique_ptr<sealed_store> out(new sealed_store(under, random, std::make_unique<const keys>(data_key)));
  CPNS_TRY(out->refuses_schema_1_, out->has(table::meta, as_bytes(schema_row)));
  return out;
}

result<sealed_store::row_view> sealed_store::view_row(table t, byte_view stored, std::uint64_t version,
                                                      byte_view value) const {
  if (version == 0 && refuses_schema_1_)
    return fail(errc::store_sealed,
                "row " + to_hex(stored.first(std::min<std::size_t>(stored.size(), 8))) + "... of table " +
                    std::string(name_of(t)) +
                    " has no version, but every row of this store has one: it was put back");
  return keys_->open_value(t, stored, version, value);
}

result<sealed_store::plain_row> sealed_store::open_row(table t, byte_view stored, std::uint64_t version,
                                                       byte_view value) const {
  CPNS_TRY(const auto seen, view_row(t, stored, version, value));
  plain_row out{to_bytes(seen.row), std::nullopt};
  if (seen.value) out.value = secret_bytes(*seen.value);
  return out;
}

std::vector<result<sealed_value>> sealed_store::read(std::span<const row_name> names) const {
  std::vector<row_name> stored;
  stored.reserve(names.size());
  for (const auto& n : names) stored.push_back({n.table, keys_->stored_row(n.table, n.row)});
  const auto read_at = under_.moment();
  auto found = under_.read(stored);
  if (!found) return std::vector<result<sealed_value>>(names.size(), fail(found.error()));
  std::vector<result<sealed_value>> out;
  out.reserve(names.size());
  for (std::size_t i = 0; i < stored.size(); ++i) {
    const auto& value = (*found)[i];
    if (!value) {
      out.emplace_back(sealed_value{0, std::nullopt, read_at});
      continue;
    }
    auto row = open_row(stored[i].table, stored[i].row, value->version, value->value);
    if (row)
      out.emplace_back(sealed_value{value->version, std::move(row->value), read_at});
    else
      out.emplace_back(fail(std::move(row).error()));
  }
  return out;
}

result<sealed_value> sealed_store::read_one(table t, byte_view row) const {
  const row_name name{t, to_bytes(row)};
  return std::move(read({&name, 1}).front());
}

result<std::optional<secret_bytes>> sealed_store::get(table t, byte_view row) const {
  CPNS_TRY(auto found, read_one(t, row));
  return std::move(found.value);
}

result<bool> sealed_store::has(table t, byte_view row) const {
  CPNS_TRY(const auto found, read_one(t, row));
  return found.value.has_value();
}

/// Seals batches. Ops without an expected version expect that of the engine, or of the batch before.
struct sealed_store::sealing {
  const sealed_store& to;
  struct known {
    std::optional<std::uint64_t> version;  ///< nullopt: the row does not exist
    bool as_read = true;                   ///< no batch of this call has changed it
  };
  /// Only if an op has no expected version.
  std::map<std::pair<table, bytes>, known> now{};
  bool follows_versions = false;
  std::uint64_t read_at = 0;  ///< of `now`

  status read_versions(const std::vector<const sealed_batch*>& batches) {
    std::vector<row_name> names;
    for (const auto* batch : batches)
      for (const auto& op : *batch)
        if (!op.expected && !op.if_absent)
          names.push_back({op.table, to.keys_->stored_row(op.table, op.row)});
    follows_versions = !names.empty();
    if (names.empty()) return {};
    read_at = to.under_.moment();
    CPNS_TRY(const auto found, to.under_.read(names));
    for (std::size_t i = 0; i < names.size(); ++i)
      now.insert_or_assign({names[i].table, std::move(names[i].row)},
                           known{found[i] ? std::optional(found[i]->version) : std::nullopt});
    return {};
  }

  write_batch seal(const sealed_batch& batch) {
    write_batch out;
    out.reserve(batch.size());
    for (const auto* op : last_of_each_row(batch)) add(out, *op);
    return out;
  }

 private:
  /// In the order of their names, in which all writers of a database lock the rows.
  static std::vector<const sealed_op*> last_of_each_row(const sealed_batch& batch) {
    std::vector<const sealed_op*> out;
    out.reserve(batch.size());
    for (const auto& op : batch) out.push_back(&op);
    const auto name = [](const sealed_op* op) { return std::pair(op->table, as_text(op->row)); };
    std::stable_sort(out.begin(), out.end(), [&](const auto* a, const auto* b) { return name(a) < name(b); });
    // From the end, for the later one counts.
    const auto first = std::unique(out.rbegin(), out.rend(),
                                   [&](const auto* a, const auto* b) { return name(a) == name(b); });
    out.erase(out.begin(), first.base());
    return out;
  }

  void add(write_batch& out, const sealed_op& op) {
    auto stored = to.keys_->stored_row(op.table, op.row);
    if (op.if_absent) {
      auto sealed = to.keys_->seal_value(op.table, stored, 1, op.row, op.value, to.random_);
      return out.push_back({op.table, std::move(stored), 0, std::move(sealed), true, op.announce});
    }
    known own{op.expected};
    auto& row = follows_versions ? now.try_emplace({op.table, stored}, own).first->second : own;
    auto& version = row.version;
    if (op.expected) version = op.expected;
    if (!op.value && !version) return;  // nothing to erase
    const auto expected = version.value_or(0);
    // If the batch before loses, this version is none that the row had when it was read.
    const auto read = !std::exchange(row.as_read, false) ? 0 : op.expected ? op.read_at : read_at;
    if (!op.value && !leaves_erased_row(op.table)) {
      version.reset();
      out.push_back({op.table, std::move(stored), expected, std::nullopt, false, false, read});
      return;
    }
    version = expected + 1;
    auto sealed = to.keys_->seal_value(op.table, stored, *version, op.row, op.value, to.random_);
    out.push_back({op.table, std::move(stored), expected, std::move(sealed), false, op.announce, read});
  }
};

std::vector<status> sealed_store::write_together(const std::vector<const sealed_batch*>& batches) {
  sealing s{*this};
  if (const auto read = s.read_versions(batches); !read) return std::vector<status>(batches.size(), read);
  std::vector<write_batch> sealed;
  sealed.reserve(batches.size());
  for (const auto* batch : batches) sealed.push_back(s.seal(*batch));
  return under_.write(sealed);
}

std::vector<status> sealed_store::write_all(std::span<const sealed_batch> batches) {
  std::vector<status> out(batches.size());
  std::vector<const sealed_batch*> valid;
  for (std::size_t i = 0; i < batches.size(); ++i) {
    out[i] = check_batch(batches[i]);
    if (out[i]) valid.push_back(&batches[i]);
  }
  if (valid.empty()) return out;
  auto outcomes = write_together(valid);
  for (std::size_t k = 0; k < valid.size(); ++k) {
    auto& outcome = outcomes[k];
    // Alone, for a batch that loses again would make those behind it lose, too.
    for (int tries = 1; tries < write_tries && lost(outcome) && any_version(*valid[k]); ++tries)
      outcome = std::move(write_together({valid[k]}).front());
    out[static_cast<std::size_t>(valid[k] - batches.data())] = std::move(outcome);
  }
  return out;
}

status sealed_store::write(const sealed_batch& batch) { return std::move(write_all({&batch, 1}).front()); }

status sealed_store::accepts_writes() { return health().writable ? status{} : under_.write_one({}); }

status sealed_store::scan(table t, byte_view prefix, const sealed_visitor& visit,
                          const damage_visitor& damaged) const {
  status outcome;
  CPNS_CHECK(under_.scan(t, {}, [&](const stored_row& stored) {
    if (is_data_key_row(t, stored.row)) return true;
    const auto opened = open_row(t, stored.row, stored.version, stored.value);
    if (!opened && damaged) {
      damaged(opened.error());
      return true;
    }
    if (!opened) {
      outcome = fail(opened.error());
      return false;
    }
    if (!opened->value || opened->row.size() < prefix.size() ||
        !equal(byte_view(opened->row).first(prefix.size()), prefix) || is_schema_row(t, opened->row))
      return true;
    return visit(opened->row, *opened->value);
  }));
  return outcome;
}

result<page_end> sealed_store::page(table t, std::string_view after, std::size_t limit,
                                    const sealed_visitor& visit, const damage_visitor& damaged) const {
  CPNS_TRY(auto last, place_of(after));
  bool more = true;
  while (more && limit > 0) {
    CPNS_TRY(auto rows, under_.slice(t, last, std::min(limit, slice_rows)));
    if (rows.empty()) return page_end{};
    for (auto& r : rows) {
      last = std::move(r.row);
      --limit;
      if (is_data_key_row(t, last)) continue;
      const auto opened = open_row(t, last, r.version, r.value);
      if (!opened) damaged(opened.error());
      if (opened && opened->value && !is_schema_row(t, opened->row))
        more = visit(opened->row, *opened->value);
      if (!more) break;
    }
  }
  CPNS_TRY(const auto next, under_.slice(t, last, 1));
  return next.empty() ? page_end{} : page_end{to_hex(last)};
}

result<member_page> sealed_store::members(const index_group& of, std::string_view after, std::size_t limit,
                                          const damage_visitor& damaged) const {
  CPNS_TRY(const auto begin, place_of(after));
  const auto group = keys_->stored_group(of);
  auto last = group;
  last.insert(last.end(), begin.begin(), begin.end());
  CPNS_TRY(const auto rows, under_.slice(table::indexes, last, limit + 1));
  member_page out;
  std::size_t seen = 0;
  std::string place;
  for (const auto& r : rows) {
    if (r.row.size() <= group.size() || !equal(byte_view(r.row).first(group.size()), group)) return out;
    if (seen++ == limit) {
      out.next = std::move(place);
      return out;
    }
    place = to_hex(byte_view(r.row).subspan(group.size()));
    const auto opened = open_row(table::indexes, r.row, r.version, r.value);
    auto entry = opened ? read_index_row(opened->row) : fail(opened.error());
    if (entry)
      out.rows.push_back({std::move(entry->member), r.version, place});
    else
      damaged(entry.error());
  }
  return out;
}

std::string sealed_store::hidden_name(table t, byte_view row) const {
  constexpr std::size_t shown_bytes = 8;
  return to_hex(byte_view(keys_->stored_row(t, row)).first(shown_bytes)) + "...";
}

result<page_end> sealed_store::migrate(table t, std::string_view after, std::size_t limit, std::size_t& done,
                                       const damage_visitor& damaged) {
  CPNS_TRY(const auto last, place_of(after));
  CPNS_TRY(const auto rows, under_.slice(t, last, limit));
  std::vector<write_batch> batches;
  for (const auto& r : rows) {
    if (r.version != 0 || is_data_key_row(t, r.row)) continue;
    const auto opened = open_row(t, r.row, 0, r.value);
    if (opened)
      batches.push_back({{t, r.row, 0, keys_->seal_value(t, r.row, 1, opened->row, opened->value, random_)}});
    else
      damaged(opened.error());
  }
  for (const auto& outcome : under_.write(batches)) {
    if (!outcome && outcome.error() != errc::store_conflict) return fail(outcome.error());
    done += outcome ? 1 : 0;
  }
  return rows.empty() ? page_end{} : page_end{to_hex(rows.back().row)};
}

status sealed_store::refuse_schema_1() {
  CPNS_CHECK(write({{table::meta, to_bytes(as_bytes(schema_row)), schema_value()}}));
  refuses_schema_1_ = true;
  return {};
}

key_place sealed_store::data_key(std::string name) { return data_key_of(under_, std::move(name)); }

status check_batch(const sealed_batch& batch) {
  for (const auto& op : batch) {
    if (op.row.empty() || op.row.size() > max_sealed_row_size)
      return fail(errc::store_write_failed, "the name of a row in table " + std::string(name_of(op.table)) +
                                                " must have 1 to " + std::to_string(max_sealed_row_size) +
                                                " bytes, not " + std::to_string(op.row.size()));
    if (op.value && op.value->size() > max_sealed_value_size)
      return fail(errc::store_write_failed, "a value for table " + std::string(name_of(op.table)) + " has " +
                                                std::to_string(op.value->size()) + " bytes; the limit is " +
                                                std::to_string(max_sealed_value_size));
  }
  return {};
}

}  // namespace cpns::storage
