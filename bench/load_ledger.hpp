#pragma once
// What became of each request of a load, and of the keys that were given: after the load the store must have them all.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "actors/pn_gw/actors.hpp"
#include "bench/link_frames.hpp"
#include "crypto/suite.hpp"
#include "protocol/server/records.hpp"
#include "storage/sealed_store.hpp"

namespace cpns::bench {

enum class outcome : std::uint8_t { open, granted, refused };

struct load_request {
  clock::time_point due, ended{};
  int gateway = 0;
  std::string entity;
  outcome became = outcome::open;
};

/// An answer as its gateway got it.
struct given_keys {
  set_id set;
  std::uint32_t generation = 0, first_index = 0, count = 0;
  byte_array<32> digest{};  ///< of the keys

  static byte_array<32> digest_of(std::span<const secret32> keys) {
    bytes joined;
    for (const auto& k : keys) joined.insert(joined.end(), k.expose().begin(), k.expose().end());
    const auto out = crypto::openssl_suite().sha256(joined);
    wipe(joined.data(), joined.size());
    return out;
  }
};

/// A gateway's arrival at a server.
struct arrival {
  clock::time_point at;
  int gateway = 0;
  std::string server;
};

struct store_faults {
  std::size_t compared = 0;
  std::size_t missing = 0;      ///< the store has no such set
  std::size_t different = 0;    ///< it has other keys in it
  std::size_t given_twice = 0;  ///< it issued more than the gateway was given
};

/// [thread-safe]
class load_ledger {
 public:
  void put(const request_id& id, load_request r) {
    const std::lock_guard lock{guard_};
    ++open_[r.gateway];
    by_id_.emplace(id, requests_.size());
    requests_.push_back(std::move(r));
  }
  void granted(const actors::gw_response& m) {
    const auto now = clock::now();
    given_keys g{m.keys->set, m.keys->generation, m.keys->first_index,
                 static_cast<std::uint32_t>(m.keys->eukeys.size()), given_keys::digest_of(m.keys->eukeys)};
    const std::lock_guard lock{guard_};
    auto* r = end(m.id, outcome::granted, now);
    if (r == nullptr) return;
    ++granted_;
    given_.emplace(r->entity, g);
  }
  void refused(const actors::gw_refusal& m) {
    const auto now = clock::now();
    const std::lock_guard lock{guard_};
    if (end(m.id, outcome::refused, now) == nullptr) return;
    if (refused_++ == 0) std::fprintf(stderr, "refused: %s\n", m.refusal.reason.c_str());
  }
  void connected(int gateway, const std::string& server) {
    const std::lock_guard lock{guard_};
    arrivals_.push_back({clock::now(), gateway, server});
  }

  /// Requests of a gateway without an answer.
  [[nodiscard]] std::size_t open(int gateway) const {
    const std::lock_guard lock{guard_};
    const auto at = open_.find(gateway);
    return at == open_.end() ? 0 : at->second;
  }
  [[nodiscard]] std::size_t open() const {
    const std::lock_guard lock{guard_};
    std::size_t n = 0;
    for (const auto& [gateway, count] : open_) n += count;
    return n;
  }
  [[nodiscard]] std::size_t granted() const {
    const std::lock_guard lock{guard_};
    return granted_;
  }
  [[nodiscard]] std::size_t refused() const {
    const std::lock_guard lock{guard_};
    return refused_;
  }
  [[nodiscard]] std::vector<arrival> arrivals() const {
    const std::lock_guard lock{guard_};
    return arrivals_;
  }
  /// The requests so far; forgets them, not the keys.
  std::vector<load_request> take() {
    const std::lock_guard lock{guard_};
    by_id_.clear();
    open_.clear();
    return std::exchange(requests_, {});
  }

  /// Compares the keys that were given with the store. Errors of the store.
  result<store_faults> compare(const storage::sealed_store& store) const {
    const std::lock_guard lock{guard_};
    store_faults out;
    CPNS_CHECK(store.scan(storage::table::entities, {}, [&](byte_view, const secret_bytes& value) {
      const auto record = protocol::decode_entity_record(value.expose());
      if (!record) return true;  // it is missing then
      if (const auto at = given_.find(record->entity.text()); at != given_.end())
        judge(*record, at->second, out);
      return true;
    }));
    out.missing += given_.size() - out.compared;
    out.compared = given_.size();
    return out;
  }

 private:
  load_request* end(const request_id& id, outcome as, clock::time_point now) {
    const auto at = by_id_.find(id);
    if (at == by_id_.end()) return nullptr;
    auto& r = requests_[at->second];
    by_id_.erase(at);
    r.became = as;
    r.ended = now;
    --open_[r.gateway];
    return &r;
  }
  static void judge(const protocol::entity_record& record, const given_keys& g, store_faults& out) {
    ++out.compared;
    const auto at =
        std::find_if(record.sets.begin(), record.sets.end(), [&g](const auto& s) { return s.set == g.set; });
    if (at == record.sets.end()) {
      ++out.missing;
      return;
    }
    const auto& s = *at;
    const auto from = std::size_t{g.first_index} - s.first_index;
    if (g.first_index < s.first_index || from + g.count > s.eukeys.size() || s.generation != g.generation ||
        given_keys::digest_of(std::span{s.eukeys}.subspan(from, g.count)) != g.digest)
      ++out.different;
    if (record.sets.size() > 1 || s.next_index > g.first_index + g.count) ++out.given_twice;
  }

  mutable std::mutex guard_;
  std::vector<load_request> requests_;
  std::unordered_map<request_id, std::size_t> by_id_;
  std::unordered_map<int, std::size_t> open_;
  std::unordered_map<std::string, given_keys> given_;  ///< by Entity ID
  std::vector<arrival> arrivals_;
  std::size_t granted_ = 0, refused_ = 0;
};

}  // namespace cpns::bench
