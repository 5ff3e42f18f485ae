#include "server/import_verdicts.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include "crypto/sha256_stream.hpp"
#include "server/device_rows.hpp"
#include "server/key_text.hpp"

namespace cpns::server {

struct import_verdicts::gathered {
  gathered(const crypto::suite& suite, entropy& random)
      : s(suite), entity_key(random.draw_secret<32>()), key_key(random.draw_secret<32>()) {}

  void add(const protocol::staged_device& d, bool with_key) {
    const auto line = static_cast<std::uint32_t>(d.line);
    entities.push_back({first<12>(s.hmac(entity_key.expose(), as_bytes(d.entity.text())).expose()), line});
    if (with_key)
      keys.push_back({first<12>(s.hmac(key_key.expose(), d.temporary_key.expose()).expose()), line});
    const auto row = d.entity.text() + "\t" + (d.stretch ? "stretch" : "128bit") + "\t" +
                     (d.owner ? d.owner->text() : "") + "\n";
    sum.add(as_bytes(row));
  }

  const crypto::suite& s;
  const secret32 entity_key, key_key;
  std::vector<tag> entities, keys;
  crypto::sha256_stream sum;
};

void import_verdicts::sort(std::vector<tag>& tags) {
  std::sort(tags.begin(), tags.end(),
            [](const tag& a, const tag& b) { return std::tie(a.mac, a.line) < std::tie(b.mac, b.line); });
}

import_verdicts::repeats import_verdicts::find_twice(std::vector<tag>& entities) {
  sort(entities);
  repeats out;
  for (std::size_t i = 1, begin = 0; i < entities.size(); ++i) {
    if (entities[i].mac == entities[begin].mac)
      out.push_back({entities[i].line, entities[begin].line});
    else
      begin = i;
  }
  std::sort(out.begin(), out.end(), [](const repeat& a, const repeat& b) { return a.line < b.line; });
  return out;
}

/// Of several rows with one key, the first one names the second, and the others name the first.
import_verdicts::repeats import_verdicts::find_shared(std::vector<tag>& keys, const repeats& without) {
  std::erase_if(keys, [&](const tag& t) { return find(without, t.line) != nullptr; });
  sort(keys);
  repeats out;
  for (std::size_t i = 1, begin = 0; i < keys.size(); ++i) {
    if (keys[i].mac != keys[begin].mac) {
      begin = i;
      continue;
    }
    if (i == begin + 1) out.push_back({keys[begin].line, keys[i].line});
    out.push_back({keys[i].line, keys[begin].line});
  }
  std::sort(out.begin(), out.end(), [](const repeat& a, const repeat& b) { return a.line < b.line; });
  return out;
}

const import_verdicts::repeat* import_verdicts::find(const repeats& in, std::uint64_t line) {
  const auto it = std::lower_bound(in.begin(), in.end(), line,
                                   [](const repeat& r, std::uint64_t l) { return r.line < l; });
  return it != in.end() && it->line == line ? &*it : nullptr;
}

result<import_verdicts> import_verdicts::make(const import_store& in, const protocol::import_record& of,
                                              const crypto::suite& s, entropy& random,
                                              const std::atomic<bool>& stop) {
  gathered all{s, random};
  all.entities.reserve(of.good);
  if (!of.allow_repeats) all.keys.reserve(of.good);
  for (std::uint64_t n = 0; n < of.blocks; ++n) {
    if (stop) return fail(errc::state_stopping, "the server is about to end");
    CPNS_TRY(const auto block, in.block(of.name, n));
    for (const auto& d : block) all.add(d, !of.allow_repeats);
  }
  import_verdicts out;
  out.allow_constant_ = of.allow_constant;
  out.twice_ = find_twice(all.entities);
  out.shared_ = find_shared(all.keys, out.twice_);
  out.sha256_ = to_hex(all.sum.finish());
  return out;
}

std::string import_verdicts::why_refused(const protocol::staged_device& row, bool exists) const {
  if (const auto* first = find(twice_, row.line)) return listed_already(first->other);
  if (exists) return "the device is already in the store; --replace gives it the new key";
  if (!allow_constant_ && is_constant_key(row.temporary_key.expose(), row.stretch))
    return "the temporary key is a constant, which is easy to guess; allow_constant (--allow-constant) "
           "accepts it";
  if (const auto* other = find(shared_, row.line))
    return "the device in line " + std::to_string(other->other) +
           " has the same temporary key: the key of one opens both; allow_repeats (--allow-repeats) accepts "
           "it";
  return {};
}

}  // namespace cpns::server
