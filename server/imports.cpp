#include "server/imports.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"

namespace cpns::server {
namespace {

using protocol::import_record;
using protocol::import_state;

tl::unexpected<error> unknown(const std::string& name) {
  return fail(errc::state_unknown, "the import " + name);
}
tl::unexpected<error> conflict(const std::string& name, const std::string& why) {
  return fail(errc::state_conflict, "the import " + name + " " + why);
}

/// A part of a list, with Temporary Keys in it.
struct wiped_buffer {
  bytes part = bytes(64U << 10);
  wiped_buffer() = default;
  wiped_buffer(const wiped_buffer&) = delete;
  wiped_buffer& operator=(const wiped_buffer&) = delete;
  ~wiped_buffer() { wipe(part); }
};

import_record make_record(const std::string& name, const import_options& o, std::int64_t now) {
  import_record r;
  r.name = name;
  r.batch = o.batch;
  r.partial = o.partial;
  r.replace = o.replace;
  r.require_presence = o.require_presence;
  r.allow_constant = o.allow_constant;
  r.allow_repeats = o.allow_repeats;
  r.created = r.changed = now;
  return r;
}

}  // namespace

bool is_import_name(const std::string& text) {
  // A client resolves "." and ".." in a path before it sends them.
  return !text.empty() && text.size() <= protocol::import_name_max && text != "." && text != ".." &&
         std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                  c == '_' || c == '-';
         });
}

bool import_view::ended() const {
  return !working && (record.state == import_state::done || record.state == import_state::refused);
}
std::string_view import_view::state() const {
  if (!working) return name_of(record.state);
  // The end shows when it is recorded, and the import can be forgotten.
  return record.state == import_state::receiving || record.state == import_state::refused ? "checking"
                                                                                          : "importing";
}

device_imports::device_imports(storage::sealed_store& store, const crypto::suite& s, entropy& random,
                               import_parts p)
    : lease_(store, p.write ? p.write : write_to(store), random, std::move(p.server), p.lease),
      lease_tick_(p.lease.renew / 5),
      store_(store, [this](storage::sealed_batch batch) { return lease_.write(std::move(batch)); }),
      suite_(s), random_(random), now_(std::move(p.now)), tick_(p.tick), devices_(std::move(p.devices)) {}

result<std::unique_ptr<device_imports>> device_imports::open(storage::sealed_store& store,
                                                             const crypto::suite& s, entropy& random,
                                                             import_parts parts) {
  std::unique_ptr<device_imports> out{new device_imports{store, s, random, std::move(parts)}};
  CPNS_CHECK(out->load());
  out->thread_ = std::thread{[raw = out.get()] { raw->run(); }};
  if (store.shared()) out->lease_thread_ = std::thread{[raw = out.get()] { raw->follow_lease(); }};
  return out;
}

device_imports::~device_imports() { stop(); }

void device_imports::stop() {
  {
    const std::lock_guard lock{guard_};
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (lease_thread_.joinable()) lease_thread_.join();
  lease_.release();
}

void device_imports::record_in(api::change_log* log) {
  const std::lock_guard lock{guard_};
  log_ = log;
}

api::change_log* device_imports::recorded_in() const {
  const std::lock_guard lock{guard_};
  return log_;
}

/// Reads the imports of the store; entries that are in use stay as they are. With the lease, those that were decided go on.
status device_imports::load() {
  const bool working = lease_.held();
  CPNS_TRY(auto names, store_.names());
  std::map<std::string, entry_ptr> found;
  for (const auto& name : names) {
    auto record = store_.find(name);
    if (!record) return fail(std::move(record).error());
    if (!*record) {
      if (working) return fail(errc::state_unknown, "the import " + name);
      continue;  // another server forgot it meanwhile
    }
    auto e = std::make_shared<entry>();
    e->view.record = std::move(**record);
    e->view.record.rest.clear();
    found.emplace(name, std::move(e));
  }
  const std::lock_guard lock{guard_};
  for (const auto& [name, e] : all_)
    if (e->by != use::free) found[name] = e;
  std::erase_if(names, [&](const auto& name) { return !found.contains(name); });
  all_ = std::move(found);
  order_ = std::move(names);
  if (!working) return {};
  for (const auto& [name, e] : all_) {
    if (e->view.record.state != import_state::importing || e->by != use::free) continue;
    e->by = use::working;
    e->view.working = true;
    jobs_.push_back(e);
    log::info("server", "import-resumed", "the import goes on that the former process had begun",
              {{"import", name}, {"imported", std::to_string(e->view.record.imported)}});
  }
  changed_.notify_all();
  return {};
}

result<import_view> device_imports::create(std::string name, const import_options& options) {
  const std::lock_guard one{changing_};
  CPNS_CHECK(own());
  if (name.empty()) name = to_hex(random_.draw<6>());
  if (!is_import_name(name))
    return fail(errc::config_usage, "the name of an import has 1 to " +
                                        std::to_string(protocol::import_name_max) +
                                        " letters, digits, '.', '_' and '-', and is neither '.' nor '..'");
  if (has_controls(options.batch))
    return fail(errc::config_range, "the name of a batch must not have control characters");
  CPNS_CHECK(forget_old());
  {
    const std::lock_guard lock{guard_};
    if (all_.contains(name)) return fail(errc::state_exists, "the import " + name);
    const auto open =
        std::count_if(all_.begin(), all_.end(), [](const auto& x) { return !x.second->view.ended(); });
    if (static_cast<std::size_t>(open) >= imports_open_max)
      return fail(errc::state_exhausted,
                  std::to_string(open) +
                      " imports have not ended, the most that can be: finish one, or delete it");
  }
  auto e = std::make_shared<entry>();
  e->view.record = make_record(name, options, unix_seconds(now_()));
  CPNS_CHECK(store_.write({import_store::put(names_with(name, {})), import_store::put(e->view.record)}));
  const std::lock_guard lock{guard_};
  all_.emplace(name, e);
  order_.push_back(name);
  return e->view;
}

std::vector<std::string> device_imports::names_with(const std::string& added,
                                                    const std::string& removed) const {
  const std::lock_guard lock{guard_};
  auto out = order_;
  std::erase(out, removed);
  if (!added.empty()) out.push_back(added);
  return out;
}

/// Call it with changing_ held.
status device_imports::forget_old() {
  std::vector<std::string> old;
  {
    const std::lock_guard lock{guard_};
    const auto limit = unix_seconds(now_()) - import_idle_max.count();
    auto kept = order_.size();
    for (const auto& name : order_) {
      auto& e = *all_.at(name);
      const bool idle = e.view.record.state == import_state::receiving && e.view.record.changed < limit;
      const bool ended = e.view.ended() && kept >= imports_kept_max;
      if (e.by != use::free || !(idle || ended)) continue;
      e.by = use::working;
      --kept;
      old.push_back(name);
    }
  }
  status out;
  for (const auto& name : old)
    if (const auto done = erase(name); !done) out = done;
  return out;
}

/// On the thread.
void device_imports::forget_old_now() {
  if (!lease_.held()) return;
  const std::lock_guard one{changing_};
  const auto done = forget_old();
  if (!done && not_forgotten_.due(now_anchored(), done.error().message()))
    log::warn("server", "import-not-forgotten",
              "an import that has been idle for a week cannot be cancelled: " + done.error().message());
}

/// The caller has claimed the entry, and holds changing_.
status device_imports::erase(const std::string& name) {
  auto done = [&]() -> status {
    // After a failed write more may be in the store than the entry shows.
    CPNS_TRY(const auto record, store_.find(name));
    storage::sealed_batch batch{import_store::put(names_with({}, name))};
    if (record) import_store::erase(batch, *record);
    return store_.write(batch);
  }();
  const std::lock_guard lock{guard_};
  if (!done) {
    all_.at(name)->by = use::free;
    all_.at(name)->intake.reset();
    return done;
  }
  all_.erase(name);
  std::erase(order_, name);
  changed_.notify_all();
  return {};
}

result<import_view> device_imports::find(const std::string& name) const {
  const std::lock_guard lock{guard_};
  const auto it = all_.find(name);
  if (it == all_.end()) return unknown(name);
  return it->second->view;
}

std::vector<import_view> device_imports::list(const std::string& after, std::size_t limit,
                                              const std::string& state) const {
  const std::lock_guard lock{guard_};
  std::vector<import_view> out;
  for (auto it = all_.upper_bound(after); it != all_.end() && out.size() < limit; ++it)
    if (state.empty() || it->second->view.state() == state) out.push_back(it->second->view);
  return out;
}

result<protocol::import_results> device_imports::results(const std::string& name, std::uint64_t from,
                                                         std::size_t limit) const {
  CPNS_TRY(const auto view, find(name));
  return store_.results(view.record, from, limit);
}

result<device_imports::entry_ptr> device_imports::claim(const std::string& name, use by) {
  const std::lock_guard lock{guard_};
  const auto it = all_.find(name);
  if (it == all_.end()) return unknown(name);
  auto& e = *it->second;
  if (stopping_) return fail(errc::state_stopping, "the server is about to end");
  if (e.by == use::receiving) return conflict(name, "takes bytes of another request at present");
  if (e.by == use::working) return conflict(name, "is at work; wait until it has ended");
  if (by == use::receiving && e.view.record.state != import_state::receiving)
    return conflict(name,
                    "is " + std::string{name_of(e.view.record.state)} + ", and takes no bytes any more");
  e.by = by;
  return it->second;
}

void device_imports::give_back(entry& e) {
  {
    const std::lock_guard lock{guard_};
    e.by = use::free;
  }
  changed_.notify_all();
}

void device_imports::show(entry& e, const import_record& r) {
  {
    const std::lock_guard lock{guard_};
    e.view.record = r;
    e.view.record.rest.clear();
  }
  changed_.notify_all();
}

status device_imports::forget(const std::string& name) {
  const std::lock_guard one{changing_};
  CPNS_CHECK(own());
  CPNS_TRY(const auto e, claim(name, use::working));
  if (e->view.record.state == import_state::importing) {
    give_back(*e);
    return conflict(name, "is importing, which was decided and cannot be taken back");
  }
  return erase(name);
}

result<import_view> device_imports::wait(const std::string& name) const {
  std::unique_lock lock{guard_};
  const auto it = all_.find(name);
  if (it == all_.end()) return unknown(name);
  const auto e = it->second;
  changed_.wait(lock, [&] { return stopping_ || !e->view.working; });
  if (e->view.working) return fail(errc::state_stopping, "the server is about to end");
  return e->view;
}

result<import_view> device_imports::receive(const std::string& name, std::uint64_t offset,
                                            const byte_source& from) {
  CPNS_CHECK(own());
  CPNS_TRY(const auto e, claim(name, use::receiving));
  const auto done = receive_into(*e, offset, from);
  give_back(*e);
  CPNS_CHECK(done);
  return find(name);
}

/// After an error of the store the intake is read from the store again, once that accepts writes. A write that failed may
/// be there nevertheless: state_conflict if it decided the import.
status device_imports::ready_intake(entry& e) {
  if (e.intake) return {};
  if (const auto health = store_.health(); !health.writable)
    return fail(errc::store_unavailable, "the store accepts no writes: " + health.why);
  CPNS_TRY(auto record, store_.load(e.view.record.name));
  if (record.state != import_state::receiving) {
    show(e, record);
    return conflict(record.name,
                    "is " + std::string{name_of(record.state)} + ", and takes no bytes any more");
  }
  CPNS_TRY(e.intake, import_intake::resume(store_, std::move(record), now_));
  return {};
}

status device_imports::receive_into(entry& e, std::uint64_t offset, const byte_source& from) {
  CPNS_CHECK(ready_intake(e));
  const auto& name = e.view.record.name;
  if (offset > e.intake->bytes())
    return conflict(name, "has " + std::to_string(e.intake->bytes()) + " bytes; send it those from there on");
  auto known = e.intake->bytes() - offset;
  wiped_buffer buffer;
  status broken;
  while (!stopping_) {
    const auto n = from(buffer.part);
    if (!n) broken = fail(n.error());
    if (!n || *n == 0) break;
    const auto skip = std::min<std::uint64_t>(known, *n);
    known -= skip;
    CPNS_CHECK(
        judged(e, e.intake->take(byte_view{buffer.part}.first(*n).subspan(static_cast<std::size_t>(skip)))));
    show(e, e.intake->record());
  }
  CPNS_CHECK(judged(e, e.intake->flush()));
  show(e, e.intake->record());
  if (stopping_) return fail(errc::state_stopping, "the server is about to end");
  return broken;
}

/// An error of the list refuses it; after one of the store nothing in memory counts.
status device_imports::judged(entry& e, const status& done) {
  if (done) return {};
  if (e.intake->fault()) return refuse_list(e, done.error());
  e.intake.reset();
  return done;
}

status device_imports::refuse_list(entry& e, const error& why) {
  auto r = e.intake->record();
  r.fault_code = api::problem{why}.code;
  r.fault_text = why.detail;
  r.fault_line = *e.intake->fault();
  storage::sealed_batch batch;
  refuse_import(batch, r, now_());
  e.intake.reset();
  CPNS_CHECK(store_.write(batch));
  show(e, r);
  return fail(why.code,
              (r.fault_line == 0 ? "" : "line " + std::to_string(r.fault_line) + ": ") + why.detail);
}

result<import_view> device_imports::finish(const std::string& name, const api::change& who,
                                           std::optional<std::uint64_t> bytes) {
  CPNS_CHECK(own());
  const std::lock_guard lock{guard_};
  const auto it = all_.find(name);
  if (it == all_.end()) return unknown(name);
  auto& e = *it->second;
  if (stopping_) return fail(errc::state_stopping, "the server is about to end");
  if (e.by == use::working || e.view.ended()) return e.view;
  if (e.by == use::receiving) return conflict(name, "takes bytes of another request at present");
  if (bytes && *bytes != e.view.record.bytes)
    return conflict(name,
                    "has " + std::to_string(e.view.record.bytes) + " bytes, not " + std::to_string(*bytes));
  e.by = use::working;
  e.who = who;
  e.view.working = true;
  e.view.checked = 0;
  e.view.problem.reset();
  jobs_.push_back(it->second);
  changed_.notify_all();
  return e.view;
}

}  // namespace cpns::server
