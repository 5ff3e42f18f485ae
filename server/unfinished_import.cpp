#include "server/unfinished_import.hpp"

#include "base/cbor.hpp"

namespace cpns::server {
namespace {

constexpr std::string_view mark_row = "store import";
constexpr std::uint64_t mark_schema = 1;
constexpr std::string_view finished_row = "store imported";
constexpr std::uint64_t finished_schema = 1;

result<unfinished_import> decode(byte_view in) {
  unfinished_import out;
  cbor::reader r{in};
  CPNS_CHECK(r.array_of("mark of an import", 3));
  CPNS_TRY(const auto schema, r.uint("schema"));
  if (schema != mark_schema)
    return fail(errc::store_damaged, "another release began to import an export into the store");
  CPNS_TRY(out.file, r.bstr_of<16>("file id"));
  CPNS_TRY(out.chunks, r.uint("chunks"));
  CPNS_CHECK(r.end("mark of an import"));
  return out;
}

result<finished_import> decode_finished(byte_view in) {
  finished_import out;
  cbor::reader r{in};
  CPNS_CHECK(r.array_of("end of an import", 3));
  CPNS_TRY(const auto schema, r.uint("schema"));
  if (schema != finished_schema)
    return fail(errc::store_damaged, "another release imported an export into the store");
  CPNS_TRY(out.file, r.bstr_of<16>("file id"));
  CPNS_TRY(out.incarnation, r.uint("incarnation"));
  CPNS_CHECK(r.end("end of an import"));
  return out;
}

}  // namespace

result<import_mark> find_import_mark(const storage::sealed_store& store) {
  CPNS_TRY(const auto row, store.read_one(storage::table::meta, as_bytes(mark_row)));
  import_mark out{std::nullopt, row.version};
  if (!row.value) return out;
  CPNS_TRY(out.now, decode(row.value->expose()));
  return out;
}

storage::sealed_op set_import_mark(const std::optional<unfinished_import>& now, std::uint64_t expected) {
  storage::sealed_op op{storage::table::meta, to_bytes(as_bytes(mark_row)), std::nullopt, expected};
  if (now)
    op.value =
        secret_bytes{cbor::writer().array(3).uint(mark_schema).bstr(now->file).uint(now->chunks).take()};
  return op;
}

result<std::optional<finished_import>> find_finished_import(const storage::sealed_store& store) {
  CPNS_TRY(const auto row, store.read_one(storage::table::meta, as_bytes(finished_row)));
  if (!row.value) return std::optional<finished_import>{};
  CPNS_TRY(const auto done, decode_finished(row.value->expose()));
  return std::optional{done};
}

storage::sealed_op op_of(const finished_import& done) {
  return {storage::table::meta, to_bytes(as_bytes(finished_row)),
          secret_bytes{
              cbor::writer().array(3).uint(finished_schema).bstr(done.file).uint(done.incarnation).take()},
          0};
}

status check_import_finished(const storage::sealed_store& store) {
  CPNS_TRY(const auto mark, find_import_mark(store));
  if (!mark.now) return {};
  return fail(errc::state_conflict,
              "the store has a part of an export alone (file id " + to_hex(mark.now->file) +
                  "), because `cpns store import` was interrupted; repeat it with the same file: cpns store "
                  "import FILE --config CONFIG");
}

}  // namespace cpns::server
