#include "server/import_run.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "server/device_rows.hpp"
#include "server/index_rows.hpp"

namespace cpns::server {
namespace {

using protocol::import_record;
using protocol::import_result;
using protocol::import_results;
using steady = std::chrono::steady_clock;

constexpr std::size_t write_rows_max = 200;
constexpr milliseconds write_every = seconds{1};  ///< for keys that are stretched, which takes long
constexpr milliseconds pause_max{50};
constexpr std::uint64_t report_every = 4096;

tl::unexpected<error> stopping() { return fail(errc::state_stopping, "the server is about to end"); }

/// Both are by line.
import_results merged(const import_results& a, const import_results& b) {
  import_results out;
  out.reserve(a.size() + b.size());
  std::merge(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(out),
             [](const import_result& x, const import_result& y) { return x.line < y.line; });
  if (out.size() > results_kept_max) out.resize(results_kept_max);
  return out;
}

protocol::device_secret_record device_of(const crypto::suite& s, const import_record& r,
                                         const protocol::staged_device& d) {
  protocol::device_secret_record out;
  out.entity = d.entity;
  out.temporary_key = kept_key(s, d.entity, d.temporary_key.expose(), d.stretch);
  out.stretched = d.stretch;
  out.require_presence = r.require_presence;
  out.owner = d.owner;
  out.batch = r.batch;
  return out;
}

}  // namespace

struct import_run::findings {
  std::uint64_t good = 0, bad = 0, warnings = 0;
  import_results refused, remarks;
  std::map<user_id, bool> users;  ///< owners: whether the user exists

  void refuse(const protocol::staged_device& d, std::string why) {
    ++bad;
    if (refused.size() < results_kept_max)
      refused.push_back({d.line, d.entity.text(), std::move(why), false});
  }
  void warn(const protocol::staged_device& d) {
    ++warnings;
    if (remarks.size() >= results_kept_max) return;
    remarks.push_back(
        {d.line, d.entity.text(),
         "warning: the owner " + d.owner->text() +
             " is not a user of this server; until `cpns user add` adds it, no gateway gets keys "
             "for the device",
         true});
  }
};

result<bool> import_run::exists(const import_record& r, const entity_id& entity) const {
  if (r.replace) return false;
  return with_.store.has_device(entity);
}

status import_run::check_row(const checked_import& in, const protocol::staged_device& d, findings& to) {
  CPNS_TRY(const bool there, exists(in.record, d.entity));
  if (auto why = in.verdicts.why_refused(d, there); !why.empty()) {
    to.refuse(d, std::move(why));
    return {};
  }
  ++to.good;
  if (!d.owner) return {};
  auto it = to.users.find(*d.owner);
  if (it == to.users.end()) {
    CPNS_TRY(const bool known, with_.store.has_user(*d.owner));
    if (to.users.size() >= results_kept_max) to.users.clear();
    it = to.users.emplace(*d.owner, known).first;
  }
  if (!it->second) to.warn(d);
  return {};
}

result<import_verdicts> import_run::verdicts(const import_record& r) {
  return import_verdicts::make(with_.store, r, with_.suite, with_.random, with_.stop);
}

result<checked_import> import_run::check(const import_record& r) {
  CPNS_TRY(auto judge, verdicts(r));
  checked_import out{r, {}, std::move(judge), 0, 0};
  out.rows = r.good - out.verdicts.listed_twice();
  out.bad_rows = r.bad + out.verdicts.listed_twice();
  findings found;
  std::uint64_t rows = 0;
  for (std::uint64_t n = 0; n < r.blocks; ++n) {
    CPNS_TRY(const auto block, with_.store.block(r.name, n));
    for (const auto& d : block) {
      if (with_.stop) return stopping();
      CPNS_CHECK(check_row(out, d, found));
      if (++rows % report_every == 0) with_.checked(rows);
    }
  }
  with_.checked(rows);
  CPNS_TRY(const auto unreadable, with_.store.results(r, 0, results_kept_max));
  out.results = merged(unreadable, found.refused);
  auto& next = out.record;
  next.good = found.good;
  next.bad = r.bad + found.bad;
  next.sha256 = out.verdicts.sha256();
  if (next.bad == 0 || r.partial) {
    next.warnings = found.warnings;
    out.results.insert(out.results.end(), found.remarks.begin(), found.remarks.end());
  }
  next.results_kept = out.results.size();
  return out;
}

/// Rows of one write.
struct import_run::part {
  std::vector<protocol::device_secret_record> devices;  ///< with their keys
  import_record then;                                   ///< the place after them
};

/// Keys may be stretched, which takes long: that is done before the turn, so that an administrator does not wait for it.
result<import_run::part> import_run::prepare(const import_record& r, const import_verdicts& verdicts,
                                             const protocol::staged_block& from) const {
  const auto begin = steady::now();
  part out{{}, r};
  auto& place = out.then.next_row;
  out.devices.reserve(write_rows_max);
  while (place < from.size() && out.devices.size() < write_rows_max && steady::now() - begin < write_every) {
    if (with_.stop) return stopping();
    const auto& d = from[place++];
    if (!verdicts.why_refused(d, false).empty()) continue;
    if (d.stretch) {
      CPNS_TRY(const bool there, exists(r, d.entity));
      if (there) continue;
    }
    out.devices.push_back(device_of(with_.suite, r, d));
  }
  if (place >= from.size()) {
    ++out.then.next_block;
    place = 0;
  }
  return out;
}

/// In a turn of its own: a device may have been added since the check.
status import_run::write_part(part& p) const {
  const auto turn = with_.devices.next(with_.stop);
  if (!turn) return stopping();
  CPNS_CHECK(with_.store.accepts_writes());
  // An administrator of another server may add one between the read and the write.
  return until_not_lost([&]() -> status {
    auto now = with_.store.rows_of(p.devices);
    auto then = p.then;
    storage::sealed_batch batch;
    batch.reserve(3 * p.devices.size() + 1);
    for (std::size_t i = 0; i < now.size(); ++i) {
      CPNS_TRY(const auto row, std::move(now[i]));
      if (row.value && !then.replace) continue;
      batch.push_back(import_store::put(p.devices[i], row.version));
      add_index_rows(batch, p.devices[i]);
      ++then.imported;
    }
    batch.push_back(import_store::put(then));
    CPNS_CHECK(with_.store.write(batch));
    p.then = std::move(then);
    return {};
  });
}

status import_run::write_some(import_record& r, const import_verdicts& verdicts,
                              const protocol::staged_block& from) {
  const auto begin = steady::now();
  CPNS_TRY(auto next, prepare(r, verdicts, from));
  CPNS_CHECK(write_part(next));
  r = std::move(next.then);
  with_.written(r);
  const auto took = std::chrono::duration_cast<milliseconds>(steady::now() - begin);
  with_.pause(std::min(took, pause_max));
  return {};
}

status import_run::apply(import_record& r, const import_verdicts& verdicts) {
  while (r.next_block < r.blocks) {
    const auto n = r.next_block;
    CPNS_TRY(const auto block, with_.store.block(r.name, n));
    while (r.next_block == n) CPNS_CHECK(write_some(r, verdicts, block));
  }
  auto next = r;
  next.state = protocol::import_state::done;
  next.bad = r.good + r.bad - r.imported;
  next.good = r.imported;
  next.changed = unix_seconds(with_.now());
  storage::sealed_batch batch;
  import_store::erase_blocks(batch, r);
  next.blocks = next.next_block = next.next_row = 0;
  batch.push_back(import_store::put(next));
  CPNS_CHECK(with_.store.write(batch));
  r = std::move(next);
  with_.written(r);
  return {};
}

void refuse_import(storage::sealed_batch& batch, import_record& r, time_point now) {
  import_store::erase_blocks(batch, r);
  r.state = protocol::import_state::refused;
  r.blocks = 0;
  r.rest.clear();
  r.changed = unix_seconds(now);
  batch.push_back(import_store::put(r));
}

}  // namespace cpns::server
