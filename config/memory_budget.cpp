#include "config/memory_budget.hpp"

#include <algorithm>

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

std::uint64_t store_least(bool has_files) {
  return has_files ? buffers * write_buffer_least + cache_least : 0;
}

/// Divides `all` into buffers and cache, halves.
store_memory store_of(std::uint64_t all, std::uint64_t buffer_max) {
  store_memory out;
  out.write_buffer = std::clamp(all / 2 / buffers, write_buffer_least, buffer_max);
  out.cache = std::max(cache_least, all - buffers * out.write_buffer);
  return out;
}

bool has_files(const store_config& c) { return c.kind == store_kind::rocksdb; }

std::uint64_t fixed_of(const server_config& c) {
  return server_base + std::uint64_t{c.limits.connections} * cost::connection +
         std::uint64_t{c.limits.users_cached} * cost::user;
}
std::uint64_t fixed_of(const gateway_config& c) {
  return gateway_base + std::uint64_t{c.limits.devices} * cost::device +
         std::uint64_t{c.limits.links} * cost::link;
}

/// Of a gateway or of PNEs: half for the store, a quarter each for the radios and the mailboxes.
radio_memory radio_memory_of(std::uint64_t rest, std::size_t radios, bool files) {
  radio_memory out;
  const auto for_store = files ? rest / 2 : 0;
  if (files) out.store = store_of(for_store, buffer_most);
  const auto half = (rest - for_store) / 2;
  const auto inbox = std::clamp(half / std::max<std::size_t>(1, radios), inbox_least, inbox_most) / queues;
  out.event_bytes = inbox / 2;
  out.events = static_cast<std::uint32_t>(inbox / 2 / event_cost);
  out.mailboxes = std::clamp(half, mailboxes_least, mailboxes_most);
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

bool has_files(const pne_config& c) { return !c.keys_dir.empty(); }

/// Of what limits.memory has above `fixed`.
std::uint64_t rest_of(const memory_size& all, std::uint64_t fixed) {
  return all.bytes > fixed ? all.bytes - fixed : 0;
}

}  // namespace

std::uint64_t least_memory(const server_config& c) {
  return whole_mib(fixed_of(c) + store_least(has_files(c.store)) + held_least + work_least);
}
std::uint64_t least_memory(const gateway_config& c) {
  return whole_mib(fixed_of(c) + radio_least(c.transports.size(), has_files(c.store)));
}
std::uint64_t least_memory(const pne_config& c) {
  return whole_mib(pne_base + radio_least(c.transports.size(), has_files(c)));
}

server_memory memory_of(const server_config& c) {
  server_memory out;
  out.entities_live = c.limits.entities_live;
  if (!c.limits.memory) {
    out.store.write_buffer = server_buffer_most;
    return out;
  }
  // Half for the store, a quarter each for frames and for work.
  const auto rest = rest_of(*c.limits.memory, fixed_of(c));
  const auto for_store = has_files(c.store) ? rest / 2 : 0;
  if (for_store > 0) out.store = store_of(for_store, server_buffer_most);
  out.held = std::max(held_least, (rest - for_store) / 2);
  const auto work = std::max(work_least, (rest - for_store) / 2);
  out.entities_live =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(c.limits.entities_live, work / cost::entity));
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
                   {"entities", m.entities_live * cost::entity}};
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
