#pragma once
// Answers of a manufacturer's service in memory, so that a device that wakes up needs no query.
//
// A user can ask for Entity IDs that nobody made. Their answers ("unknown") have a bound of their own: they never evict a key.

#include <list>
#include <optional>
#include <unordered_map>
#include <utility>

#include "base/clock.hpp"
#include "base/ids.hpp"
#include "base/secret.hpp"

namespace cpns::server {

/// The most recently used values, each for a bounded time. Not thread-safe.
template <class Value>
class aged_values {
 public:
  aged_values(std::size_t most, milliseconds keep) : most_(most), keep_(keep) {}

  /// nullptr: none, or too old. Valid until the next call.
  Value* find(time_point now, const entity_id& entity) {
    const auto at = index_.find(entity);
    if (at == index_.end()) return nullptr;
    if (now >= at->second->until || now < at->second->since) return erase(entity), nullptr;
    latest_.splice(latest_.begin(), latest_, at->second);
    return &at->second->value;
  }
  void put(time_point now, const entity_id& entity, Value value) {
    erase(entity);
    if (most_ == 0) return;
    if (latest_.size() >= most_) {
      index_.erase(latest_.back().entity);
      latest_.pop_back();
    }
    latest_.push_front({entity, std::move(value), now, now + keep_});
    index_.emplace(entity, latest_.begin());
  }
  void erase(const entity_id& entity) {
    const auto at = index_.find(entity);
    if (at == index_.end()) return;
    latest_.erase(at->second);
    index_.erase(at);
  }
  [[nodiscard]] std::size_t size() const { return latest_.size(); }

 private:
  struct entry {
    entity_id entity;
    Value value;
    time_point since, until;
  };
  std::size_t most_;
  milliseconds keep_;
  std::list<entry> latest_;
  std::unordered_map<entity_id, typename std::list<entry>::iterator> index_;
};

/// Not thread-safe.
class key_cache {
 public:
  struct bounds {
    std::size_t keys = 0;
    milliseconds keep{};
    std::size_t unknown = 0;
    milliseconds keep_unknown{};
  };
  /// What the service said about an Entity ID; nullopt: it does not know the device.
  using known = std::optional<secret32>;

  explicit key_cache(const bounds& b) : keys_(b.keys, b.keep), unknown_(b.unknown, b.keep_unknown) {}

  /// nullopt: the service has to be asked.
  std::optional<known> find(time_point now, const entity_id& entity) {
    if (const auto* k = keys_.find(now, entity)) return known{k->key};
    if (unknown_.find(now, entity) != nullptr) return known{};
    return std::nullopt;
  }
  /// `again`: the answer to a query after drop().
  void put(time_point now, const entity_id& entity, const known& answer, bool again) {
    keys_.erase(entity);
    unknown_.erase(entity);
    if (answer)
      keys_.put(now, entity, {*answer, again});
    else
      unknown_.put(now, entity, {});
  }
  /// Whether `key` is in memory, and was not asked for again yet.
  [[nodiscard]] bool may_drop(time_point now, const entity_id& entity, const secret32& key) {
    const auto* k = keys_.find(now, entity);
    return k != nullptr && !k->again && k->key == key;
  }
  /// Forgets a key with which the device did not prove its presence.
  void drop(const entity_id& entity) { keys_.erase(entity); }
  [[nodiscard]] std::size_t keys() const { return keys_.size(); }
  [[nodiscard]] std::size_t unknown() const { return unknown_.size(); }

 private:
  struct kept_key {
    secret32 key;
    bool again = false;
  };
  struct nothing {};
  aged_values<kept_key> keys_;
  aged_values<nothing> unknown_;
};

}  // namespace cpns::server
