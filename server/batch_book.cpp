#include "server/batch_book.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "base/log.hpp"
#include "base/text.hpp"
#include "crypto/key_schedule.hpp"
#include "server/shared_changes.hpp"

namespace cpns::server {
namespace {

using storage::sealed_op;
using storage::table;

bytes batch_row(const std::string& batch) { return to_bytes(as_bytes(batch)); }

/// The value of the last key that is not after `key`; nullptr if there is none.
template <class Map, class Key>
shared_batch last_not_after(const Map& in, const Key& key) {
  auto at = in.upper_bound(key);
  if (at == in.begin()) return nullptr;
  return std::prev(at)->second;
}

}  // namespace

tl::unexpected<error> unknown_batch(const std::string& batch) {
  return fail(errc::state_unknown, "the batch " + batch);
}

void batch_book::index::put(const shared_batch& batch) {
  names[batch->batch] = batch;
  for (const auto& r : batch->ids) {
    if (r.is_prefix())
      prefixes[r.first()] = batch;
    else
      ranges[{r.first().size(), r.first()}] = batch;
  }
}

void batch_book::index::erase(const std::string& batch) {
  const auto at = names.find(batch);
  if (at == names.end()) return;
  for (const auto& r : at->second->ids) {
    if (r.is_prefix())
      prefixes.erase(r.first());
    else
      ranges.erase({r.first().size(), r.first()});
  }
  names.erase(at);
}

status batch_book::load() {
  std::uint64_t before = 0;
  {
    const std::lock_guard lock{guard_};
    before = changes_;
  }
  // Changes that come while the rows are read may be missing, and have a later version.
  CPNS_TRY(const auto seen, changes_seen(store_, changes_of::batches));
  index found;
  std::size_t damaged = 0;
  const auto unreadable = [&damaged](const error& e) {
    ++damaged;
    log::error("server", "row-unreadable", e.message(), {{"table", std::string{name_of(table::batches)}}});
  };
  CPNS_CHECK(store_.scan(
      table::batches, {},
      [&](byte_view, const secret_bytes& value) {
        auto r = protocol::decode_batch_record(value.expose());
        if (r)
          found.put(std::make_shared<const protocol::batch_record>(std::move(*r)));
        else
          unreadable(r.error());
        return found.names.size() <= batches_max;
      },
      unreadable));
  if (found.names.size() > batches_max)
    return fail(errc::state_exhausted,
                "the store has more than " + std::to_string(batches_max) + " batches of devices");
  const std::lock_guard lock{guard_};
  // The reader may have seen the rows of these changes or not.
  if (changes_ != before) return fail(errc::state_conflict, "batches changed while they were read again");
  index_ = std::move(found);
  unreadable_ = damaged;
  seen_ = seen;
  return {};
}

bool batch_book::behind(std::uint64_t version) const { return seen() != version; }

std::uint64_t batch_book::seen() const {
  const std::lock_guard lock{guard_};
  return seen_;
}

status batch_book::catch_up() {
  CPNS_TRY(const auto now, changes_seen(store_, changes_of::batches));
  return behind(now) ? reload() : status{};
}

shared_batch batch_book::of(const entity_id& entity) const {
  const std::lock_guard lock{guard_};
  if (auto b = last_not_after(index_.prefixes, entity.text()); b && b->contains(entity)) return b;
  auto b = last_not_after(index_.ranges, std::pair{entity.text().size(), entity.text()});
  return b && b->contains(entity) ? b : nullptr;
}

shared_batch batch_book::named(std::string_view batch) const {
  const std::lock_guard lock{guard_};
  const auto at = index_.names.find(batch);
  return at == index_.names.end() ? nullptr : at->second;
}

std::vector<shared_batch> batch_book::list(std::string_view prefix, std::string_view after,
                                           std::size_t limit) const {
  std::vector<shared_batch> out;
  const std::lock_guard lock{guard_};
  auto at = after >= prefix ? index_.names.upper_bound(after) : index_.names.lower_bound(prefix);
  for (; at != index_.names.end() && out.size() < limit && at->first.starts_with(prefix); ++at)
    out.push_back(at->second);
  return out;
}

std::size_t batch_book::size() const {
  const std::lock_guard lock{guard_};
  return index_.names.size();
}

std::size_t batch_book::unreadable() const {
  const std::lock_guard lock{guard_};
  return unreadable_;
}

status batch_book::accepts(const protocol::batch_record& batch) const {
  if (named(batch.batch))
    return fail(errc::state_exists, "the batch " + batch.batch + "; choose another name");
  // A copy, because requests need the book meanwhile.
  const auto all = list({}, {}, batches_max);
  if (all.size() >= batches_max)
    return fail(errc::state_conflict, "the server has " + std::to_string(batches_max) + " batches already");
  for (const auto& other : all)
    for (const auto& theirs : other->ids)
      for (const auto& ours : batch.ids)
        if (ours.overlaps(theirs))
          return fail(errc::state_conflict,
                      "'" + ours.text() + "' overlaps '" + theirs.text() + "' of the batch " + other->batch);
  return {};
}

void batch_book::put(const shared_batch& batch) {
  const std::lock_guard lock{guard_};
  ++changes_;
  index_.put(batch);
}

void batch_book::erase(const std::string& batch) {
  const std::lock_guard lock{guard_};
  ++changes_;
  index_.erase(batch);
}

result<protocol::batch_record> make_batch(entropy& random, const std::string& batch,
                                          const std::vector<std::string>& ids, time_point now) {
  if (!protocol::is_batch_id(batch))
    return fail(errc::config_range, "the name of a batch has 1 to 64 letters, digits, '.', '_' and '-', and "
                                    "begins with a letter or a digit");
  protocol::batch_record r;
  CPNS_TRY(r.ids, protocol::parse_ranges(ids));
  r.batch = batch;
  r.master_key = random.draw_secret<32>();
  r.created = unix_seconds(now);
  return r;
}

status add_batch(const storage::sealed_store& store, batch_book& book, const durable_write& write,
                 const protocol::batch_record& batch) {
  return until_not_lost([&]() -> status {
    CPNS_CHECK(book.catch_up());
    const auto seen = book.seen();
    CPNS_CHECK(book.accepts(batch));
    // A row that cannot be read is not in the book; its key must not be overwritten.
    CPNS_TRY(const auto row, store.read_one(table::batches, batch_row(batch.batch)));
    if (row.value) return fail(errc::state_exists, "the batch " + batch.batch + "; choose another name");
    storage::sealed_batch change{
        {table::batches, batch_row(batch.batch), protocol::encode(batch), row.version}};
    tell_change(store, change, changes_of::batches, seen);
    return write(std::move(change));
  });
}

status remove_batch(const storage::sealed_store& store, batch_book& book, const durable_write& write,
                    const std::string& batch) {
  return until_not_lost([&]() -> status {
    CPNS_CHECK(book.catch_up());
    const auto seen = book.seen();
    if (!book.named(batch)) return unknown_batch(batch);
    CPNS_TRY(const auto row, store.read_one(table::batches, batch_row(batch)));
    storage::sealed_batch change{{table::batches, batch_row(batch), std::nullopt, row.version}};
    tell_change(store, change, changes_of::batches, seen);
    return write(std::move(change));
  });
}

protocol::device_secret_record device_of(const crypto::suite& s, const protocol::batch_record& batch,
                                         const entity_id& entity) {
  const auto key = crypto::derive_batch_temporary_key(s, batch.master_key, batch.batch, entity);
  protocol::device_secret_record out;
  out.entity = entity;
  out.temporary_key = crypto::derive_temporary_key(s, entity, key.expose());
  out.always_require_presence = true;
  out.batch = batch.batch;
  return out;
}

result<protocol::entity_series> devices_between(const protocol::batch_record& batch, const std::string& from,
                                                const std::string& to, std::uint64_t most) {
  CPNS_TRY(const auto first, entity_id::parse(from));
  CPNS_TRY(const auto last, entity_id::parse(to));
  CPNS_TRY(auto out, protocol::entity_series::between(first, last, most));
  const auto has_both = [&](const auto& r) { return r.contains(first) && r.contains(last); };
  if (std::none_of(batch.ids.begin(), batch.ids.end(), has_both))
    return fail(errc::config_range,
                "'" + from + ".." + to + "' is not within one range of the batch " + batch.batch);
  return out;
}

secret_bytes batch_list(const crypto::suite& s, const protocol::batch_record& batch,
                        protocol::entity_series devices) {
  constexpr std::size_t longest = entity_id::max_size + 48;
  bytes out;
  out.reserve(devices.size() * longest);  // no copy of a key stays behind in memory that was outgrown
  const auto append = [&out](std::string_view text) { out.insert(out.end(), text.begin(), text.end()); };
  do {
    const auto& entity = devices.current();
    const auto key = crypto::derive_batch_temporary_key(s, batch.master_key, batch.batch, entity);
    auto digits = to_hex(key.expose());
    append(entity.text());
    append(",hex:");
    append(digits);
    append(",128bit\n");
    wipe(digits);
  } while (devices.advance());
  return secret_bytes{std::move(out)};
}

boost::json::object view_of(const protocol::batch_record& r) {
  boost::json::array ids;
  for (const auto& id : r.ids) ids.emplace_back(id.text());
  return {{"batch", r.batch},
          {"entities", std::move(ids)},
          {"created", rfc3339_text(time_point(seconds(r.created)))}};
}

boost::json::object batches_page(const batch_book& book, const page_asked& asked, std::string_view prefix) {
  const auto found = book.list(prefix, asked.after, asked.limit + 1);
  const bool more = found.size() > asked.limit;
  boost::json::array rows;
  for (const auto& b : found)
    if (rows.size() < asked.limit) rows.emplace_back(view_of(*b));
  boost::json::object out{{"batches", std::move(rows)}, {"next", nullptr}, {"unreadable", book.unreadable()}};
  if (more) out["next"] = found[asked.limit - 1]->batch;
  return out;
}

}  // namespace cpns::server
