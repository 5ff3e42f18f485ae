#include "storage/sealed_keys.hpp"

#include <algorithm>
#include <functional>
#include <string_view>

#include "crypto/suite.hpp"

namespace cpns::storage {

namespace {

constexpr std::uint64_t schema_without_versions = 1;
constexpr std::uint64_t schema = 2;
/// Of a buffer that stays; a larger one is freed after its row.
constexpr std::size_t plain_kept = 16 * 1024;

secret32 derive(const secret32& data_key, std::string_view label) {
  secret32 out;
  crypto::openssl_suite().expand(data_key, cbor::writer().array(1).tstr(label).view(), out.expose_mutable());
  return out;
}

/// Wipes the plaintext of a row at the end of the scope.
class wiped_at_end {
 public:
  explicit wiped_at_end(bytes& b) : b_(b) {}
  ~wiped_at_end() { wipe(b_); }
  wiped_at_end(const wiped_at_end&) = delete;
  wiped_at_end& operator=(const wiped_at_end&) = delete;

 private:
  bytes& b_;
};

/// The name of a row whose content cannot be trusted, as messages show it.
tl::unexpected<error> refusal(table t, byte_view stored, const std::string& what) {
  constexpr std::size_t shown = 8;
  return fail(errc::store_sealed, "row " + to_hex(stored.first(std::min(stored.size(), shown))) +
                                      "... of table " + std::string(name_of(t)) + " " + what);
}

}  // namespace

sealed_store::keys::keys(const secret32& k)
    : seal(derive(k, "cpns/1 store seal")), rows(derive(k, "cpns/1 store rows")),
      indexes(derive(k, "cpns/1 store indexes")),
      key_id(first<key_id_size>(derive(k, "cpns/1 store key id").expose())) {}
sealed_store::keys::~keys() = default;

std::unique_ptr<sealed_store::sealer, sealed_store::keys::returned> sealed_store::keys::take_sealer() const {
  std::unique_ptr<sealer> out;
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      out = std::move(idle_.back());
      idle_.pop_back();
    }
  }
  if (!out) out = std::make_unique<sealer>(*this);
  return {out.release(), {this}};
}

void sealed_store::keys::returned::operator()(sealer* s) const {
  s->rest();
  const std::lock_guard lock(to->mutex_);
  to->idle_.emplace_back(s);
}

sealed_store::sealer::sealer(const keys& k)
    : key_id_(k.key_id), seal_(k.seal), rows_(k.rows), indexes_(k.indexes) {}

void sealed_store::sealer::rest() noexcept {
  seal_.forget_record();
  message_.clear();
  if (plain_.capacity() > plain_kept) bytes().swap(plain_);
}

const byte_array<32>& sealed_store::sealer::stored_group_of(byte_view encoded) {
  auto& known = groups_[std::hash<std::string_view>{}(as_text(encoded)) % groups_kept];
  if (!equal(known.group, encoded)) {
    known.group.clear();  // either call below may run out of memory
    indexes_.tag(message_.clear().array(2).raw(encoded).view(), known.stored);
    known.group.assign(encoded.begin(), encoded.end());
  }
  return known.stored;
}

bytes sealed_store::sealer::stored_row(table t, byte_view row) {
  bytes out;
  out.reserve(2 * secret32::size);
  if (t == table::indexes)
    if (const auto group = group_in(row)) {
      const auto& stored = stored_group_of(*group);
      out.assign(stored.begin(), stored.end());
    }
  byte_array<secret32::size> own;
  rows_.tag(message_.clear().array(2).uint(static_cast<std::uint64_t>(t)).bstr(row).view(), own);
  out.insert(out.end(), own.begin(), own.end());
  return out;
}

bytes sealed_store::sealer::stored_group(const index_group& g) {
  return to_bytes(stored_group_of(byte_view(encode(g)).subspan(1)));
}

byte_view sealed_store::sealer::aad(table t, byte_view stored, std::uint64_t version) {
  message_.clear()
      .array(version == 0 ? 5 : 6)
      .tstr("cpns/1 row")
      .uint(static_cast<std::uint64_t>(t))
      .bstr(stored)
      .bstr(key_id_);
  if (version == 0) return message_.uint(schema_without_versions).view();
  return message_.uint(schema).uint(version).view();
}

/// In one buffer, in which the plaintext E([row, value]) becomes the sealed row.
bytes sealed_store::sealer::seal_value(table t, byte_view stored, std::uint64_t version, byte_view row,
                                       const std::optional<secret_bytes>& value, entropy& random) {
  constexpr std::size_t heads = 1 + 5 + 5;
  constexpr byte_array<crypto::xaes_tag_size> room{};
  // No reallocation, which would leave an unwiped copy behind.
  cbor::writer w(key_id_size + crypto::xaes_overhead + heads + row.size() + (value ? value->size() : 0));
  w.raw(key_id_).raw(random.draw<crypto::xaes_nonce_size>()).array(2).bstr(row);
  if (value)
    w.bstr(value->expose());
  else
    w.null();
  auto out = w.raw(room).take();
  seal_.seal(aad(t, stored, version), std::span(out).subspan(key_id_size));
  return out;
}

result<sealed_store::sealer::content>
sealed_store::sealer::decrypted(table t, byte_view stored, std::uint64_t version, byte_view value) {
  if (value.size() < key_id_size) return refusal(t, stored, "is too short to be sealed");
  if (!equal(value.first(key_id_size), key_id_))
    return refusal(t, stored,
                   "is sealed under data key " + to_hex(value.first(key_id_size)) + ", but the store has " +
                       to_hex(key_id_));
  const auto record = value.subspan(key_id_size);
  plain_.resize(record.size() - std::min(record.size(), crypto::xaes_overhead));
  if (record.size() < crypto::xaes_overhead || !seal_.open(aad(t, stored, version), record, plain_))
    return refusal(t, stored, "cannot be decrypted: it was changed, or copied from another place");
  cbor::reader r(plain_);
  const auto malformed = [&] { return refusal(t, stored, "decrypts to a malformed row"); };
  if (!r.array_of("row", 2)) return malformed();
  const auto row = r.bstr("row name", 1, max_sealed_row_size);
  if (!row) return malformed();
  content out{*row, std::nullopt};
  const auto erased = r.null_next("row value");
  if (!erased || (*erased && version == 0)) return malformed();
  if (!*erased) {
    const auto found = r.bstr("row value", 0, max_sealed_value_size);
    if (!found) return malformed();
    out.value = *found;
  }
  if (!r.end("row")) return malformed();
  return out;
}

result<sealed_store::plain_row> sealed_store::sealer::open_value(table t, byte_view stored,
                                                                 std::uint64_t version, byte_view value) {
  const wiped_at_end end{plain_};
  CPNS_TRY(const auto found, decrypted(t, stored, version, value));
  if (!equal(stored_row(t, found.row), stored)) return refusal(t, stored, "holds the content of another row");
  plain_row out{to_bytes(found.row), std::nullopt};
  if (found.value) out.value.emplace(*found.value);
  return out;
}

result<std::optional<secret_bytes>> sealed_store::sealer::open_value_of(const row_name& name,
                                                                        byte_view stored,
                                                                        std::uint64_t version,
                                                                        byte_view value) {
  const wiped_at_end end{plain_};
  CPNS_TRY(const auto found, decrypted(name.table, stored, version, value));
  if (!equal(found.row, name.row)) return refusal(name.table, stored, "holds the content of another row");
  std::optional<secret_bytes> out;
  if (found.value) out.emplace(*found.value);
  return out;
}

status sealed_store::sealer::show_value(table t, byte_view stored, std::uint64_t version, byte_view value,
                                        const shared_row_visitor& visit) {
  const wiped_at_end end{plain_};
  CPNS_TRY(const auto found, decrypted(t, stored, version, value));
  if (!equal(stored_row(t, found.row), stored)) return refusal(t, stored, "holds the content of another row");
  if (found.value) visit(found.row, *found.value);
  return {};
}

}  // namespace cpns::storage
