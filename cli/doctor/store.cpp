// The store of a role, or the key files of a PNE.

#include <boost/json.hpp>
#include <chrono>

#include "actors/key_source.hpp"
#include "actors/pne/key_files.hpp"
#include "cli/doctor/doctor.hpp"
#include "cli/stores.hpp"
#include "config/describe.hpp"
#include "crypto/suite.hpp"
#include "storage/data_key.hpp"
#include "storage/rocksdb_store.hpp"
#include "storage/secret_file.hpp"

namespace cpns::cli::doctor {
namespace {

namespace fs = std::filesystem;
using monotonic = std::chrono::steady_clock;

std::string by_process(const subject& s) {
  return *s.process > 0 ? " (process " + std::to_string(*s.process) + ")" : std::string{};
}

/// An error if `cpns store rewrap --in-place` was interrupted and FILE.rewrap is still there.
std::optional<line> interrupted(const config::protector_config& c) {
  const auto next = storage::next_key_file(c.file);
  std::error_code ec;
  if (c.kind != config::protector_kind::file || !fs::exists(fs::symlink_status(next, ec)))
    return std::nullopt;
  return line{state_t::error, next.string() +
                                  " exists: a change of the key in place was interrupted; repeat `cpns store "
                                  "rewrap --in-place` to finish it, and keep both key files until then"};
}

constexpr const char* remedy_of_key =
    "; nobody can open the store without its key: restore the key file from the backup of the secrets";

struct rows {
  std::size_t good = 0, bad = 0;
  bool all = true;  ///< false: the time was over
  std::string why;  ///< of the first bad one
};

/// Decrypts rows of all tables until `until`.
result<rows> read_rows(const storage::sealed_store& store, monotonic::time_point until) {
  rows out;
  for (const auto t : storage::all_tables) {
    CPNS_CHECK(store.scan(
        t, {},
        [&](byte_view, const secret_bytes&) {
          ++out.good;
          out.all = monotonic::now() < until;
          return out.all;
        },
        [&](const error& e) {
          if (out.bad++ == 0) out.why = e.detail;
        }));
    if (!out.all) break;
  }
  return out;
}

/// The rows in `under`, by a key that the files of the role name.
line rows_line(storage::store& under, const storage::key_protector& key, const std::string& place,
               milliseconds patience) {
  const auto wrapped = storage::data_key_of(under, place).read();
  if (!wrapped) return {state_t::error, wrapped.error().message()};
  if (!*wrapped) return {state_t::ok, "the store in " + place + " is empty"};
  const auto sealed = storage::sealed_store::open(under, key, crypto::system_entropy());
  if (!sealed) return {state_t::error, sealed.error().message() + remedy_of_key};
  const auto read = read_rows(**sealed, monotonic::now() + patience);
  if (!read) return {state_t::error, read.error().message()};
  const auto count = std::to_string(read->good + read->bad);
  if (read->bad > 0)
    return {state_t::error, std::to_string(read->bad) + " of " + count + " rows in " + place +
                                " cannot be read (" + read->why + "); restore the store from a backup"};
  if (read->all && read->good == 1)
    return {state_t::ok, "the key opens the store in " + place + ", and its only row can be read"};
  return {state_t::ok, "the key opens the store in " + place + ", and " +
                           (read->all ? "all " + count + " rows"
                                      : "the first " + count + " rows, read in " +
                                            std::to_string(patience.count() / 1000) + " s,") +
                           " can be read"};
}

line not_made_yet(const std::string& place) {
  return {state_t::ok, "the store in " + place + " does not exist yet; the role makes it at its first start"};
}

line stored_line(const config::store_config& c, const config::protector_config& protector,
                 milliseconds patience) {
  const auto place = place_of_store(c);
  auto under = open_store_for_reading(c);
  if (!under && under.error() == errc::state_unknown) return not_made_yet(place);
  if (!under) return {state_t::error, under.error().message()};
  const auto key = open_protector(protector);
  if (!key) return {state_t::error, key.error().message() + remedy_of_key};
  return rows_line(**under, **key, place, patience);
}

/// The store of the devices in `keys_dir`, whose data key `protector` opens.
line slots_line(const fs::path& keys_dir, const storage::key_protector& protector, milliseconds patience) {
  const auto place = actors::slot_store_folder(keys_dir);
  auto under = storage::open_rocksdb_store_for_reading(place);
  if (!under && under.error() == errc::state_unknown) return not_made_yet(place.string());
  if (!under) return {state_t::error, under.error().message()};
  const auto file = actors::shared_key_file(keys_dir);
  const auto data_key =
      storage::open_data_key(file, actors::shared_key_purpose, protector, crypto::system_entropy());
  if (!data_key) return {state_t::error, data_key.error().message()};
  return rows_line(**under, *storage::make_key_protector(*data_key, file), place.string(), patience);
}

line running_store_line(const subject& s, const std::string& runs) {
  const auto now = status_of_role(s);
  const auto* store = now ? now->if_contains("store") : nullptr;
  const auto* writable =
      store != nullptr && store->is_object() ? store->as_object().if_contains("writable") : nullptr;
  if (writable != nullptr && writable->is_bool() && !writable->as_bool())
    return {state_t::error,
            runs + "but it accepts no writes; the line `ready` gives the reason and the remedy"};
  return {state_t::ok, runs + "so it is not read here"};
}

template <class Config>
lines check_opened_store(const subject& s, const Config& c) {
  lines out;
  if (auto half = interrupted(c.protector)) out.push_back(std::move(*half));
  const std::string role{config::word_of(s.file.role)};
  if (c.store.kind == config::store_kind::memory)
    out.push_back({state_t::warning,
                   "the store is in memory: the " + role +
                       " loses everything when it ends; set store.kind to rocksdb, except for trials"});
  else if (s.running())
    out.push_back(running_store_line(s, "the " + role + " runs" + by_process(s) + " and has the store in " +
                                            place_of_store(c.store) + " open, "));
  else
    out.push_back(stored_line(c.store, c.protector, s.patience));
  return out;
}

/// One key file, or the data key of many.
status open_key_place(const storage::key_place& place, const storage::key_protector& key, bool& there) {
  CPNS_TRY(const auto wrapped, place.read());
  there = wrapped.has_value();
  if (!there) return {};
  const auto opened = key.unwrap(*wrapped, place.purpose);
  if (!opened) return fail(opened.error().code, place.name + ": " + opened.error().detail);
  return {};
}

lines check_key_files(const subject& s, const config::pne_config& c) {
  lines out;
  if (auto half = interrupted(c.protector)) out.push_back(std::move(*half));
  if (s.running()) {
    out.push_back(
        {state_t::ok, "the PNE runs" + by_process(s) + " and uses its key files, so they are not read here"});
    return out;
  }
  const auto key = open_protector(c.protector);
  if (!key) {
    out.push_back({state_t::error, key.error().message()});
    return out;
  }
  std::vector<storage::key_place> places;
  if (!c.keys_dir.empty())
    places.push_back(
        storage::data_key_file_place(actors::shared_key_file(c.keys_dir), actors::shared_key_purpose));
  for (const auto& d : c.devices)
    if (const auto entity = entity_id::parse(d.entity))
      places.push_back(storage::sealed_file_place(d.key_file, actors::key_file_purpose(*entity)));
  if (!c.keys_dir.empty())
    if (const auto data_key = actors::data_key_is_there(c.keys_dir); !data_key)
      out.push_back({state_t::error, data_key.error().message()});
  std::size_t found = 0;
  for (const auto& place : places) {
    bool there = false;
    if (const auto opened = open_key_place(place, **key, there); !opened)
      out.push_back({state_t::error, opened.error().message()});
    found += there ? 1 : 0;
  }
  const bool good = out.empty();
  if (good)
    out.push_back({state_t::ok, found == 0
                                    ? "the key files do not exist yet; the role makes them at its first start"
                                    : "the key opens " + std::to_string(found) + " of " +
                                          std::to_string(places.size()) +
                                          " key files; the others do not exist yet"});
  // Without its file, opening the data key would make one.
  std::error_code ec;
  if (good && !c.keys_dir.empty() && fs::exists(actors::shared_key_file(c.keys_dir), ec))
    out.push_back(slots_line(c.keys_dir, **key, s.patience));
  return out;
}

}  // namespace

lines check_store(const subject& s) {
  if (const auto* server = std::get_if<config::server_config>(&s.file.config))
    return check_opened_store(s, *server);
  if (const auto* gateway = std::get_if<config::gateway_config>(&s.file.config))
    return check_opened_store(s, *gateway);
  return check_key_files(s, std::get<config::pne_config>(s.file.config));
}

}  // namespace cpns::cli::doctor
