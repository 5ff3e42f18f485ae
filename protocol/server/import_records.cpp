#include "protocol/server/import_records.hpp"

#include "base/cbor.hpp"
#include "protocol/fields.hpp"

namespace cpns::protocol {
namespace {

constexpr std::uint64_t import_schema = 1;
constexpr std::size_t import_fields = 29;
constexpr std::size_t import_batch_max = 255;
constexpr std::size_t import_code_max = 64;
constexpr std::size_t import_columns_max = 16;
constexpr std::size_t import_rest_max = 8192;
constexpr std::size_t staged_key_max = 1024;  // above all that an import accepts
constexpr std::size_t import_names_max = 1024;
constexpr std::size_t import_digest_text = 64;

status read_import_options(cbor::reader& r, import_record& out) {
  for (auto* flag :
       {&out.partial, &out.replace, &out.require_presence, &out.allow_constant, &out.allow_repeats}) {
    CPNS_TRY(*flag, r.boolean("option"));
  }
  return {};
}

status read_received(cbor::reader& r, import_record& out) {
  for (auto* number : {&out.bytes, &out.lines, &out.form}) {
    CPNS_TRY(*number, r.uint("place"));
  }
  CPNS_TRY(const auto columns, r.bstr("columns", 0, import_columns_max));
  out.columns = to_bytes(columns);
  CPNS_TRY(const auto rest, r.bstr("rest", 0, import_rest_max));
  out.rest = secret_bytes{rest};
  for (auto* number : {&out.good, &out.bad, &out.stretched, &out.warnings, &out.blocks, &out.results_kept}) {
    CPNS_TRY(*number, r.uint("count"));
  }
  CPNS_TRY(out.sha256, read_text(r, "sha256", import_digest_text));
  for (auto* number : {&out.next_block, &out.next_row, &out.imported}) {
    CPNS_TRY(*number, r.uint("progress"));
  }
  return {};
}

result<staged_device> read_staged(cbor::reader& r) {
  staged_device d;
  CPNS_CHECK(r.array_of("staged device", 5));
  CPNS_TRY(d.line, r.uint("line"));
  CPNS_TRY(d.entity, read_entity(r, "entity"));
  CPNS_TRY(const auto key, r.bstr("temporary key", 1, staged_key_max));
  d.temporary_key = secret_bytes{key};
  CPNS_TRY(d.stretch, r.boolean("stretch"));
  CPNS_TRY(d.owner, read_user_or_null(r, "owner"));
  return d;
}

}  // namespace

secret_bytes encode(const import_record& i) {
  cbor::writer w{1024 + i.rest.size() + i.fault_text.size()};
  w.array(import_fields).uint(import_schema).tstr(i.name).tstr(cut_text(i.batch, import_batch_max));
  w.boolean(i.partial).boolean(i.replace).boolean(i.require_presence);
  w.boolean(i.allow_constant).boolean(i.allow_repeats).uint(static_cast<std::uint64_t>(i.state));
  w.uint(time_field(i.created)).uint(time_field(i.changed));
  w.tstr(i.fault_code).tstr(cut_text(i.fault_text, result_text_max)).uint(i.fault_line);
  w.uint(i.bytes).uint(i.lines).uint(i.form).bstr(i.columns).bstr(i.rest.expose());
  w.uint(i.good).uint(i.bad).uint(i.stretched).uint(i.warnings).uint(i.blocks).uint(i.results_kept);
  w.tstr(i.sha256).uint(i.next_block).uint(i.next_row).uint(i.imported);
  return secret_bytes{w.take()};
}

result<import_record> decode_import_record(byte_view in) {
  cbor::reader r{in};
  import_record i;
  CPNS_CHECK(r.array_of("import", import_fields));
  CPNS_CHECK(read_schema(r, "import", import_schema));
  CPNS_TRY(i.name, read_text(r, "name", import_name_max));
  CPNS_TRY(i.batch, read_text(r, "batch", import_batch_max));
  CPNS_CHECK(read_import_options(r, i));
  CPNS_TRY(const auto state, r.uint("state", static_cast<std::uint64_t>(import_state::count_) - 1));
  i.state = static_cast<import_state>(state);
  CPNS_TRY(i.created, read_time(r, "created"));
  CPNS_TRY(i.changed, read_time(r, "changed"));
  CPNS_TRY(i.fault_code, read_text(r, "fault code", import_code_max));
  CPNS_TRY(i.fault_text, read_text(r, "fault", result_text_max));
  CPNS_TRY(i.fault_line, r.uint("fault line"));
  CPNS_CHECK(read_received(r, i));
  CPNS_CHECK(r.end("import"));
  return i;
}

secret_bytes encode(const staged_block& rows) {
  std::size_t size = 16;
  for (const auto& d : rows)
    size += 24 + d.entity.text().size() + d.temporary_key.size() + (d.owner ? d.owner->text().size() : 0);
  cbor::writer w{size};
  w.array(rows.size());
  for (const auto& d : rows) {
    w.array(5).uint(d.line).tstr(d.entity.text()).bstr(d.temporary_key.expose()).boolean(d.stretch);
    write_or_null(w, d.owner);
  }
  return secret_bytes{w.take()};
}

result<staged_block> decode_staged_block(byte_view in) {
  cbor::reader r{in};
  CPNS_TRY(const auto n, r.array("staged devices", 0, staged_rows_max));
  staged_block out;
  out.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(auto d, read_staged(r));
    out.push_back(std::move(d));
  }
  CPNS_CHECK(r.end("staged devices"));
  return out;
}

secret_bytes encode(const import_results& rows) {
  cbor::writer w;
  w.array(rows.size());
  for (const auto& x : rows)
    w.array(4).uint(x.line).tstr(x.entity).tstr(cut_text(x.text, result_text_max)).boolean(x.warning);
  return secret_bytes{w.take()};
}

result<import_results> decode_import_results(byte_view in) {
  cbor::reader r{in};
  CPNS_TRY(const auto n, r.array("results", 0, results_per_row_max));
  import_results out;
  for (std::size_t i = 0; i < n; ++i) {
    import_result x;
    CPNS_CHECK(r.array_of("result", 4));
    CPNS_TRY(x.line, r.uint("line"));
    CPNS_TRY(x.entity, read_text(r, "entity", entity_id::max_size));
    CPNS_TRY(x.text, read_text(r, "text", result_text_max));
    CPNS_TRY(x.warning, r.boolean("warning"));
    out.push_back(std::move(x));
  }
  CPNS_CHECK(r.end("results"));
  return out;
}

secret_bytes encode_import_names(const std::vector<std::string>& names) {
  cbor::writer w;
  w.array(names.size());
  for (const auto& name : names) w.tstr(name);
  return secret_bytes{w.take()};
}

result<std::vector<std::string>> decode_import_names(byte_view in) {
  cbor::reader r{in};
  CPNS_TRY(const auto n, r.array("imports", 0, import_names_max));
  std::vector<std::string> out;
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_TRY(auto name, read_text(r, "name", import_name_max));
    out.push_back(std::move(name));
  }
  CPNS_CHECK(r.end("imports"));
  return out;
}

std::string import_row(std::string_view name) { return "import " + std::string{name}; }

}  // namespace cpns::protocol
