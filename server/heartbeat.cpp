#include "server/heartbeat.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <future>

#include "base/log.hpp"
#include "base/text.hpp"
#include "storage/data_key.hpp"

namespace cpns::server {
namespace {

using storage::table;
using steady_clock = std::chrono::steady_clock;

constexpr milliseconds last_write{1000};
constexpr milliseconds look_again{200};

storage::sealed_batch write_of(const node_row& r, std::uint64_t version) {
  storage::sealed_batch out;
  out.push_back({table::nodes, name_of_node(r.name), encode(r), version});
  return out;
}

struct found_row {
  std::uint64_t version = 0;
  std::optional<node_row> row;
};

/// A row that cannot be read is replaced: it holds nothing that its node does not know.
result<found_row> find_row(const storage::sealed_store& store, const std::string& name) {
  auto found = store.read_one(table::nodes, name_of_node(name));
  if (!found) return fail(std::move(found).error());
  found_row out{found->version, std::nullopt};
  if (!found->value) return out;
  if (auto row = decode_node_row(found->value->expose())) out.row = std::move(*row);
  return out;
}

error name_taken(const std::string& name, const node_row& by) {
  return {errc::state_conflict,
          "another server that runs at " + by.address + " has the name " + shown(name) +
              " and the same database; give each server its own 'name' and 'store.path'"};
}

std::string seconds_text(milliseconds t) {
  return std::to_string(std::chrono::duration_cast<seconds>(t).count()) + " s";
}

milliseconds difference(time_point a, time_point b) { return a < b ? b - a : a - b; }

}  // namespace

std::string_view name_of(seen_node::life l) {
  switch (l) {
  case seen_node::life::alive: return "alive";
  case seen_node::life::silent: return "silent";
  case seen_node::life::stopped: break;
  }
  return "stopped";
}

struct heartbeat::shared {
  mutable std::mutex guard;
  std::condition_variable done;
  std::uint64_t version = 0;
  bool on_its_way = false;
  bool unclear = false;                   ///< the last write may have taken effect, or lost
  std::optional<std::string> taken;       ///< another process writes this row: why
  steady_clock::time_point acknowledged;  ///< begin of the last beat that was
};

heartbeat::heartbeat(parts p, node_row own, std::uint64_t version)
    : parts_(std::move(p)), own_(std::move(own)), shared_(std::make_shared<shared>()) {
  shared_->version = version;
  shared_->acknowledged = steady_clock::now();
}

result<std::unique_ptr<heartbeat>> heartbeat::begin(parts p, node_row own) {
  own.start = p.random->draw<16>();
  own.folder = p.store->node();
  own.started = own.beat = unix_milliseconds(p.now());
  CPNS_TRY(auto before, find_row(*p.store, own.name));
  const auto lives = [&own](const found_row& f) {
    return f.row && f.row->state != node_state::stopped &&
           (f.row->folder.empty() || f.row->folder != own.folder);
  };
  const auto until = steady_clock::now() + p.times.silent;
  std::mutex alone;
  std::condition_variable never;
  while (lives(before) && steady_clock::now() < until) {
    std::unique_lock lock{alone};
    never.wait_for(lock, look_again);
    CPNS_TRY(auto now, find_row(*p.store, own.name));
    if (now.version != before.version && lives(now)) return fail(name_taken(own.name, *now.row));
    before = std::move(now);
  }
  auto done = p.store->write(write_of(own, before.version));
  if (!done && done.error() == errc::store_conflict) {
    CPNS_TRY(const auto now, find_row(*p.store, own.name));
    return fail(name_taken(own.name, now.row.value_or(node_row{})));
  }
  CPNS_CHECK(std::move(done));
  const auto began = steady_clock::now();
  auto& under = p.store->under();
  CPNS_TRY(const bool allowed,
           under.allows_this_program());  // also of a release that came since it was opened
  if (!allowed) return fail(errc::store_unavailable, under.health().why);
  std::unique_ptr<heartbeat> out(new heartbeat(std::move(p), std::move(own), before.version + 1));
  out->shared_->acknowledged = began;
  return out;
}

heartbeat::~heartbeat() { end(); }

void heartbeat::end() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock{guard_};
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
  std::unique_lock lock{shared_->guard};
  const auto written = [this] { return !shared_->on_its_way; };
  if (!shared_->done.wait_for(lock, last_write, written) || shared_->unclear || shared_->taken) return;
  own_.state = node_state::stopped;
  own_.connections = own_.jobs = 0;
  lock.unlock();
  beat();
  lock.lock();
  shared_->done.wait_for(lock, last_write, written);
}

void heartbeat::run(std::function<load()> now, std::function<void(std::vector<std::string>)> changed) {
  load_ = std::move(now);
  changed_ = std::move(changed);
  thread_ = std::thread([this] {
    std::unique_lock lock{guard_};
    while (!stopping_) {
      lock.unlock();
      const auto began = steady_clock::now();
      beat_and_look();
      lock.lock();
      wake_.wait_until(lock, began + parts_.times.interval, [this] { return stopping_; });
    }
  });
}

void heartbeat::beat_and_look() {
  auto l = load_();
  own_.address = std::move(l.address);
  own_.connections = l.connections;
  own_.jobs = l.jobs;
  own_.state = l.state;
  if (parts_.key) own_.key = parts_.key();
  find_own_row();
  beat();
  look();
  compare_clocks();
  tell_addresses();
  forget_key_before();
}

void heartbeat::forget_key_before() {
  if (own_.key.empty() || own_.key == forgotten_for_ || !fresh()) return;
  const auto all = nodes();
  const auto has_it = [this](const seen_node& n) { return n.row.key == own_.key; };
  if (all.empty() || !std::all_of(all.begin(), all.end(), has_it)) return;
  auto& under = parts_.store->under();
  const auto kept = storage::keeps_key_before(under);
  if (!kept) return;
  if (*kept) {
    if (!storage::forget_key_before(under, own_.key)) return;  // the next beat tries again
    log::info("server", "key-before-forgotten",
              "every server has the new key of the store: the key before it opens nothing any more");
  }
  forgotten_for_ = own_.key;
}

void heartbeat::beat() {
  // The order matters: a migration refuses this program, waits until no such heartbeat is fresh, and changes the tables.
  const auto began = steady_clock::now();
  if (own_.state != node_state::stopped) {
    const auto allowed = parts_.store->under().allows_this_program();
    if (!allowed || !*allowed) return;
  }
  own_.beat = unix_milliseconds(parts_.now());
  std::uint64_t version = 0;
  {
    const std::lock_guard lock{shared_->guard};
    if (shared_->on_its_way || shared_->unclear || shared_->taken) return;
    shared_->on_its_way = true;
    version = shared_->version;
  }
  parts_.commit(write_of(own_, version), [to = shared_, began](const status& written) {
    const std::lock_guard lock{to->guard};
    to->on_its_way = false;
    if (written) {
      ++to->version;
      to->acknowledged = began;
    } else if (!(written.error() == errc::state_overloaded)) {
      to->unclear = true;
    }
    to->done.notify_all();
  });
}

void heartbeat::find_own_row() {
  {
    const std::lock_guard lock{shared_->guard};
    if (!shared_->unclear && !shared_->taken) return;
  }
  const auto found = find_row(*parts_.store, own_.name);
  if (!found) return;
  const std::lock_guard lock{shared_->guard};
  if (found->row && found->row->start != own_.start) {
    const auto why = name_taken(own_.name, *found->row).message();
    if (!std::exchange(shared_->taken, why)) log::error("server", "node-name-taken", why);
    return;
  }
  shared_->unclear = false;
  shared_->version = found->version;
}

void heartbeat::see(std::map<std::string, observed>& to, const std::string& name,
                    const storage::sealed_value& row) {
  auto decoded = decode_node_row(row.value->expose());
  if (!decoded) {
    if (damaged_.due(parts_.now(), decoded.error().message()))
      log::warn("server", "row-unreadable", decoded.error().message(), {{"table", "nodes"}});
    return;
  }
  const auto now = steady_clock::now();
  const auto before = seen_.find(name);
  observed o{row.version, now, {std::move(*decoded)}};
  if (before != seen_.end() && before->second.version == row.version)
    o.changed = before->second.changed;
  else if (before == seen_.end())  // its own clock is all that is known of it
    o.changed = now - std::min(difference(parts_.now(), time_point(milliseconds(o.node.row.beat))),
                               parts_.times.hidden);
  o.node.age = std::chrono::duration_cast<milliseconds>(now - o.changed);
  o.node.self = o.node.row.start == own_.start;
  if (o.node.row.state == node_state::stopped)
    o.node.is = seen_node::life::stopped;
  else if (o.node.age >= parts_.times.silent)
    o.node.is = seen_node::life::silent;
  if (o.node.age < parts_.times.hidden) to.emplace(name, std::move(o));
}

void heartbeat::look() {
  std::vector<storage::row_name> names;
  const auto listed = parts_.store->scan(
      table::nodes, {},
      [&names](byte_view row, const secret_bytes&) {
        names.push_back({table::nodes, to_bytes(row)});
        return true;
      },
      [](const error&) {});
  if (!listed) return;  // not_ready() says so
  std::map<std::string, observed> now;
  const auto rows = parts_.store->read(names);
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] && rows[i]->value) see(now, std::string(as_text(names[i].row)), *rows[i]);
  const std::lock_guard lock{guard_};
  seen_ = std::move(now);
}

void heartbeat::compare_clocks() {
  const auto database = parts_.store->clock();
  if (!database || !*database) return;
  const auto apart = difference(**database, parts_.now());
  std::string fault;
  if (apart > parts_.times.apart)
    fault = "the clock of this machine and that of the database are " + seconds_text(apart) +
            " apart; set both by NTP";
  else
    compare_other_clocks(**database);
  const std::lock_guard lock{guard_};
  if (!fault.empty() && clock_fault_.empty()) log::error("server", "clock-apart", fault);
  clock_fault_ = std::move(fault);
}

void heartbeat::compare_other_clocks(time_point database) {
  std::map<std::string, std::string> apart;
  std::string names;
  for (const auto& n : nodes())
    if (const auto by = difference(time_point(milliseconds(n.row.beat)), database);
        n.is == seen_node::life::alive && !n.self && by > parts_.times.apart) {
      apart.emplace(n.row.name, seconds_text(by));
      names += n.row.name + ' ';
    }
  // One reason for all: with a reason per server, the line of one would repeat that of the others.
  if (apart.empty()) {
    apart_.over();
  } else if (apart_.due(parts_.now(), names)) {
    for (const auto& [name, by] : apart)
      log::warn("server", "node-clock-apart",
                "the clock of another server differs from that of the database; set both by NTP",
                {{"node", name}, {"apart", by}});
  }
}

void heartbeat::tell_addresses() {
  std::vector<std::string> addresses;
  for (const auto& n : nodes())
    if (n.is == seen_node::life::alive && n.row.state == node_state::running && !n.row.address.empty())
      addresses.push_back(n.row.address);
  if (addresses == told_) return;
  told_ = addresses;
  changed_(std::move(addresses));
}

bool heartbeat::fresh() const { return age() < parts_.times.fresh; }

milliseconds heartbeat::age() const {
  const std::lock_guard lock{shared_->guard};
  return std::chrono::duration_cast<milliseconds>(steady_clock::now() - shared_->acknowledged);
}

std::vector<std::string> heartbeat::not_ready() const {
  std::vector<std::string> out;
  {
    const std::lock_guard lock{shared_->guard};
    if (shared_->taken) out.push_back(*shared_->taken);
  }
  if (out.empty() && !fresh())
    out.push_back("the database has acknowledged no heartbeat for " + seconds_text(age()) +
                  ": gateways are told to ask again, and nothing that was read is trusted");
  const std::lock_guard lock{guard_};
  if (!clock_fault_.empty()) out.push_back(clock_fault_);
  return out;
}

std::vector<seen_node> heartbeat::nodes() const {
  const std::lock_guard lock{guard_};
  std::vector<seen_node> out;
  for (const auto& [name, o] : seen_) out.push_back(o.node);
  return out;
}

boost::json::array heartbeat::view() const {
  boost::json::array out;
  for (const auto& n : nodes())
    out.push_back(
        boost::json::object{{"name", n.row.name},
                            {"state", n.is == seen_node::life::alive ? name_of(n.row.state) : name_of(n.is)},
                            {"self", n.self},
                            {"address", n.row.address},
                            {"version", n.row.version},
                            {"schema", n.row.schema},
                            {"started", rfc3339_text(time_point(milliseconds(n.row.started)))},
                            {"age_ms", n.self ? age().count() : n.age.count()},
                            {"connections", n.row.connections},
                            {"jobs", n.row.jobs},
                            {"key", n.row.key}});
  return out;
}

}  // namespace cpns::server
