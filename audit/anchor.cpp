#include "audit/anchor.hpp"

#include <algorithm>

#include "base/cbor.hpp"

namespace cpns::audit {
namespace {

constexpr std::uint64_t schema = 1;
constexpr std::size_t open_max = 4096;
/// Counted for each open change besides its text.
constexpr std::size_t open_overhead = 16;
constexpr std::string_view chain_row = "audit chain";

result<chain> read_chain(cbor::reader& r) {
  chain c;
  CPNS_CHECK(r.array_of("chain", 5));
  CPNS_TRY(const auto version, r.uint("schema"));
  if (version != schema) return fail(errc::wire_range, "schema " + std::to_string(version) + " is not known");
  CPNS_TRY(const auto key, r.bstr("key", secret32::size, secret32::size));
  c.key = secret32(key.first<secret32::size>());
  CPNS_TRY(c.head.number, r.uint("number"));
  CPNS_TRY(c.head.mac, r.bstr_of<line_mac{}.size()>("mac"));
  CPNS_TRY(const auto n, r.array("open changes", 0, open_max));
  for (std::size_t i = 0; i < n; ++i) {
    CPNS_CHECK(r.array_of("open change", 2));
    open_change o;
    CPNS_TRY(o.number, r.uint("number of an open change"));
    CPNS_TRY(const auto text, r.tstr("open change", 0, line_size_max));
    o.text = text;
    c.open.push_back(std::move(o));
  }
  CPNS_CHECK(r.end("chain"));
  return c;
}

class anchor_in_store final : public anchor {
 public:
  anchor_in_store(storage::sealed_store& store, const std::string& node)
      : store_(store), row_(std::string(chain_row) + (node.empty() ? "" : " of " + node)) {}
  result<std::optional<chain>> load() override {
    CPNS_TRY(const auto row, store_.get(storage::table::meta, as_bytes(row_)));
    if (!row) return std::optional<chain>{};
    CPNS_TRY(auto c, decode_chain(row->expose()));
    return std::optional(std::move(c));
  }
  status save(const chain& c) override {
    return store_.write({{storage::table::meta, to_bytes(as_bytes(row_)), encode(c)}});
  }

 private:
  storage::sealed_store& store_;
  const std::string row_;
};

class anchor_in_file final : public anchor {
 public:
  explicit anchor_in_file(storage::sealed_file file) : file_(std::move(file)) {}
  result<std::optional<chain>> load() override {
    CPNS_TRY(const auto content, file_.load());
    if (!content) return std::optional<chain>{};
    auto c = decode_chain(content->expose());
    if (!c) return fail(c.error().code, file_.path().string() + ": " + c.error().detail);
    return std::optional(std::move(*c));
  }
  status save(const chain& c) override { return file_.save(encode(c).expose()); }

 private:
  storage::sealed_file file_;
};

}  // namespace

void advance(chain& c, const genuine_line& line) {
  c.head = line.at;
  const auto kind = line.text("kind");
  if (kind == "outcome") {
    const auto of = line.count("intent");
    std::erase_if(c.open, [of](const open_change& o) { return o.number == of; });
  }
  if (kind != "intent") return;
  c.open.push_back({line.at.number, open_text(line.fields)});
  while (c.open.size() > 1 && (open_bytes(c) > open_bytes_max || c.open.size() > open_max))
    c.open.erase(c.open.begin());
}

std::size_t open_bytes(const chain& c) {
  std::size_t sum = 0;
  for (const auto& o : c.open) sum += o.text.size() + open_overhead;
  return sum;
}

secret_bytes encode(const chain& c) {
  cbor::writer w(128 + open_bytes(c));
  w.array(5).uint(schema).bstr(c.key.expose()).uint(c.head.number).bstr(c.head.mac).array(c.open.size());
  for (const auto& o : c.open) w.array(2).uint(o.number).tstr(o.text);
  return secret_bytes(w.take());
}

result<chain> decode_chain(byte_view in) {
  cbor::reader r(in);
  auto c = read_chain(r);
  if (!c)
    return fail(errc::store_damaged, "the record of the audit chain is damaged (" + c.error().message() +
                                         "); restore it from a backup");
  return c;
}

std::unique_ptr<anchor> store_anchor(storage::sealed_store& store, const std::string& node) {
  return std::make_unique<anchor_in_store>(store, node);
}
std::unique_ptr<anchor> file_anchor(storage::sealed_file file) {
  return std::make_unique<anchor_in_file>(std::move(file));
}

}  // namespace cpns::audit
