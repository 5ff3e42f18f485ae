#include "storage/rewrap.hpp"

#include <string_view>

namespace cpns::storage {

namespace {

constexpr std::string_view probe_purpose = "cpns/1 same key";

struct task {
  const key_place* place;
  secret32 data_key;
};

/// Fails if both protectors have the same key: an interrupted call could not tell the finished places from the others.
status check_that_keys_differ(const key_protector& from, const key_protector& to, entropy& random) {
  CPNS_TRY(const auto probe, from.wrap(random.draw_secret<secret32::size>(), probe_purpose, random));
  if (!to.unwrap(probe, probe_purpose)) return {};
  return fail(errc::state_conflict, to.describe() + " holds the key that is in use; name a new one");
}

/// The data key in `place` if it has to be rewrapped; nullopt if there is nothing to do, which is counted.
result<std::optional<secret32>> old_key_of(const key_place& place, const key_protector& from,
                                           const key_protector& to, rewrap_report& report) {
  CPNS_TRY(const auto wrapped, place.read());
  if (!wrapped) {
    ++report.absent;
    return std::optional<secret32>{};
  }
  auto key = from.unwrap(*wrapped, place.purpose);
  if (key) return std::optional<secret32>(*key);
  if (!to.unwrap(*wrapped, place.purpose))
    return fail(key.error().code, place.name + ": " + key.error().detail + "; " + to.describe() +
                                      " cannot unwrap it either; nothing was changed");
  ++report.already;
  return std::optional<secret32>{};
}

status rewrap_one(const task& t, const key_protector& to, entropy& random) {
  const auto& [name, purpose, read, write] = *t.place;
  CPNS_TRY(const auto wrapped, to.wrap(t.data_key, purpose, random));
  CPNS_TRY(const auto back, to.unwrap(wrapped, purpose));
  if (!(back == t.data_key)) return fail(errc::internal, name + ": a wrapped key does not unwrap to itself");
  auto done = write(wrapped);
  if (done) {
    const auto stored = read();
    if (!stored)
      done = fail(stored.error());
    else if (*stored != wrapped)
      done = fail(errc::store_write_failed, "the data key that was written is not the one that is read");
  }
  if (done) return {};
  return fail(done.error().code, name + ": " + done.error().detail +
                                     "; keep the old key and the new one, and repeat the command: it "
                                     "finds out which data keys are rewrapped");
}

}  // namespace

result<std::size_t> check_keys(const std::vector<key_place>& places, const key_protector& protector) {
  std::size_t found = 0;
  for (const auto& place : places) {
    CPNS_TRY(const auto wrapped, place.read());
    if (!wrapped) continue;
    const auto key = protector.unwrap(*wrapped, place.purpose);
    if (!key) return fail(key.error().code, place.name + ": " + key.error().detail);
    ++found;
  }
  return found;
}

result<rewrap_report> rewrap_keys(const std::vector<key_place>& places, const key_protector& from,
                                  const key_protector& to, entropy& random,
                                  const std::function<void(std::size_t, std::size_t)>& written) {
  CPNS_CHECK(check_that_keys_differ(from, to, random));
  // All places are read before the first one is written: a wrong key must change nothing.
  rewrap_report report;
  std::vector<task> tasks;
  for (const auto& place : places) {
    CPNS_TRY(auto key, old_key_of(place, from, to, report));
    if (key) tasks.push_back({&place, *key});
  }
  for (const auto& t : tasks) {
    CPNS_CHECK(rewrap_one(t, to, random));
    ++report.rewrapped;
    if (written) written(report.already + report.rewrapped, report.already + tasks.size());
  }
  return report;
}

}  // namespace cpns::storage
