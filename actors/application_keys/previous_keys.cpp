#include "actors/application_keys/previous_keys.hpp"

#include <algorithm>
#include <utility>

#include "actors/application_keys/key_text.hpp"
#include "crypto/key_schedule.hpp"

namespace cpns::actors {

const previous_key::derived& previous_key::of(std::string_view purpose) const {
  return *std::find_if(all.begin(), all.end(), [purpose](const derived& d) { return d.purpose == purpose; });
}

previous_keys::previous_keys(const config::application_keys_config& c, const crypto::suite& suite,
                             key_changes& changes, clock_fn clock, bounds most)
    : overlap_(c.overlap), suite_(suite), changes_(changes), clock_(std::move(clock)), most_(most) {
  for (const auto& [name, wanted] : c.purposes) purposes_.push_back(without_readers(name, wanted));
  if (overlap_ > milliseconds{0}) worker_ = std::thread{[this] { work(); }};
}

previous_keys::~previous_keys() {
  {
    const std::lock_guard lock{guard_};
    ending_ = true;
  }
  wake_.notify_one();
  if (worker_.joinable()) worker_.join();
}

std::shared_ptr<const previous_key> previous_keys::derive(const entity_id& device, epoch which,
                                                          const secret32& eukey, epoch successor) const {
  const offered_key k{which, eukey, "previous"};
  auto out = std::make_shared<previous_key>(previous_key{which, successor, {}});
  for (const auto& p : purposes_) {
    if (!p.covers(device)) continue;
    const crypto::application_name name{p.name, device, which};
    out->all.push_back({p.name, identity_of(suite_, p, device, k),
                        crypto::derive_application_fingerprint(suite_, eukey, name, p.bytes),
                        crypto::derive_application_key(suite_, eukey, name, p.bytes)});
  }
  return out;
}

void previous_keys::erase(place at) {
  const auto entry = of_.find(at->device);
  std::erase(entry->second, at);
  if (entry->second.empty()) of_.erase(entry);
  derived_ -= at->key->all.size();
  by_end_.erase(at);
}

void previous_keys::keep(const entity_id& device, epoch which, const secret32& eukey, epoch successor) {
  if (overlap_ == milliseconds{0}) return;
  auto key = derive(device, which, eukey, successor);
  if (key->all.empty()) return;
  std::vector<entity_id> lost;
  bool is_first = false;
  {
    const std::lock_guard lock{guard_};
    is_first = by_end_.empty();
    if (const auto entry = of_.find(device); entry != of_.end()) {
      const auto places = entry->second;
      for (const auto& at : places)
        if (at->key->which == which) erase(at);
    }
    derived_ += key->all.size();
    by_end_.push_back({device, clock_() + overlap_, std::move(key)});
    auto& places = of_[device];
    places.push_back(std::prev(by_end_.end()));
    if (places.size() > most_.per_device) erase(places.front());
    for (; derived_ > most_.derived; erase(by_end_.begin())) lost.push_back(by_end_.front().device);
  }
  if (is_first) wake_.notify_one();
  for (const auto& other : lost) changes_.changed(other);
}

void previous_keys::forget(const entity_id& device) {
  const std::lock_guard lock{guard_};
  const auto entry = of_.find(device);
  if (entry == of_.end()) return;
  for (const auto& at : entry->second) {
    derived_ -= at->key->all.size();
    by_end_.erase(at);
  }
  of_.erase(entry);
}

void previous_keys::end_due() {
  std::vector<entity_id> ended;
  {
    const std::lock_guard lock{guard_};
    const auto now = clock_();
    for (; !by_end_.empty() && by_end_.front().ends <= now; erase(by_end_.begin()))
      ended.push_back(by_end_.front().device);
  }
  for (const auto& device : ended) changes_.changed(device);
}

void previous_keys::work() {
  for (;;) {
    {
      std::unique_lock lock{guard_};
      wake_.wait(lock, [this] { return ending_ || !by_end_.empty(); });
      const auto first = [this] {
        return by_end_.empty() ? milliseconds{0} : by_end_.front().ends - clock_();
      };
      for (auto wait = first(); !ending_ && wait > milliseconds{0}; wait = first())
        wake_.wait_for(lock, wait);
      if (ending_) return;
    }
    end_due();
  }
}

std::vector<std::shared_ptr<const previous_key>> previous_keys::before(const entity_id& device,
                                                                       epoch current) const {
  std::vector<std::shared_ptr<const previous_key>> out;
  const std::lock_guard lock{guard_};
  const auto entry = of_.find(device);
  if (entry == of_.end()) return out;
  for (auto at = entry->second.rbegin(); at != entry->second.rend(); ++at) {
    const auto& key = (*at)->key;
    if (key->successor != (out.empty() ? current : out.back()->which)) continue;
    out.push_back(key);
  }
  std::reverse(out.begin(), out.end());
  return out;
}

/// The records are read first: a key is kept before its successor can be read, so between the two it is not missed.
offered_device offer_with_previous::with_previous(offered_device d) const {
  const auto current =
      std::find_if(d.keys.begin(), d.keys.end(), [](const offered_key& k) { return k.state == "current"; });
  if (current == d.keys.end()) return d;
  std::vector<offered_key> before;
  for (auto& key : kept_.before(d.entity, current->which)) {
    const auto which = key->which;
    if (d.sessions_from && which < *d.sessions_from) continue;
    before.push_back({.which = which, .eukey = {}, .state = "previous", .previous = std::move(key)});
  }
  d.keys.insert(d.keys.begin(), std::make_move_iterator(before.begin()),
                std::make_move_iterator(before.end()));
  return d;
}

result<std::optional<offered_device>> offer_with_previous::find(const entity_id& entity) const {
  CPNS_TRY(auto found, of_records_->find(entity));
  if (!found) return found;
  return std::optional{with_previous(std::move(*found))};
}

result<offered_keys::page> offer_with_previous::read_page(const std::string& after,
                                                          const visitor& each) const {
  return of_records_->read_page(after, [&](offered_device d) { each(with_previous(std::move(d))); });
}

}  // namespace cpns::actors
