#include "protocol/pne/pne_record.hpp"

#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

constexpr std::uint64_t pne_record_schema = 1;
constexpr std::size_t encoded_max = 192;

using cbor::reader;
using cbor::writer;

void write(writer& w, const std::optional<stored_key>& k) {
  if (!k) {
    w.null();
    return;
  }
  w.array(4).uint(k->which.value()).bstr(k->eukey.expose()).bstr(k->owner.value).uint(k->rekey_seconds);
}

result<std::optional<stored_key>> read_stored_key(reader& r, std::string_view at) {
  CPNS_TRY(const bool none, r.null_next(at));
  if (none) return std::optional<stored_key>{};
  stored_key k;
  CPNS_CHECK(r.array_of(at, 4));
  CPNS_TRY(k.which, read_epoch(r, at));
  CPNS_TRY(k.eukey, read_secret(r, at));
  CPNS_TRY(k.owner, read_id<owner_tag>(r, at));
  CPNS_TRY(k.rekey_seconds, read_u32(r, at));
  return std::optional<stored_key>{std::move(k)};
}

}  // namespace

secret_bytes encode(const pne_record& r) {
  writer w{encoded_max};
  w.array(4).uint(pne_record_schema);
  write(w, r.current);
  write(w, r.pending);
  w.uint(r.resets);
  return secret_bytes{w.take()};
}

result<pne_record> decode_pne_record(byte_view in) {
  reader r{in};
  pne_record out;
  CPNS_CHECK(r.array_of("PNE record", 4));
  CPNS_CHECK(read_schema(r, "PNE record", pne_record_schema));
  CPNS_TRY(out.current, read_stored_key(r, "PNE record.current"));
  CPNS_TRY(out.pending, read_stored_key(r, "PNE record.pending"));
  CPNS_TRY(out.resets, r.uint("PNE record.resets"));
  CPNS_CHECK(r.end("PNE record"));
  if (out.current && out.pending && out.pending->which <= out.current->which)
    return fail(errc::store_damaged, "PNE record: the pending key is not newer than the current one");
  return out;
}

}  // namespace cpns::protocol
