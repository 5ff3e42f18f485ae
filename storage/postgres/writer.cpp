#include "storage/postgres/writer.hpp"

#include <algorithm>
#include <set>
#include <thread>

#include "crypto/suite.hpp"

namespace cpns::storage::postgres {

namespace {

constexpr std::size_t rows_per_unit = 1024;
constexpr std::size_t bytes_per_unit = 8U << 20;
constexpr std::uint64_t longest_pause = 50;  ///< milliseconds

using op_pointers = std::vector<const write_op*>;

struct op_order {
  bool operator()(const write_op* a, const write_op* b) const { return comes_before(a, b); }
};

std::size_t size_of(const write_op& op) { return op.row.size() + (op.value ? op.value->size() : 0); }

std::size_t size_of(const write_batch& batch) {
  std::size_t out = 0;
  for (const auto& op : batch) out += size_of(op);
  return out;
}

/// Whether rows of the batch can be refused one by one: then a transaction of its own has to refuse all of them.
bool needs_all(const write_batch& batch) {
  return std::count_if(batch.begin(), batch.end(), [](const write_op& op) { return !op.if_absent; }) > 1;
}

/// Collects batches of which at most one row can be refused.
class shared_unit {
 public:
  explicit shared_unit(std::span<const write_batch> batches) : batches_(batches) {}
  [[nodiscard]] bool accepts(const write_batch& batch) const {
    if (rows_.empty()) return true;
    if (rows_.size() + batch.size() > rows_per_unit || size_ + size_of(batch) > bytes_per_unit) return false;
    return std::none_of(batch.begin(), batch.end(), [this](const auto& op) { return rows_.contains(&op); });
  }
  void add(std::size_t batch) {
    for (const auto& op : batches_[batch]) rows_.insert(&op);
    size_ += size_of(batches_[batch]);
    unit_.batches.push_back(batch);
  }
  void flush_to(std::vector<unit>& out) {
    if (unit_.batches.empty()) return;
    const auto before = [this](std::size_t a, std::size_t b) {
      return comes_before(&batches_[a].front(), &batches_[b].front());
    };
    std::sort(unit_.batches.begin(), unit_.batches.end(), before);
    out.push_back(std::exchange(unit_, {}));
    rows_.clear();
    size_ = 0;
  }

 private:
  const std::span<const write_batch> batches_;
  unit unit_;
  std::set<const write_op*, op_order> rows_;
  std::size_t size_ = 0;
};

op_pointers ops_of(std::span<const write_batch> batches, const unit& u) {
  op_pointers out;
  for (const auto b : u.batches)
    for (const auto& op : batches[b]) out.push_back(&op);
  std::sort(out.begin(), out.end(), op_order{});
  return out;
}

std::vector<query> queries_of(const std::vector<write_query>& writes) {
  std::vector<query> out;
  for (const auto& w : writes) out.push_back(w.what);
  return out;
}

/// Sets `to` for the ops of `w` whose rows are in the reply.
void mark_returned(const write_query& w, const reply& r, const op_pointers& ops, bool to,
                   std::vector<bool>& won) {
  for (int i = 0; i < PQntuples(r.get()); ++i) {
    const auto row = bytes_at(r, i, 0);
    const auto before = [&ops](std::size_t op, byte_view name) {
      const auto& own = ops[op]->row;
      return std::lexicographical_compare(own.begin(), own.end(), name.begin(), name.end());
    };
    const auto at = std::lower_bound(w.ops.begin(), w.ops.end(), row, before);
    if (at != w.ops.end() && equal(ops[*at]->row, row)) won[*at] = to;
  }
}

/// Which ops took effect. `first`: the reply to the first of the writes.
std::vector<bool> won_ops(const std::vector<write_query>& writes, std::span<const reply> replies,
                          const op_pointers& ops) {
  std::vector<bool> won(ops.size());
  for (std::size_t i = 0; i < writes.size(); ++i) {
    const auto& w = writes[i];
    if (w.rule == verdict::absent)
      for (const auto op : w.ops) won[op] = true;
    if (w.rule == verdict::counted)
      for (const auto op : w.ops) won[op] = affected(replies[i]) == 1;
    else
      mark_returned(w, replies[i], ops, w.rule == verdict::returned, won);
  }
  return won;
}

/// The outcome of each batch of `u`: none of its rows was refused but those that are written if absent.
std::vector<bool> won_batches(std::span<const write_batch> batches, const unit& u, const op_pointers& ops,
                              const std::vector<bool>& won) {
  std::set<const write_op*> refused;
  for (std::size_t i = 0; i < ops.size(); ++i)
    if (!won[i] && !ops[i]->if_absent) refused.insert(ops[i]);
  std::vector<bool> out;
  for (const auto b : u.batches)
    out.push_back(std::none_of(batches[b].begin(), batches[b].end(),
                               [&](const write_op& op) { return refused.contains(&op); }));
  return out;
}

/// Whether the rows are as `batch` leaves them. All of its rows change or none, so one that has its bytes is enough. A row
/// that is written if absent proves nothing: it may appear although its batch lost.
bool took_effect(const write_batch& batch, std::span<const std::optional<stored_value>> rows) {
  bool writes = false, gone = true;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    const auto& [op, row] = std::tie(batch[i], rows[i]);
    if (op.if_absent) continue;
    if (op.value && row && row->version == op.expected + 1 && row->value == *op.value) return true;
    writes = writes || op.value;
    gone = gone && !row;
  }
  return !writes && gone;
}

void pause() { std::this_thread::sleep_for(milliseconds(1 + crypto::system_entropy().below(longest_pause))); }

status conflict(const write_batch& batch) {
  return fail(errc::store_conflict, "a row in table " + std::string(name_of(batch.front().table)));
}

}  // namespace

std::vector<unit> units_of(std::span<const write_batch> batches, const std::vector<status>& checked) {
  std::vector<unit> out;
  shared_unit shared(batches);
  for (std::size_t i = 0; i < batches.size(); ++i) {
    if (!checked[i] || batches[i].empty()) continue;
    const bool alone = needs_all(batches[i]);
    if (alone || !shared.accepts(batches[i])) shared.flush_to(out);
    if (alone)
      out.push_back({{i}, true});
    else
      shared.add(i);
  }
  shared.flush_to(out);
  return out;
}

std::vector<status> writer::write(std::span<const write_batch> batches) {
  batches_ = batches;
  for (const auto& b : batches) outcomes_.push_back(check_batch(b));
  for (auto& u : units_of(batches, outcomes_)) run(std::move(u));
  for (std::size_t i = 0; i < batches.size(); ++i)
    if (batches[i].empty()) outcomes_[i] = prove();
  return std::move(outcomes_);
}

bool writer::is_of_one(const unit& u, const failure& why) {
  return u.batches.size() > 1 &&
         (why.kind == trouble::locked || why.kind == trouble::data || why.kind == trouble::other);
}

void writer::run(unit u) {
  while (!u.batches.empty()) {
    auto done = down_ ? outcome<void>(fail(*down_)) : attempt(u);
    if (done) return;
    const auto& why = done.error();
    u.doubtful = u.doubtful || why.in_doubt;
    if (is_of_one(u, why)) {
      for (const auto b : u.batches) run({{b}, false, u.doubtful});
      return;
    }
    if (may_retry(why, u.doubtful)) continue;
    give_up(u, why);
    return;
  }
}

/// A row that stays locked is not a failure of the database, except if our first attempt holds the lock.
void writer::give_up(const unit& u, const failure& why) {
  auto out = plain(why);
  if (u.doubtful) {
    if (out == errc::store_write_failed) out.code = errc::store_unavailable;
    out.detail += "; the outcome of the write is unknown";
  }
  for (const auto b : u.batches) outcomes_[b] = fail(out);
}

bool writer::may_retry(const failure& why, bool doubtful) {
  const bool passes = why.kind == trouble::unreachable || why.ends_connection() ||
                      why.kind == trouble::again || why.kind == trouble::locked;
  if (!passes) return false;
  // The owner of a lock may be a write in doubt of another node.
  const auto limit = doubtful || why.kind == trouble::locked ? settings_.doubt : settings_.retry;
  if (down_ || connection::steady::now() - began_ >= limit) {
    if (why.kind == trouble::unreachable) down_ = why;
    return false;
  }
  why.kind == trouble::unreachable ? pause_before_dial() : pause();
  return true;
}

outcome<void> writer::attempt(unit& u) {
  auto on = pool_.take(connection::steady::now() + settings_.retry);
  if (!on) return fail(std::move(on).error());
  auto done = decide(**on, u);
  if (!done && done.error().ends_connection()) on->give_up();
  return done;
}

outcome<void> writer::decide(connection& on, unit& u) {
  CPNS_TRY(const auto won, u.alone ? send_alone(on, u) : send(on, u));
  std::vector<std::size_t> refused;
  for (std::size_t i = 0; i < won.size(); ++i)
    if (!won[i]) refused.push_back(u.batches[i]);
  u.batches = refused;
  flags taken(refused.size());
  if (u.doubtful && !refused.empty()) {
    CPNS_TRY(taken, find_taken(on, refused));
    if (std::find(taken.begin(), taken.end(), true) != taken.end()) CPNS_CHECK(prove(on));
  }
  for (std::size_t i = 0; i < refused.size(); ++i)
    if (!taken[i]) outcomes_[refused[i]] = conflict(batches_[refused[i]]);
  u.batches.clear();
  return {};
}

outcome<writer::flags> writer::send(connection& on, const unit& u) {
  const auto ops = ops_of(batches_, u);
  const auto writes = sql_.write(ops);
  CPNS_TRY(const auto replies, on.run(queries_of(writes), settings_.statement));
  return won_batches(batches_, u, ops, won_ops(writes, replies, ops));
}

outcome<writer::flags> writer::send_alone(connection& on, const unit& u) {
  const auto ops = ops_of(batches_, u);
  const auto writes = sql_.write(ops);
  auto queries = queries_of(writes);
  queries.insert(queries.begin(), query{&sql_.begin, {}});
  const query commit{&sql_.commit, {}}, rollback{&sql_.rollback, {}};
  auto replies = on.run(queries, settings_.statement);
  if (!replies) {
    auto why = std::move(replies).error();
    why.in_doubt = false;  // a transaction without a COMMIT ends with its connection
    leave_transaction(on);
    return fail(std::move(why));
  }
  const auto won = won_ops(writes, std::span(*replies).subspan(1), ops);
  const bool all = won_batches(batches_, u, ops, won).front();
  auto ended = on.run({all ? &commit : &rollback, 1}, settings_.statement);
  if (!ended) {
    auto why = std::move(ended).error();
    why.in_doubt = all;
    leave_transaction(on);
    return fail(std::move(why));
  }
  return flags{all};
}

/// The next one to use the connection must not find a transaction that failed. Closes the connection if there is none.
void writer::leave_transaction(connection& on) {
  const query rollback{&sql_.rollback, {}};
  if (on.open()) static_cast<void>(on.run({&rollback, 1}, settings_.statement));
}

outcome<writer::flags> writer::find_taken(connection& on, const std::vector<std::size_t>& refused) {
  std::vector<row_name> names;
  for (const auto b : refused)
    for (const auto& op : batches_[b]) names.push_back({op.table, op.row});
  CPNS_TRY(const auto rows, read_rows(on, sql_, names, settings_.statement));
  flags out;
  std::size_t at = 0;
  for (const auto b : refused) {
    out.push_back(took_effect(batches_[b], std::span(rows).subspan(at, batches_[b].size())));
    at += batches_[b].size();
  }
  return out;
}

outcome<void> writer::prove(connection& on) {
  const auto name = crypto::system_entropy().draw<16>();
  CPNS_CHECK(on.run(sql_.proof(name), settings_.statement));
  return {};
}

status writer::prove() {
  while (true) {
    auto done = outcome<void>();
    if (auto on = pool_.take(connection::steady::now() + settings_.retry); on) {
      done = prove(**on);
      if (!done && done.error().ends_connection()) on->give_up();
    } else {
      done = fail(std::move(on).error());
    }
    if (done) return {};
    if (!may_retry(done.error(), false)) return fail(plain(done.error()));
  }
}

}  // namespace cpns::storage::postgres
