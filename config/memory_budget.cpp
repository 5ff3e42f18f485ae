#include "config/memory_budget.hpp"

#include <algorithm>

#include "config/values.hpp"

namespace cpns::config {
namespace {

namespace cost = memory_cost;

// The program with its libraries, threads, log and metrics, and what the allocator has not given back yet.
constexpr std::uint64_t server_base = 48 * mib, gateway_base = 44 * mib, pne_base = 32 * mib;

// The smallest parts.
constexpr std::uint64_t write_buffer_least = 2 * mib, cache_least = 4 * mib, held_least = 4 * mib,
                        work_least = 4 * mib;
constexpr std::uint64_t inbox_least = mib, mailboxes_least = 2 * mib;
// More than these is of no use.
constexpr std::uint64_t server_buffer_most = 32 * mib, buffer_most = 8 * mib, inbox_most = 32 * mib,
                        mailboxes_most = 64 * mib;

/// RocksDB fills one buffer while the other one is written.
constexpr std::uint64_t buffers = 2;
/// A queue of a radio may be full once more while the role works on the former one.
constexpr std::uint64_t queues = 2;
/// An event of a radio beside its message.
constexpr std::uint64_t event_cost = 160;

std::uint64_t whole_mib(std::uint64_t bytes) { return (bytes + mib - 1) / mib * mib; }

std::uint64_t less(std::uint64_t all, std::uint64_t taken) { return all > taken ? all - taken : 0; }

/// Half of `all`: less if `others` takes more than the other half, but never less than `least`.
std::uint64_t half_of(std::uint64_t all, std::uint64_t least, std::uint64_t others) {
  return std::max(least, std::min(all / 2, less(all, others)));
}

std::uint64_t store_least(bool has_files) {
  return has_files ? buffers * write_buffer_least + cache_least : 0;
}

/// Divides `all` into buffers and cache, halves.
store_memory store_of(std::uint64_t all, std::uint64_t buffer_max) {
  store_memory out;
  out.write_buffer = std::clamp(all / 2 / buffers, write_buffer_least, buffer_max);
  out.cache = std::max(cache_least, less(all, buffers * out.write_buffer));
  return out;
}

template <class Config>
bool sets(const Config& c, std::string_view key) {
  return c.limits_origin.keys.find(key) != c.limits_origin.keys.end();
}
bool sets_entities(const server_config& c) { return sets(c, "limits.entities_live"); }

bool has_files(const store_config& c) { return c.kind == store_kind::rocksdb; }
bool has_files(const pne_config& c) { return !c.keys_dir.empty(); }

std::uint64_t entities_of(const server_config& c) {
  return std::uint64_t{c.limits.entities_live} * cost::entity;
}
std::uint64_t fixed_of(const server_config& c) {
  return server_base + std::uint64_t{c.limits.connections} * cost::connection +
         std::uint64_t{c.limits.users_cached} * cost::user + (sets_entities(c) ? entities_of(c) : 0);
}
std::uint64_t fixed_of(const gateway_config& c) {
  return gateway_base + std::uint64_t{c.limits.devices} * cost::device +
         std::uint64_t{c.limits.links} * cost::link;
}

/// Of a gateway or of PNEs: half for the store, a quarter each for the radios and the mailboxes.
radio_memory radio_memory_of(std::uint64_t rest, std::size_t radios, bool files) {
  radio_memory out;
  const auto inboxes_least = radios * inbox_least;
  const auto for_store =
      files ? half_of(rest, store_least(files), inboxes_least + mailboxes_least) : std::uint64_t{0};
  if (files) out.store = store_of(for_store, buffer_most);
  const auto left = less(rest, for_store);
  const auto inboxes = half_of(left, inboxes_least, mailboxes_least);
  const auto inbox = std::min(inboxes / std::max<std::size_t>(1, radios), inbox_most) / queues;
  out.event_bytes = inbox / 2;
  out.events = static_cast<std::uint32_t>(inbox / 2 / event_cost);
  out.mailboxes = std::clamp(less(left, inboxes), mailboxes_least, mailboxes_most);
  return out;
}

std::uint64_t radio_least(std::size_t radios, bool files) {
  return store_least(files) + radios * inbox_least + mailboxes_least;
}

void add_store(memory_parts& to, const store_memory& of) {
  if (of.cache == 0) return;
  to.emplace_back("store_cache", of.cache);
  to.emplace_back("write_buffers", buffers * of.write_buffer);
}

memory_parts radio_parts(const radio_memory& of, std::size_t radios) {
  memory_parts out;
  add_store(out, of.store);
  out.emplace_back("radio_queues", radios * queues * (of.event_bytes + of.events * event_cost));
  out.emplace_back("mailboxes", of.mailboxes);
  return out;
}

/// What limits.memory has above `fixed`.
std::uint64_t rest_of(const memory_size& all, std::uint64_t fixed) { return less(all.bytes, fixed); }

struct server_division {
  std::uint64_t store, held, work;  ///< work: 0 if the file sets limits.entities_live, which is in fixed_of
};
/// Half for the store, a quarter each for frames and for work.
server_division division_of(const server_config& c) {
  server_division out{};
  const auto rest = rest_of(*c.limits.memory, fixed_of(c));
  const auto work_min = sets_entities(c) ? 0 : work_least;
  if (has_files(c.store)) out.store = half_of(rest, store_least(true), held_least + work_min);
  const auto left = less(rest, out.store);
  if (work_min > 0) out.work = half_of(left, work_min, held_least);
  out.held = std::max(held_least, less(left, out.work));
  return out;
}

/// What the numbers in `c` take, with the smallest caches, buffers and credits.
std::uint64_t needed(const server_config& c) {
  return whole_mib(fixed_of(c) + store_least(has_files(c.store)) + held_least +
                   (sets_entities(c) ? 0 : work_least));
}
std::uint64_t needed(const gateway_config& c) {
  return whole_mib(fixed_of(c) + radio_least(c.transports.size(), has_files(c.store)));
}
std::uint64_t needed(const pne_config& c) {
  return whole_mib(pne_base + 2 * radio_least(c.transports.size(), has_files(c)));
}

/// More memory allows more of what the file does not set, which takes memory itself: so it rises until it is enough.
template <class Config>
Config with_least(Config c) {
  c.limits.memory = memory_size{mib};
  for (;;) {
    fit_to_memory(c);
    const auto takes = needed(c);
    if (takes <= c.limits.memory->bytes) return c;
    c.limits.memory->bytes = takes;
  }
}

std::string numbers_of(const server_config& c) {
  auto out = "'limits.connections' " + std::to_string(c.limits.connections) + " and 'limits.users_cached' " +
             std::to_string(c.limits.users_cached);
  if (sets_entities(c)) out += " and 'limits.entities_live' " + std::to_string(c.limits.entities_live);
  return out;
}
std::string numbers_of(const gateway_config& c) {
  return "'limits.devices' " + std::to_string(c.limits.devices) + " and 'limits.links' " +
         std::to_string(c.limits.links);
}
std::string numbers_of(const pne_config& c) {
  const auto n = c.transports.size();
  return std::to_string(n) + (n == 1 ? " radio" : " radios");
}

template <class Config>
std::optional<std::string> missing(const Config& c) {
  if (!c.limits.memory || needed(c) <= c.limits.memory->bytes) return std::nullopt;
  const auto enough = with_least(c);
  return "the role takes at least " + memory_text(*enough.limits.memory) + " with " + numbers_of(enough);
}

/// `n`, or as many as fit into 1/`part` of the memory.
std::uint32_t lowered(std::uint32_t n, const std::optional<memory_size>& all, std::uint64_t part,
                      std::uint64_t each) {
  if (!all) return n;
  return static_cast<std::uint32_t>(
      std::clamp<std::uint64_t>(all->bytes / part / each, 1, std::max<std::uint32_t>(1, n)));
}

}  // namespace

std::uint64_t least_memory(const server_config& c) { return with_least(c).limits.memory->bytes; }
std::uint64_t least_memory(const gateway_config& c) { return with_least(c).limits.memory->bytes; }
std::uint64_t least_memory(const pne_config& c) { return with_least(c).limits.memory->bytes; }

std::optional<std::string> missing_memory(const server_config& c) { return missing(c); }
std::optional<std::string> missing_memory(const gateway_config& c) { return missing(c); }
std::optional<std::string> missing_memory(const pne_config& c) { return missing(c); }

void fit_to_memory(server_config& c) {
  const server_limits presets;
  if (!sets(c, "limits.connections"))
    c.limits.connections =
        lowered(presets.connections, c.limits.memory, cost::connections_part, cost::connection);
  if (sets_entities(c)) return;
  c.limits.entities_live = presets.entities_live;
  if (c.limits.memory)
    c.limits.entities_live = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(presets.entities_live, division_of(c).work / cost::entity));
}

void fit_to_memory(gateway_config& c) {
  const gateway_limits presets;
  if (!sets(c, "limits.devices"))
    c.limits.devices = lowered(presets.devices, c.limits.memory, cost::devices_part, cost::device);
  if (!sets(c, "limits.links"))
    c.limits.links = lowered(presets.links, c.limits.memory, cost::links_part, cost::link);
}

void fit_to_memory(pne_config&) {}

server_memory memory_of(const server_config& c) {
  if (!c.limits.memory) return {.store = {.write_buffer = server_buffer_most}};
  const auto divided = division_of(c);
  server_memory out;
  if (divided.store > 0) out.store = store_of(divided.store, server_buffer_most);
  out.held = divided.held;
  return out;
}

radio_memory memory_of(const gateway_config& c) {
  if (!c.limits.memory) return {.store = {.write_buffer = buffer_most}};
  return radio_memory_of(rest_of(*c.limits.memory, fixed_of(c)), c.transports.size(), has_files(c.store));
}

radio_memory memory_of(const pne_config& c) {
  if (!c.limits.memory) return {.store = {.write_buffer = buffer_most}};
  // Half of the rest is for the devices themselves, whose number the file of devices has.
  return radio_memory_of(rest_of(*c.limits.memory, pne_base) / 2, c.transports.size(), has_files(c));
}

memory_parts parts_of(const server_config& c) {
  if (!c.limits.memory) return {};
  const auto m = memory_of(c);
  memory_parts out{{"program", server_base},
                   {"connections", std::uint64_t{c.limits.connections} * cost::connection},
                   {"users", std::uint64_t{c.limits.users_cached} * cost::user},
                   {"frames", m.held},
                   {"entities", entities_of(c)}};
  add_store(out, m.store);
  return out;
}

memory_parts parts_of(const gateway_config& c) {
  if (!c.limits.memory) return {};
  memory_parts out{{"program", gateway_base},
                   {"devices", std::uint64_t{c.limits.devices} * cost::device},
                   {"links", std::uint64_t{c.limits.links} * cost::link}};
  const auto rest = radio_parts(memory_of(c), c.transports.size());
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

memory_parts parts_of(const pne_config& c) {
  if (!c.limits.memory) return {};
  memory_parts out{{"program", pne_base}, {"devices", rest_of(*c.limits.memory, pne_base) / 2}};
  const auto rest = radio_parts(memory_of(c), c.transports.size());
  out.insert(out.end(), rest.begin(), rest.end());
  return out;
}

}  // namespace cpns::config
