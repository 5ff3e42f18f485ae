#include "storage/postgres/postgres_store.hpp"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/log.hpp"
#include "storage/postgres/hints.hpp"
#include "storage/postgres/writer.hpp"

namespace cpns::storage {

namespace postgres {

namespace {

constexpr milliseconds heal_interval{500};
constexpr std::size_t rows_per_page = 1000;

/// Errors after which other writes would fail, too.
bool stops_writes(const status& s) {
  return !s && (s.error() == errc::store_unavailable || s.error() == errc::store_full);
}

class postgres_store final : public store {
 public:
  postgres_store(postgres_settings s, node_folder node)
      : node_(std::move(node)), settings_(std::move(s)), sql_(make_statements(settings_.statements)),
        dialer_(settings_), readers_(dialer_, settings_.readers), writers_(dialer_, settings_.writers),
        hints_(settings_, dialer_), healer_([this] { heal_when_needed(); }) {}
  ~postgres_store() override;
  postgres_store(const postgres_store&) = delete;
  postgres_store& operator=(const postgres_store&) = delete;

  status check_tables();
  result<std::vector<std::optional<stored_value>>> read(std::span<const row_name> names) const override;
  std::vector<status> write(std::span<const write_batch> batches) override;
  status scan(table t, byte_view prefix, const row_visitor& visit) const override;
  result<std::vector<stored_row>> slice(table t, byte_view after, std::size_t limit) const override;
  [[nodiscard]] store_health health() const override;
  [[nodiscard]] bool shared() const override { return true; }
  [[nodiscard]] std::shared_ptr<void> listen(const std::function<void()>& heard) override {
    return hints_.listen(heard);
  }
  [[nodiscard]] std::optional<hint_statistics> hints() const override { return hints_.statistics(); }
  [[nodiscard]] std::optional<database_view> database() const override {
    return database_view{name_of(settings_.statements), hints_.state(), settings_.hosts.size(),
                         dialer_.in_use(), written_.last()};
  }
  [[nodiscard]] result<std::optional<time_point>> clock() const override;
  [[nodiscard]] result<bool> allows_this_program() override;
  [[nodiscard]] std::string node() const override { return node_.identity; }

 private:
  result<std::vector<stored_row>> page(table t, const bytes& first, const bytes& end,
                                       std::size_t limit) const;
  /// No read fails because of its values: writes would fail, too.
  tl::unexpected<error> not_read(const failure& why) const;
  /// `failures`: before the write.
  void note(const std::vector<status>& outcomes, std::uint64_t failures);
  void note_failure(const error& why) const;
  void note_success(std::uint64_t failures);
  void heal_when_needed();

  const node_folder node_;
  const postgres_settings settings_;
  const std::unique_ptr<statement_set> sql_;
  dialer dialer_;
  mutable connection_pool readers_;
  connection_pool writers_;
  postgres::hints hints_;
  write_times written_;
  mutable std::mutex mutex_;
  mutable std::condition_variable wake_;
  mutable store_health health_;
  mutable std::uint64_t failures_ = 0;
  bool stopping_ = false;
  std::thread healer_;
};

postgres_store::~postgres_store() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  healer_.join();
}

status postgres_store::check_tables() {
  const auto good = with_connection(writers_, settings_,
                                    [this](connection& on) { return check_schema(on, settings_.statement); });
  if (!good) return fail(good.error().code, good.error().detail);
  return {};
}

result<std::vector<std::optional<stored_value>>> postgres_store::read(std::span<const row_name> names) const {
  auto rows = with_connection(
      readers_, settings_, [&](connection& on) { return read_rows(on, *sql_, names, settings_.statement); });
  if (!rows) return not_read(rows.error());
  return std::move(*rows);
}

result<bool> postgres_store::allows_this_program() {
  auto refused = with_connection(readers_, settings_,
                                 [&](connection& on) { return refusal_by_schema(on, settings_.statement); });
  if (!refused) return not_read(refused.error());
  if (!*refused) return true;
  const std::lock_guard lock(mutex_);
  health_.why = (*refused)->detail;
  health_.writable = false;
  if (!std::exchange(health_.lost, true)) log::error("store", "schema-refused", (*refused)->message());
  return false;
}

std::vector<status> postgres_store::write(std::span<const write_batch> batches) {
  std::uint64_t failures = 0;
  {
    const std::lock_guard lock(mutex_);
    if (health_.lost) return {batches.size(), fail(errc::store_unavailable, health_.why)};
    failures = failures_;
  }
  const auto begun = std::chrono::steady_clock::now();
  auto outcomes = writer(writers_, *sql_, settings_).write(batches);
  // An empty batch asks whether the database accepts writes, and ends at once while no host is reached.
  if (std::any_of(batches.begin(), batches.end(), [](const auto& b) { return !b.empty(); }))
    written_.add(std::chrono::steady_clock::now() - begun);
  note(outcomes, failures);
  if (announces(batches, outcomes)) hints_.tell();
  return outcomes;
}

result<std::vector<stored_row>> postgres_store::page(table t, const bytes& first, const bytes& end,
                                                     std::size_t limit) const {
  auto rows = with_connection(readers_, settings_, [&](connection& on) {
    return read_page(on, *sql_, t, first, end, limit, settings_.statement);
  });
  if (!rows) return not_read(rows.error());
  return std::move(*rows);
}

status postgres_store::scan(table t, byte_view prefix, const row_visitor& visit) const {
  auto first = to_bytes(prefix);
  const auto end = end_of_prefix(prefix);
  while (true) {
    CPNS_TRY(const auto rows, page(t, first, end, rows_per_page));
    if (rows.empty()) return {};
    for (const auto& row : rows)
      if (!visit(row)) return {};
    first = rows.back().row;
    first.push_back(0);
  }
}

result<std::vector<stored_row>> postgres_store::slice(table t, byte_view after, std::size_t limit) const {
  auto first = to_bytes(after);
  first.push_back(0);
  return page(t, first, end_of_prefix({}), limit);
}

store_health postgres_store::health() const {
  const std::lock_guard lock(mutex_);
  return health_;
}

void postgres_store::note(const std::vector<status>& outcomes, std::uint64_t failures) {
  const auto failed = std::find_if(outcomes.begin(), outcomes.end(), stops_writes);
  if (failed != outcomes.end()) return note_failure(failed->error());
  const auto decided = [](const status& s) { return s || s.error() == errc::store_conflict; };
  if (std::any_of(outcomes.begin(), outcomes.end(), decided)) note_success(failures);
}

result<std::optional<time_point>> postgres_store::clock() const {
  static const statement ask{"clock", "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint"};
  auto told = with_connection(readers_, settings_, [&](connection& on) -> outcome<std::uint64_t> {
    const query q{&ask, {}};
    CPNS_TRY(const auto replies, on.run({&q, 1}, settings_.statement));
    return int_at(replies.front(), 0, 0);
  });
  if (!told) return not_read(told.error());
  return time_point(milliseconds(*told));
}

tl::unexpected<error> postgres_store::not_read(const failure& why) const {
  error e{errc::store_unavailable, why.detail};
  note_failure(e);
  return fail(std::move(e));
}

void postgres_store::note_failure(const error& why) const {
  {
    const std::lock_guard lock(mutex_);
    if (health_.lost) return;
    ++failures_;
    health_.why = why.detail;
    if (!std::exchange(health_.writable, false)) return;
  }
  log::error("store", "store-write-failed", "the database accepts no writes; trying until it does",
             {{"why", why.detail}});
  wake_.notify_all();
}

/// A write that began before another one failed says nothing of what that one left behind.
void postgres_store::note_success(std::uint64_t failures) {
  {
    const std::lock_guard lock(mutex_);
    if (health_.lost || failures != failures_ || std::exchange(health_.writable, true)) return;
    health_.why.clear();
    ++health_.reopened;
  }
  log::info("store", "store-resumed", "the database accepts writes again");
}

void postgres_store::heal_when_needed() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait(lock, [this] { return stopping_ || (!health_.writable && !health_.lost); });
    if (wake_.wait_for(lock, heal_interval, [this] { return stopping_; })) return;
    lock.unlock();
    const write_batch nothing;
    write({&nothing, 1});
    lock.lock();
  }
}

}  // namespace

}  // namespace postgres

result<std::unique_ptr<store>> open_postgres_store(postgres_settings s, node_folder node) {
  CPNS_CHECK(check(s));
  auto out = std::make_unique<postgres::postgres_store>(std::move(s), std::move(node));
  CPNS_CHECK(out->check_tables());
  return out;
}

result<std::unique_ptr<store>> open_postgres_store_in_migration(postgres_settings s) {
  CPNS_CHECK(check(s));
  return std::make_unique<postgres::postgres_store>(std::move(s), node_folder{});
}

}  // namespace cpns::storage
