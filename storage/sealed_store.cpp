#include "storage/sealed_store.hpp"

#include <algorithm>

#include "base/cbor.hpp"
#include "crypto/suite.hpp"
#include "crypto/xaes.hpp"

namespace cpns::storage {

namespace {

constexpr std::uint64_t schema = 1;
constexpr std::size_t key_id_size = 8;
/// Of a page, read at once.
constexpr std::size_t slice_rows = 256;
constexpr std::string_view data_key_purpose = "cpns/1 store";
/// Shorter than the name of any sealed row (32 bytes), so they cannot collide.
constexpr std::string_view data_key_row = "data key";

secret32 derive(const secret32& data_key, std::string_view label) {
  secret32 out;
  crypto::openssl_suite().expand(data_key, cbor::writer().array(1).tstr(label).view(), out.expose_mutable());
  return out;
}

/// E([row, value]), in a buffer of fixed size: a reallocation would leave an unwiped copy behind.
secret_bytes plain_row(byte_view row, const secret_bytes& value) {
  constexpr std::size_t heads = 1 + 5 + 5;
  return secret_bytes(
      cbor::writer(heads + row.size() + value.size()).array(2).bstr(row).bstr(value.expose()).take());
}

/// True if there is a row in any table.
result<bool> holds_rows(const store& s) {
  for (const auto t : all_tables) {
    bool found = false;
    CPNS_CHECK(s.scan(t, {}, [&found](byte_view, byte_view) {
      found = true;
      return false;
    }));
    if (found) return true;
  }
  return false;
}

/// The wrapped data key; nullopt if the store is empty.
result<std::optional<bytes>> read_data_key(const store& s) {
  CPNS_TRY(auto wrapped, s.get(table::meta, as_bytes(data_key_row)));
  if (wrapped) return wrapped;
  CPNS_TRY(const bool used, holds_rows(s));
  if (used)
    return fail(errc::store_damaged, "the store holds rows but not their data key; restore it from a backup");
  return wrapped;
}

status write_data_key(store& s, const bytes& wrapped) {
  return s.write({{table::meta, to_bytes(as_bytes(data_key_row)), wrapped}});
}

}  // namespace

struct sealed_store::keys {
  secret32 seal;                   ///< X(data key, ["cpns/1 store seal"])
  secret32 rows;                   ///< X(data key, ["cpns/1 store rows"])
  byte_array<key_id_size> key_id;  ///< X(data key, ["cpns/1 store key id"])[..8]

  explicit keys(const secret32& k)
      : seal(derive(k, "cpns/1 store seal")), rows(derive(k, "cpns/1 store rows")),
        key_id(first<key_id_size>(derive(k, "cpns/1 store key id").expose())) {}

  [[nodiscard]] bytes stored_row(table t, byte_view row) const {
    const auto name = cbor::writer().array(2).uint(static_cast<std::uint64_t>(t)).bstr(row).take();
    return to_bytes(crypto::openssl_suite().hmac(rows.expose(), name).expose());
  }

  [[nodiscard]] bytes aad(table t, byte_view stored) const {
    return cbor::writer()
        .array(5)
        .tstr("cpns/1 row")
        .uint(static_cast<std::uint64_t>(t))
        .bstr(stored)
        .bstr(key_id)
        .uint(schema)
        .take();
  }

  [[nodiscard]] bytes seal_value(table t, byte_view stored, byte_view row, const secret_bytes& value,
                                 entropy& random) const {
    const auto sealed = crypto::xaes_seal(seal, random, aad(t, stored), plain_row(row, value).expose());
    bytes out;
    out.reserve(key_id_size + sealed.size());
    out.insert(out.end(), key_id.begin(), key_id.end());
    out.insert(out.end(), sealed.begin(), sealed.end());
    return out;
  }

  struct opened {
    bytes row;
    secret_bytes value;
  };

  [[nodiscard]] result<opened> open_value(table t, byte_view stored, byte_view value) const {
    const auto refuse = [&](const std::string& what) {
      return fail(errc::store_sealed, "row " + to_hex(stored.first(std::min<std::size_t>(stored.size(), 8))) +
                                          "... of table " + std::string(name_of(t)) + " " + what);
    };
    if (value.size() < key_id_size) return refuse("is too short to be sealed");
    if (!equal(value.first(key_id_size), key_id))
      return refuse("is sealed under data key " + to_hex(value.first(key_id_size)) + ", but the store has " +
                    to_hex(key_id));
    const auto plain = crypto::xaes_open(seal, aad(t, stored), value.subspan(key_id_size));
    if (!plain) return refuse("cannot be decrypted: it was changed, or copied from another place");
    cbor::reader r(plain->expose());
    if (!r.array_of("row", 2)) return refuse("decrypts to a malformed row");
    const auto row = r.bstr("row name", 1, max_sealed_row_size);
    if (!row) return refuse("decrypts to a malformed row");
    const auto content = r.bstr("row value", 0, max_sealed_value_size);
    if (!content || !r.end("row")) return refuse("decrypts to a malformed row");
    if (!equal(stored_row(t, *row), stored)) return refuse("holds the content of another row");
    return opened{to_bytes(*row), secret_bytes(*content)};
  }
};

sealed_store::sealed_store(store& under, entropy& random, std::unique_ptr<const keys> k)
    : under_(under), random_(random), keys_(std::move(k)) {}
sealed_store::~sealed_store() = default;

result<std::unique_ptr<sealed_store>> sealed_store::open(store& under, const key_protector& protector,
                                                         entropy& random) {
  CPNS_TRY(const auto wrapped, read_data_key(under));
  secret32 data_key;
  if (wrapped) {
    CPNS_TRY(data_key, protector.unwrap(*wrapped, data_key_purpose));
  } else {
    data_key = random.draw_secret<secret32::size>();
    CPNS_TRY(const auto fresh, protector.wrap(data_key, data_key_purpose, random));
    CPNS_CHECK(write_data_key(under, fresh));
  }
  return std::unique_ptr<sealed_store>(
      new sealed_store(under, random, std::make_unique<const keys>(data_key)));
}

result<std::optional<secret_bytes>> sealed_store::get(table t, byte_view row) const {
  const auto stored = keys_->stored_row(t, row);
  CPNS_TRY(const auto value, under_.get(t, stored));
  if (!value) return std::optional<secret_bytes>{};
  CPNS_TRY(auto opened, keys_->open_value(t, stored, *value));
  return std::optional<secret_bytes>(std::move(opened.value));
}

result<bool> sealed_store::has(table t, byte_view row) const {
  CPNS_TRY(const auto value, under_.get(t, keys_->stored_row(t, row)));
  return value.has_value();
}

status sealed_store::write(const sealed_batch& batch) {
  CPNS_CHECK(check_batch(batch));
  write_batch ops;
  ops.reserve(batch.size());
  for (const auto& op : batch) {
    auto& out = ops.emplace_back(write_op{op.table, keys_->stored_row(op.table, op.row), std::nullopt});
    if (op.value) out.value = keys_->seal_value(op.table, out.row, op.row, *op.value, random_);
  }
  return under_.write(ops);
}

status sealed_store::accepts_writes() { return health().writable ? status{} : under_.write({}); }

status sealed_store::scan(table t, byte_view prefix, const sealed_visitor& visit,
                          const damage_visitor& damaged) const {
  status outcome;
  CPNS_CHECK(under_.scan(t, {}, [&](byte_view stored, byte_view value) {
    if (t == table::meta && equal(stored, as_bytes(data_key_row))) return true;
    const auto opened = keys_->open_value(t, stored, value);
    if (!opened && damaged) {
      damaged(opened.error());
      return true;
    }
    if (!opened) {
      outcome = fail(opened.error());
      return false;
    }
    if (opened->row.size() < prefix.size() || !equal(byte_view(opened->row).first(prefix.size()), prefix))
      return true;
    return visit(opened->row, opened->value);
  }));
  return outcome;
}

result<page_end> sealed_store::page(table t, std::string_view after, std::size_t limit,
                                    const sealed_visitor& visit, const damage_visitor& damaged) const {
  auto last = from_hex(after);
  if (!last || last->size() > max_row_size)
    return fail(errc::config_range, "'after' is not the end of a page; take it from the page before");
  bool more = true;
  while (more && limit > 0) {
    CPNS_TRY(auto rows, under_.slice(t, *last, std::min(limit, slice_rows)));
    if (rows.empty()) return page_end{};
    for (auto& r : rows) {
      *last = std::move(r.row);
      --limit;
      if (t == table::meta && equal(*last, as_bytes(data_key_row))) continue;
      const auto opened = keys_->open_value(t, *last, r.value);
      if (!opened) damaged(opened.error());
      more = !opened || visit(opened->row, opened->value);
      if (!more) break;
    }
  }
  CPNS_TRY(const auto next, under_.slice(t, *last, 1));
  return next.empty() ? page_end{} : page_end{to_hex(*last)};
}

key_place sealed_store::data_key(std::string name) { return data_key_of(under_, std::move(name)); }

key_place data_key_of(store& under, std::string name) {
  return {std::move(name), std::string(data_key_purpose), [&under] { return read_data_key(under); },
          [&under](const bytes& wrapped) { return write_data_key(under, wrapped); }};
}

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
