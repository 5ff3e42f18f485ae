#include "protocol/server/batch_record.hpp"

#include <algorithm>

#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

constexpr std::uint64_t batch_schema = 1;
constexpr std::size_t range_text_max = 2 * entity_id::max_size + 2;

bool is_letter_or_digit(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

}  // namespace

bool is_batch_id(std::string_view text) {
  return !text.empty() && text.size() <= batch_id_max && is_letter_or_digit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool batch_record::contains(const entity_id& entity) const {
  return std::any_of(ids.begin(), ids.end(), [&](const auto& r) { return r.contains(entity); });
}

result<std::vector<entity_range>> parse_ranges(const std::vector<std::string>& texts) {
  if (texts.empty() || texts.size() > batch_ranges_max)
    return fail(errc::config_range, "a batch has 1 to " + std::to_string(batch_ranges_max) +
                                        " ranges of Entity IDs, not " + std::to_string(texts.size()));
  std::vector<entity_range> out;
  for (const auto& text : texts) {
    CPNS_TRY(auto range, entity_range::parse(text));
    for (const auto& other : out)
      if (other.overlaps(range))
        return fail(errc::config_range, "'" + range.text() + "' and '" + other.text() + "' overlap");
    out.push_back(std::move(range));
  }
  return out;
}

secret_bytes encode(const batch_record& b) {
  cbor::writer w{256 + b.ids.size() * (range_text_max + 2)};
  w.array(5).uint(batch_schema).tstr(b.batch).bstr(b.master_key.expose()).uint(time_field(b.created));
  w.array(b.ids.size());
  for (const auto& r : b.ids) w.tstr(r.text());
  return secret_bytes{w.take()};
}

result<batch_record> decode_batch_record(byte_view in) {
  cbor::reader r{in};
  batch_record b;
  CPNS_CHECK(r.array_of("batch record", 5));
  CPNS_CHECK(read_schema(r, "batch record", batch_schema));
  CPNS_TRY(b.batch, read_text(r, "batch_id", batch_id_max));
  if (!is_batch_id(b.batch)) return fail(errc::store_damaged, "a batch record has a bad batch_id");
  CPNS_TRY(b.master_key, read_secret(r, "master key"));
  CPNS_TRY(b.created, read_time(r, "created"));
  CPNS_TRY(const auto n, r.array("ranges", 1, batch_ranges_max));
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(const auto text, read_text(r, "range", range_text_max));
    CPNS_TRY(auto range, entity_range::parse(text));
    b.ids.push_back(std::move(range));
  }
  CPNS_CHECK(r.end("batch record"));
  return b;
}

}  // namespace cpns::protocol
