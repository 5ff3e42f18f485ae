#include "actors/application_keys/pne_offer.hpp"

#include <algorithm>
#include <charconv>
#include <utility>

namespace cpns::actors {
namespace {

constexpr std::size_t places_per_page = 128;

}  // namespace

pne_offer::pne_offer(std::vector<place> devices, const slot_store* rows)
    : devices_(std::move(devices)), rows_(rows) {
  std::sort(devices_.begin(), devices_.end(),
            [](const place& a, const place& b) { return a.entity < b.entity; });
}

result<protocol::pne_record> pne_offer::read(const place& p) const {
  if (p.unreadable) return fail(errc::store_damaged, p.entity.text() + ": its key file cannot be read");
  if (p.file) {
    CPNS_TRY(auto record, read_key_file(*p.file));
    return std::move(record).value_or(protocol::pne_record{});
  }
  CPNS_TRY(auto slots, rows_->load(p.entity));
  return std::move(slots.record).value_or(protocol::pne_record{});
}

result<std::optional<offered_device>> pne_offer::find(const entity_id& entity) const {
  const auto at = std::lower_bound(devices_.begin(), devices_.end(), entity,
                                   [](const place& p, const entity_id& e) { return p.entity < e; });
  if (at == devices_.end() || at->entity != entity) return std::optional<offered_device>{};
  CPNS_TRY(const auto record, read(*at));
  return std::optional{offer_of(entity, record)};
}

result<offered_keys::page> pne_offer::read_page(const std::string& after, const visitor& each) const {
  std::size_t from = 0;
  std::from_chars(after.data(), after.data() + after.size(), from);
  page out;
  const auto end = std::min(from + places_per_page, devices_.size());
  std::vector<entity_id> of_rows;
  for (auto i = from; i < end; ++i) {
    const auto& p = devices_[i];
    if (!p.file && !p.unreadable) {
      of_rows.push_back(p.entity);
      continue;
    }
    const auto record = read(p);
    if (record)
      each(offer_of(p.entity, *record));
    else
      ++out.unreadable;
  }
  if (!of_rows.empty()) {
    const auto slots = rows_->load(of_rows);
    for (std::size_t i = 0; i < of_rows.size(); ++i) {
      if (slots[i])
        each(offer_of(of_rows[i], slots[i]->record.value_or(protocol::pne_record{})));
      else
        ++out.unreadable;
    }
  }
  if (end < devices_.size()) out.next = std::to_string(end);
  return out;
}

}  // namespace cpns::actors
